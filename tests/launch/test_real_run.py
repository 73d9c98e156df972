"""`zdqn run` and `zdqn.run` with real roles, real processes and real sockets, in small."""

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import gymnasium
import pytest

import zdqn
from tests.roles.conftest import DEADLINE_S
from zdqn.records.endpoints import read_endpoints
from zdqn.wire.remote_control import fetch_status, request_stop

TINY = """
[environment]
id = "CartPole-v1"
[stop]
updates = 50
[network]
hidden = [16]
[replay]
min_size = 64
samples_per_insert = 8.0
[evaluator]
period_updates = 25
episodes = 2
environments = 2
[launch]
collectors = 1
evaluators = 1
"""
FILES = {
    "config.toml", "endpoints.json", "metrics.jsonl", "evaluations.csv", "checkpoints", "best.pt",
    "summary.json", "logs",
}  # fmt: skip


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    return path


def start(*arguments, cwd):
    return subprocess.Popen(
        [sys.executable, "-m", "zdqn", *map(str, arguments)],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(zdqn.__path__[0]).parent)},
    )


def roles_of(pid):
    """Give the process ids of a run's children."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        if int(fields[1]) == pid:
            found.append(int(entry.parent.name))
    return found


def is_alive(pid):
    return Path(f"/proc/{pid}").exists()


def wait_until(condition, what):
    deadline_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline_s, f"waited in vain for {what}"
        time.sleep(0.02)


ENDS_SCORED = ("--set", "stop.updates=0", "--set", "stop.evaluation_return=1")
"""With its first evaluation, however late its evaluator comes."""


def test_zdqn_run_ends_by_itself_and_leaves_its_files(config, tmp_path):
    process = start("run", config, "--run-dir", "out", "--seed", "3", *ENDS_SCORED, cwd=tmp_path)
    output, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, output
    out = tmp_path / "out"
    assert {path.name for path in out.iterdir()} >= FILES
    assert {path.name for path in (out / "logs").iterdir()} == {
        "memory.log", "learner.log", "collector-0.log", "evaluator-0.log",
    }  # fmt: skip
    summary = json.loads((out / "summary.json").read_text())
    assert summary["stop_reason"] == "evaluation_return"
    assert summary["blocks_lost"] == 0
    assert zdqn.load_config(out / "config.toml").run.seed == 3
    assert "collector-0 | " in output
    assert "run directory: out" in output


QUICK_TO_START = (
    "--evaluators", "0", "--set", "collector.policy=remote", "--set", "stop.updates=0",
    "--set", "links.dead_after_s=1",
)  # fmt: skip


def wait_for_servers(run_directory):
    def both_are_up():
        path = run_directory / "endpoints.json"
        return path.exists() and len(read_endpoints(run_directory)) == 2

    wait_until(both_are_up, "endpoints")


def test_ctrl_c_ends_a_run_cleanly_even_while_it_starts(config, tmp_path):
    process = start("run", config, "--run-dir", "x", *QUICK_TO_START, cwd=tmp_path)
    wait_for_servers(tmp_path / "x")
    children = roles_of(process.pid)
    assert len(children) == 3
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, output
    assert not any(map(is_alive, children))


def test_roles_end_when_their_launcher_is_killed(config, tmp_path):
    process = start("run", config, "--run-dir", "x", *QUICK_TO_START, cwd=tmp_path)
    wait_for_servers(tmp_path / "x")
    children = roles_of(process.pid)
    assert len(children) == 3
    process.kill()
    process.communicate(timeout=DEADLINE_S)
    wait_until(lambda: not any(map(is_alive, children)), "the children's end")
    assert process.returncode == -signal.SIGKILL


def test_status_and_stop_from_outside(config, tmp_path):
    process = start("run", config, "--run-dir", "runs/x", "--set", "stop.updates=0", cwd=tmp_path)
    wait_until((tmp_path / "runs" / "x" / "metrics.jsonl").exists, "metrics")
    asked = start("status", "--json", cwd=tmp_path)
    answer, _ = asked.communicate(timeout=DEADLINE_S)
    assert asked.returncode == 0, answer
    assert {"learner", "memory"} <= set(json.loads(answer))
    stopped = start("stop", cwd=tmp_path)
    assert stopped.communicate(timeout=DEADLINE_S)[0].startswith("asked tcp://127.0.0.1:")
    output, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, output
    assert read_endpoints(tmp_path / "runs" / "x")["memory"]["samples"]


def processes_of(pid):
    """Give the roles of a run by name."""
    named = {}
    for child in roles_of(pid):
        try:
            words = Path(f"/proc/{child}/cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue  # it has just ended
        if "zdqn.launch" in words:
            named[words[words.index("zdqn.launch") + 2]] = child
    return named


class Log:
    """Reads what a run says, and lets a test wait for it."""

    def __init__(self, process):
        self.lines: list[str] = []
        self._reader = threading.Thread(target=lambda: self.lines.extend(process.stdout))
        self._reader.start()

    def wait_for(self, pattern, times=1):
        wait_until(
            lambda: sum(re.search(pattern, line) is not None for line in self.lines) >= times,
            f"{pattern} in\n{''.join(self.lines)}",
        )

    def end(self):
        self._reader.join(DEADLINE_S)
        return "".join(self.lines)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_one_role_costs_the_run_nothing_but_a_restart(config, tmp_path, number):
    process = start(
        "run", config, "--run-dir", "x", "--collectors", "2", "--set", "stop.updates=0",
        "--set", "stop.evaluation_return=1e9", cwd=tmp_path,
    )  # fmt: skip
    log = Log(process)
    try:
        wait_until((tmp_path / "x" / "metrics.jsonl").exists, "metrics")
        for names in (("memory",), ("collector-0", "collector-1"), ("evaluator-0",)):
            before = processes_of(process.pid)
            for name in names:
                os.kill(before[name], number)
            for name in names:
                log.wait_for(rf"^run +\| {name} was told to end by {number.name}.* again \(1 of 3")
        log.wait_for(r"evaluator-0 \| .* evaluating as evaluator", times=2)
        log.wait_for(r"collector-\d \| .* collecting as collector", times=4)
        model = read_endpoints(tmp_path / "x")["learner"]["model"]
        updates = fetch_status(model, DEADLINE_S)["progress"]["updates"]
        wait_until(
            lambda: fetch_status(model, DEADLINE_S)["progress"]["updates"] > updates + 50,
            "more updates",
        )
        request_stop(read_endpoints(tmp_path / "x")["memory"]["samples"], "somebody", DEADLINE_S)
        assert process.wait(DEADLINE_S) == 0
    finally:
        process.kill()
        output = log.end()
        process.stdout.close()
    assert "memory was asked to stop (somebody); the run ends." in output
    summary = json.loads((tmp_path / "x" / "summary.json").read_text())
    assert summary["stop_reason"] == "the memory was asked to stop"
    assert summary["memory_restarts"] == 1


def test_files_of_the_current_folder_take_the_place_of_no_module(config, tmp_path):
    names = filter(importlib.util.find_spec, sys.stdlib_module_names - {"this", "antigravity"})
    for name in (*names, "numpy", "torch", "zmq", "msgspec", "zdqn"):
        (tmp_path / f"{name}.py").write_text(f"raise RuntimeError('the wrong {name}')")
    command = [sys.executable, "-P", "-m", "zdqn", "run", str(config), "--run-dir", "x"]
    done = subprocess.run(
        command,
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(zdqn.__path__[0]).parent)}, check=False,
        timeout=DEADLINE_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "the wrong" not in done.stdout


NOISY = """
import os, sys
import gymnasium

