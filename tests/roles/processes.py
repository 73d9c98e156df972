"""Roles as real processes, each with its log in a file."""

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import ExitStack

from tests.kept_ports import kept_pair
from tests.keys_for_all import options_of_processes
from tests.roles.conftest import DEADLINE_S, eventually, quick_config
from zdqn.config import to_toml
from zdqn.wire.remote_control import fetch_status

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


class Process:
    """A role started from the command line, with its log in a file."""

    def __init__(self, folder, name, arguments, prefix=()):
        self._log = folder / f"{name}.log"
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [*prefix, sys.executable, "-m", "zdqn", *arguments],
                stdout=log, stderr=log, env=ENVIRONMENT, cwd=folder,
            )  # fmt: skip

    @property
    def log(self):
        return self._log.read_text()

    def says(self, pattern):
        """Wait until its log matches, and give the match."""
        return eventually(lambda: re.search(pattern, self.log), f"{pattern} in\n{self.log}")

    def kill(self, number=signal.SIGKILL):
        self.process.send_signal(number)
        return self.process.wait(DEADLINE_S)

    def end(self):
        """Wait for its end, and give its exit code."""
        return self.process.wait(DEADLINE_S)


class Processes:
    """Those of one test, with a configuration that takes a second or two.

    Args:
        folder: where they run, with `run.toml` and their logs.
        overrides: of the configuration.
    """

    def __init__(self, folder, *overrides):
        self.folder = folder
        self.started = []
        self._kept = ExitStack()
        (folder / "run.toml").write_text(to_toml(quick_config(*overrides)))

    def start(self, name, *arguments, prefix=()):
        """Start a role; a prefix is a command that runs it somewhere else."""
        command = [name.split("-")[0], *arguments, *options_of_processes()]
        process = Process(self.folder, f"{name}-{len(self.started)}", command, prefix)
        self.started.append(process)
        return process

    def place(self):
        """Give an address that is kept for a server, however often it dies and comes back."""
        return f"tcp://127.0.0.1:{self._kept.enter_context(kept_pair())}"

    def memory(self, bind=None, *more):
        bind = bind or self.place()
        process = self.start("memory", "run.toml", "--bind", bind, *more)
        return process, process.says(r"serving samples at (\S+)")[1]

    def keep_on_disk(self):
        config = quick_config("replay.storage=disk", f"replay.path={self.folder}/replay")
        (self.folder / "run.toml").write_text(to_toml(config))

    def learner(self, memory, bind=None, *more):
        bind = bind or self.place()
        process = self.start(
            "learner", "run.toml", "--memory", memory, "--bind", bind, "--run-dir", "run",
            "--set", "stop.updates=0", *more,
        )  # fmt: skip
        return process, process.says(r"serving the model at (\S+)")[1]

    def summary(self):
        return json.loads((self.folder / "run" / "summary.json").read_text())

    def close(self):
        """Kill what still runs."""
        for process in self.started:
            if process.process.poll() is None:
                process.kill()
        self._kept.close()


def updates_of(address, more_than=0):
    """Wait until a learner has made more updates."""

    def enough():
        updates = fetch_status(address, DEADLINE_S).get("progress", {}).get("updates", 0)
        return updates if updates > more_than else None

    return eventually(enough, f"more than {more_than} updates")
