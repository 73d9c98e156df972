"""``python -m zdqn.launch ROLE NAME`` is a process of a local run; only its parent starts it."""

import sys

from zdqn.launch.child_main import main

if __name__ == "__main__":
    sys.exit(main())
