"""Two hosts in network namespaces, for tests: what runs on which, and what the cable does."""

import subprocess
import sys
from pathlib import Path

from tests.network.cable import ADDRESSES


class TwoHosts:
    """Two hosts, `near` and `far`, until it is closed.

    Raises:
        OSError: with a reason, where this machine does not allow it.
    """

    def __init__(self):
        command = [
            "unshare",
            "-Urn",
            "--kill-child",
            sys.executable,
            str(Path(__file__).with_name("cable.py")),
        ]
        self._cable = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._cable.stdin is not None
        assert self._cable.stdout is not None
        self._orders, self._answers = self._cable.stdin, self._cable.stdout
        words = self._answers.readline().split()
        if not words:
            raise OSError(self._cable.communicate()[1].strip() or "nothing was said")
        self._processes = dict(zip(ADDRESSES, words[1:], strict=True))

    def process_of(self, host):
        """Give the number of a process that runs there."""
        return self._processes[host]

    def on(self, host):
        """Give what to put before a command to run it there."""
        return ("nsenter", "-t", self._processes[host], "-U", "-n", "--preserve-credentials")

    def run(self, host, *command):
        """Run a command there, and give what it prints."""
        return subprocess.run(
            [*self.on(host), *command], check=True, capture_output=True, text=True, timeout=30
        ).stdout

    def order(self, *words):
        """Tell the cable what to do from now on, as `cable.py` says."""
        self._orders.write(" ".join(map(str, words)) + "\n")
        self._orders.flush()
        assert self._answers.readline() == "done\n"

    def reset(self):
        """Break every TCP connection that the near host has with the far one."""
        self.forget("near")

    def forget(self, host):
        """Have a host know nothing of its TCP connections any more, as one that is new."""
        self.run(host, "ss", "-K", "dst", *(at for name, at in ADDRESSES.items() if name != host))

    def close(self):
        self._cable.communicate(timeout=30)
