"""``python -m zdqn.launch.cluster`` is the agent on a host; only a launcher starts it, over ssh."""

import sys

from zdqn.launch.cluster.host_agent import main

if __name__ == "__main__":
    sys.exit(main())
