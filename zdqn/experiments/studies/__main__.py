"""What runs in the process of one run of a study; see `zdqn.experiments.studies.study_child`."""

import sys

from zdqn.experiments.studies.study_child import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
