"""The roles: sockets and a loop each, around the decisions of `zdqn.core`.

A role takes plain configuration, is a context manager, and runs until it is stopped or done. The
same object runs from the command line, in ``zdqn run``, in a test and in somebody else's program.
"""
