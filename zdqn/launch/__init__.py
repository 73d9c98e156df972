"""Starting a whole run: what to start (plans, as plain data) and how (processes, their lives).

Nothing here knows the command line; `zdqn.run` and ``zdqn run`` are two users of the same code.
"""
