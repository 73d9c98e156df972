"""An agent of this machine, and who listens to it, for tests."""

import sys

from zdqn.launch.cluster.host_link import HostLink

ARGV = [sys.executable, "-P", "-m", "zdqn.launch.cluster"]
ANSWER_S = 90.0


class Heard:
    """Keeps what it hears of a host."""

    def __init__(self):
        self.lines = []
        self.ends = []
        self.losses = []

    def output(self, name, line):
        self.lines.append(("output", name, line))

    def errors(self, name, line):
        self.lines.append(("errors", name, line))

    def ended(self, name, code):
        self.ends.append((name, code))

    def lost(self, link, error):
        self.losses.append(str(error))


def connect(heard, argv=ARGV, said=None):
    """Give a link to an agent that has answered."""
    said = [] if said is None else said
    link = HostLink("h", argv, listener=heard, say=said.append)
    try:
        link.wait_for_agent(ANSWER_S)
    except BaseException:
        link.close()
        raise
    return link


def settle(link, folder, silent_s=60.0):
    """Have an agent take its place."""
    where = {"directory": str(folder), "host": "h", "silent_s": silent_s}
    return link.ask("settle", where, ANSWER_S)
