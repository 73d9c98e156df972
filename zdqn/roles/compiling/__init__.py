"""Compiling a learner's updates: when, by whom, and where the result is kept."""
