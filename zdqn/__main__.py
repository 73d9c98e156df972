"""``python -m zdqn`` is ``zdqn``."""

from zdqn.cli import main

if __name__ == "__main__":
    main()
