"""The algorithm as plain maths: replay, n-step returns, schedules, networks and losses.

Same input, same output: nothing here logs, waits, reads a clock or opens a file.
"""