class Noisy(gymnasium.Wrapper):
    def step(self, action):
        os.write(1, b"x" * 100_000)
        if FAULT:
            raise ValueError("the simulator caught fire")
        return super().step(action)

def make():
    return Noisy(gymnasium.make("CartPole-v1"))
"""


def test_output_without_line_ends_is_shown_and_kept_in_pieces(config, tmp_path):
    (tmp_path / "noisy.py").write_text("FAULT = False\n" + NOISY)
    process = start(
        "run", config, "--run-dir", "x", "--evaluators", "0", "--set", "environment.id=noisy:make",
        "--set", "collector.vectorization=sync", cwd=tmp_path,
    )  # fmt: skip
    output, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, output
    assert "collector-0 | xxxxx" in output
    lines = (tmp_path / "x" / "logs" / "collector-0.log").read_text().splitlines()
    assert max(map(len, lines)) < 100_000
    assert sum(line.count("x" * 1000) for line in lines) > 100


def test_what_an_environment_raises_names_the_log_that_holds_the_traceback(config, tmp_path):
    (tmp_path / "noisy.py").write_text("FAULT = True\n" + NOISY)
    process = start(
        "run", config, "--run-dir", "x", "--evaluators", "0", "--set", "environment.id=noisy:make",
        "--set", "collector.vectorization=sync", "--set", "launch.max_restarts=0", cwd=tmp_path,
    )  # fmt: skip
    output, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 70, output
    (error,) = [line for line in output.splitlines() if line.startswith("error: ")]
    assert "the simulator caught fire" in error
    assert error.endswith("The traceback is in x/logs/collector-0.log.")
    assert "noisy.py" in (tmp_path / "x" / "logs" / "collector-0.log").read_text()


def test_a_wrong_environment_ends_with_one_paragraph(config, tmp_path):
    process = start("run", config, "--set", "environment.id=CartPol-v1", cwd=tmp_path)
    output, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 78, output
    (error,) = [line for line in output.splitlines() if line.startswith("error: ")]
    assert "CartPol-v1" in error
    assert "CartPole" in error
    assert "Traceback" not in output


def test_python_run_takes_closures(config, tmp_path):
    limit = 7
    result = zdqn.run(
        zdqn.load_config(config, ["stop.updates=0", f"stop.evaluation_return={limit}"]),
        environment=lambda **_: gymnasium.make("CartPole-v1", max_episode_steps=limit),
        evaluators=1,
        run_directory=tmp_path / "run",
    )
    assert result.stop_reason == "evaluation_return"
    assert result.best_evaluation_return == limit
    assert result.run_directory == tmp_path / "run"
    assert zdqn.RunResult.open(tmp_path / "run") == result


def finish(process):
    output, _ = process.communicate(timeout=DEADLINE_S)
    return process.returncode, output


def test_a_run_of_one_process_goes_on_as_one_of_several_and_back(config, tmp_path):
    steps = [0]
    for updates, command in ((50, "train"), (80, "run"), (100, "train")):
        how = ("--resume", "out") if len(steps) > 1 else (config, "--run-dir", "out")
        code, output = finish(
            start(command, *how, "--set", f"stop.updates={updates}", cwd=tmp_path)
        )
        assert code == 0, output
        assert "KeyError" not in output
        summary = json.loads((tmp_path / "out" / "summary.json").read_text())
        assert summary["updates"] == updates
        steps.append(summary["environment_steps"])
    assert steps == sorted(set(steps))
    assert zdqn.load_config(tmp_path / "out" / "config.toml").stop.updates == 100


def test_a_run_in_use_is_refused_to_others_and_goes_on(config, tmp_path):
    process = start("run", config, "--run-dir", "x", "--set", "stop.updates=0", cwd=tmp_path)
    wait_until((tmp_path / "x" / "metrics.jsonl").exists, "metrics")
    before = (tmp_path / "x" / "endpoints.json").read_text()
    for command in ("run", "train"):
        code, output = finish(start(command, config, "--run-dir", "x", "--overwrite", cwd=tmp_path))
        assert code == 73, output
        assert f"zdqn run {config}" in output
        assert f"(process {process.pid} on " in output
    assert (tmp_path / "x" / "endpoints.json").read_text() == before
    assert finish(start("stop", "x", cwd=tmp_path))[0] == 0
    code, output = finish(process)
    assert code == 0, output


def test_a_refused_run_has_changed_nothing(config, tmp_path):
    code, output = finish(start("train", config, "--run-dir", "x", cwd=tmp_path))
    assert code == 0, output

    def kept():
        return {
            path: path.read_bytes()
            for path in (tmp_path / "x").rglob("*")
            if path.is_file() and not path.name.endswith("lock")
        }

    before = kept()
    for expected, words in (
        (73, (config, "--run-dir", "x")),
        (78, ("--resume", "x")),
        (76, ("--resume", "x", "--set", "network.hidden=[8]", "--set", "stop.updates=90")),
        (76, ("--resume", "x", "--set", "environment.id=Acrobot-v1", "--set", "stop.updates=90")),
        (2, ("--resume", "x", "--overwrite")),
    ):
        code, output = finish(start("run", *words, cwd=tmp_path))
        assert code == expected, output
        assert "memory " not in output, "no process has started"
        assert kept() == before


def test_a_run_that_a_function_made_is_not_gone_on_with_without_it(config, tmp_path):
    def make(**_):
        return gymnasium.make("CartPole-v1", max_episode_steps=7)

    quick = zdqn.load_config(config)
    zdqn.run(quick, environment=make, run_directory=tmp_path / "run")
    code, output = finish(start("run", "--resume", "run", "--set", "stop.updates=90", cwd=tmp_path))
    assert code == 78, output
    assert "was made by a Python function" in output
    longer = zdqn.load_config(tmp_path / "run" / "config.toml", ["stop.updates=70"])
    result = zdqn.run(longer, environment=make, resume=tmp_path / "run")
    assert result.best_evaluation_return == 7
    assert result.updates == 70
