"""The algorithm as plain maths: replay, n-step returns, networks, objectives and their optimizer.

Same input, same output: nothing here logs, waits, reads a clock or opens a file.
"""
