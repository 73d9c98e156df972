"""``python -m zdqn.launch.slurm`` is what a batch file of a run becomes; only Slurm starts it."""

import sys
from pathlib import Path

from zdqn.errors import ZdqnError


def main() -> int:
    """Run the servers, or the collector of a number, of the run in a folder."""
    kind, directory, *number = sys.argv[1:]
    sys.path.append("")  # so that "module:factory" finds a module where the job begins
    try:
        if kind == "servers":
            from zdqn.launch.slurm.servers_job import run_servers

            return run_servers(Path(directory), lambda line: print(line, flush=True))  # noqa: T201
        from zdqn.launch.slurm.collector_job import run_collector

        return run_collector(Path(directory), int(number[0]))
    except ZdqnError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
