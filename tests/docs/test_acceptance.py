"""Programs outside of zdqn learn CartPole beside its servers, by the commands of the documents.

The commands are read from there and run as they stand, each in a terminal of its own; only ports
are others.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.docs.test_documentation import ROOT, snippets
from tests.kept_ports import kept_pair

DEADLINE_S = 250
SHORT = (
    "stop.updates=40", "replay.min_size=200", "evaluator.episodes=2", "links.ping_period_s=0.05",
    "learner.report_period_s=0.1",
)  # fmt: skip


class Terminals:
    """Runs the commands of a block, each in a terminal of its own, in a folder like a clone."""

    def __init__(self, folder):
        self.folder = folder
        self._kept = ExitStack()
        self.started: dict[str, subprocess.Popen[str]] = {}
        for name in ("configs", "docs"):
            (folder / name).symlink_to(ROOT / name)
        python = Path(sys.executable).parent
        self._environment = {
            **os.environ,
            "PATH": f"{python}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "OMP_NUM_THREADS": "1",
        }

    def start(self, line):
        name = re.findall(r"zdqn (\w+)|([\w.]+\.py)|\./(\w+)", line)[0]
        with (self.folder / f"{''.join(name)}.out").open("w") as output:
            self.started["".join(name)] = subprocess.Popen(
                ["bash", "-c", f"exec {line}"], cwd=self.folder, env=self._environment, text=True,
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def port(self):
        """Give a port that is kept for a server."""
        return self._kept.enter_context(kept_pair())

    def output(self, name):
        return (self.folder / f"{name}.out").read_text()

    def wait(self, name, deadline_s=DEADLINE_S):
        """Wait for the end of a command, which must be a good one, and give what it printed."""
        code = self.started[name].wait(deadline_s)
        assert code == 0, "\n".join(f"{name}:\n{self.output(name)}" for name in self.started)
        return self.output(name)

    def summary(self):
        (path,) = self.folder.glob("runs/*/summary.json")
        return json.loads(path.read_text())

    def close(self):
        for process in self.started.values():
            if process.poll() is None:
                process.kill()
            process.wait(DEADLINE_S)
        self._kept.close()


@pytest.fixture
def terminals(tmp_path):
    made = Terminals(tmp_path)
    yield made
    made.close()


def commands(terminals, document, program, *overrides):
    """Give the lines of the block that starts a program, with ports of our own.

    Args:
        terminals: where they will run.
        document: that has the block.
        program: of its last line.
        overrides: of the servers' configuration.
    """
    (block,) = (s.code for s in snippets(document) if s.language == "bash" and program in s.code)
    memory, learner = terminals.port(), terminals.port()
    block = block.replace("5556", str(memory)).replace("5558", str(learner))
    more = "".join(f" --set {override}" for override in overrides)
    for role, port in (("memory", memory), ("learner", learner)):
        block = re.sub(
            rf"^zdqn {role} \S+", rf"\g<0> --bind tcp://127.0.0.1:{port}{more}", block, flags=re.M
        )
    return [line.split(" #")[0] for line in block.splitlines()]


def learn_by_agent(terminals, policy, *overrides, deadline_s=DEADLINE_S):
    """Have the documented program learn, and give what it printed."""
    lines = commands(terminals, "docs/python.md", "cartpole_agent.py", *overrides)
    assert lines[-1].endswith(" local")
    for line in (*lines[:-1], lines[-1].removesuffix("local") + policy):
        terminals.start(line)
    output = terminals.wait("cartpole_agent.py", deadline_s)
    for name in ("learner", "memory", "evaluator"):
        terminals.wait(name)
    assert "the run is over; PyTorch was never loaded" in output
    assert f"{policy} policy" in output
    assert re.search(r", [01] dropped\n", output), "but the step during which it heard of the end"
    return output


def test_a_program_that_owns_its_loop_joins_the_documented_run(terminals):
    learn_by_agent(terminals, "remote", *SHORT)
    assert terminals.summary()["stop_reason"] == "updates"


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("policy", ["local", "remote"])
def test_a_program_that_owns_its_loop_solves_cartpole(terminals, policy, record_property):
    learn_by_agent(terminals, policy, deadline_s=380)
    summary = terminals.summary()
    assert summary["stop_reason"] == "evaluation_return"
    assert summary["best_evaluation_return"] >= 475
    for key in ("environment_steps", "wall_s"):
        record_property(key, summary[key])


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler (cc)")
def test_the_collector_in_c_solves_cartpole_alone(terminals, record_property):
    build, *lines = commands(terminals, "docs/protocol.md", "./collector tcp://")
    built = subprocess.run(
        ["bash", "-c", build], cwd=terminals.folder, capture_output=True, text=True
    )
    if "zmq.h" in built.stderr:
        pytest.skip("no headers of libzmq (zmq.h; on Debian: libzmq3-dev)")
    assert built.returncode == 0, built.stderr
    for line in lines:
        terminals.start(line)
    output = terminals.wait("collector", 380)
    assert " 0 refused" in output
    for name in ("learner", "memory", "evaluator"):
        terminals.wait(name)
    summary = terminals.summary()
    assert summary["stop_reason"] == "evaluation_return"
    assert summary["best_evaluation_return"] >= 475
    assert summary["blocks_refused"] == 0
    for key in ("environment_steps", "wall_s"):
        record_property(key, summary[key])
