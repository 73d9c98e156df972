"""`zdqn chaos` with real processes: roles are killed, come back, and nothing goes amiss."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import zdqn

ROOT = Path(zdqn.__path__[0]).parent
SHORT = (
    "--set", "stop.evaluation_return=none", "--set", "stop.environment_steps=0",
    "--set", "network.hidden=[16]", "--set", "algorithm.batch_size=16",
    "--set", "learner.report_period_s=0.1", "--set", "links.ping_period_s=0.1",
    "--set", "replay.samples_per_insert=4", "--set", "replay.min_size=64",
    "--set", "learner.checkpoint_period_updates=50", "--set", "launch.collectors=1",
)  # fmt: skip


def chaos(folder, *words, timeout_s):
    """Run it to its end; give its exit code and output."""
    done = subprocess.run(
        [sys.executable, "-m", "zdqn", "chaos", ROOT / "configs" / "chaos.toml", *words],
        cwd=folder, capture_output=True, text=True, timeout=timeout_s, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("signal", "role", "words", "works"),
    [
        ("KILL", "memory", "ended memory with SIGKILL; it is started again", "transitions again"),
        ("KILL", "learner", "it is started again, from its newest", "makes updates again"),
        ("TERM", "collector", "ended collector-0 with SIGTERM", "takes steps again"),
        ("STOP", "evaluator", "stopped evaluator-0 (SIGSTOP) for", "plays, or waits"),
    ],
)
def test_a_role_comes_back_and_the_account_is_exact(tmp_path, signal, role, words, works):
    code, output, errors = chaos(
        tmp_path, *SHORT, "--set", "stop.wall_s=6", "--every", "1s", "--role", role,
        "--signal", signal, timeout_s=100,
    )  # fmt: skip
    assert code == 0, output + errors
    assert words in errors
    assert re.search(rf"chaos +\| {role}\S* .*{works}.*, after \d+\.\d s", errors)
    assert re.search(rf"(?m)^{role} +[1-9]\d* +[1-9]", output), output
    assert "the account of blocks is exact" in output


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_cartpole_is_solved_while_roles_are_killed(tmp_path):
    code, output, errors = chaos(tmp_path, "--every", "2s", timeout_s=380)
    assert code == 0, output + errors
    assert float(re.search(r"best (\d+\.?\d*)", output)[1]) >= 475
    assert "the account of blocks is exact" in output
    assert int(re.search(r"(?m)^all +(\d+)", output)[1]) >= 1
