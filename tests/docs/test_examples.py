"""The programs of docs/examples, each beside a memory and a learner of its own."""

import json
import random
import re
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.roles.conftest import DEADLINE_S, eventually
from tests.roles.processes import ENVIRONMENT, Process
from zdqn.config import load_config, to_toml

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


class Program:
    """One of the examples, with what it prints in a file."""

    def __init__(self, folder, name, *arguments):
        self._output = folder / f"{name}.out"
        with self._output.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, str(EXAMPLES / name), *arguments],
                stdout=output, stderr=output, cwd=folder,
                env={**ENVIRONMENT, "PYTHONPATH": str(EXAMPLES.parents[1])},
            )  # fmt: skip

    @property
    def output(self):
        return self._output.read_text()

    def says(self, pattern):
        return eventually(lambda: re.search(pattern, self.output), f"{pattern} in\n{self.output}")


@pytest.fixture
def run(tmp_path):
    """Starts memory, learner and examples; gives the learner's address first."""
    started = []
    config = load_config(
        EXAMPLES / "game.toml", ["links.ping_period_s=0.05", "learner.report_period_s=0.05"]
    )
    (tmp_path / "run.toml").write_text(to_toml(config))

    def role(name, *arguments):
        process = Process(tmp_path, name, [name, "run.toml", *arguments])
        started.append(process.process)
        return process

    def start(updates, example, *arguments):
        memory = role("memory", "--bind", "tcp://127.0.0.1:0")
        learner = role(
            "learner", "--memory", memory.says(r"serving samples at (\S+)")[1],
            "--bind", "tcp://127.0.0.1:0", "--run-dir", "run", "--set", f"stop.updates={updates}",
        )  # fmt: skip
        address = learner.says(r"serving the model at (\S+)")[1]
        program = Program(tmp_path, example, address, *arguments)
        started.append(program.process)
        return program, learner

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait(DEADLINE_S)


def test_a_game_that_owns_its_loop_learns_and_ends_with_the_run(run):
    program, learner = run(40, "game_loop.py")
    assert learner.end() == 0, learner.log
    assert program.process.wait(DEADLINE_S) == 0, program.output
    assert "of the last 100 caught" in program.output
    assert re.search(r"AgentStatus\(.*over=True, failure=None", program.output), program.output


def ask(port, path, said=None):
    body = None if said is None else json.dumps(said).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body)
    try:
        with urllib.request.urlopen(request, timeout=DEADLINE_S) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_a_web_service_answers_simulators_that_know_nothing_of_zdqn(run):
    service, _ = run(0, "web_service.py", "0")
    port = service.says(r"serving at port (\d+)")[1]
    rng = random.Random(0)

    def act(name, observation):
        code, answer = ask(port, f"/episodes/{name}/act", {"observation": observation})
        return answer["action"] if code == 200 else None

    seen = {name: [rng.random() for _ in range(3)] for name in ("one", "two")}
    eventually(lambda: act("waiting", [0.0] * 3) is not None, "an action")
    for number in range(15):  # less than a block, which finds room however busy the machine is
        for name in seen:
            assert act(name, seen[name]) in (0, 1, 2)
            seen[name] = [rng.random() for _ in range(3)]
            said = {"reward": 1, "observation": seen[name], "terminated": number == 14}
            assert ask(port, f"/episodes/{name}/observe", said) == (200, {"recorded": True})
    code, answer = ask(port, "/episodes/one/observe", {"reward": 1, "observation": [0.0] * 3})
    assert code == 400
    assert "observe() was called before act()" in answer["error"]
    assert ask(port, "/nowhere")[0] == 400
    code, status = ask(port, "/status")
    assert (code, status["steps"]) == (200, 30)
