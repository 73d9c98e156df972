"""Other frameworks on the same machine in the same run, where they are installed."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from zdqn.benchmarks import reverb_script, sb3_script
from zdqn.benchmarks.bench_insert import measure_memory
from zdqn.benchmarks.bench_learner import FedTrainer, learner_config
from zdqn.benchmarks.bench_sample import AS_THE_LEARNER, SUBJECTS, measure_subject
from zdqn.benchmarks.compiling_ahead import make_trainer
from zdqn.benchmarks.measuring import Effort, Figure, Goal, Result, Say, alternate
from zdqn.benchmarks.processes import LOOPBACK
from zdqn.benchmarks.running_system import RunningSystem, run_to_end, steady_rate, zdqn_command
from zdqn.benchmarks.subjects import seed_config
from zdqn.config import Config, to_toml
from zdqn.errors import ConfigError, RoleFailedError

TRAIN_GOAL = Goal(3.0)
RUN_GOALS = {False: Goal(5.0), True: Goal(8.0)}
"""Of `zdqn run`, eager and compiled."""
SBX_GOAL = Goal(0.7)
UPDATE_GOALS = {False: Goal(1.5), True: Goal(3.0)}
"""Eager, and compiled."""

_TIMEOUT_S = 1200.0
_STEPS_PER_S = 3000
"""About what SB3 does, so that its runs take as long as they should."""
_LEAST_STEPS = 1000
_REVERB_ITEMS = 50_000
_BATCH = 32
_SETTLED_SAMPLES = 4000
_RATIO = ("replay.capacity=2000", "replay.min_size=32", "replay.samples_per_insert=3.2")
"""The seed's replay: an update of 32 for every 10 environment steps."""
_NATIVE = (
    *_RATIO, "collector.environments=8", "collector.vectorization=native",
    "learner.report_period_s=0.1",
)  # fmt: skip
"""One collector of eight environments."""


def measure(
    effort: Effort,
    say: Say,
    *,
    sb3_python: str = "",
    sbx_python: str = "",
    reverb_python: str = "",
) -> Result:
    """Measure zdqn beside Stable-Baselines3, SBX and Reverb.

    Args:
        effort: how long.
        say: told what is going on.
        sb3_python: interpreter that has stable-baselines3; "" for this one.
        sbx_python: interpreter that has sbx-rl; "" for this one.
        reverb_python: interpreter that has dm-reverb and TensorFlow.
    """
    result = Result()
    python = find_python(sb3_python, "stable_baselines3")
    if python is None:
        result.notes.append(
            "Stable-Baselines3 is left out, because it is not installed: "
            'pip install "zdqn[bench]", or name an interpreter that has it with --sb3-python.'
        )
    else:
        _measure_runs(effort, say, python, result)
        _measure_updates(effort, say, python, result)
    sbx = find_python(sbx_python, "sbx")
    if sbx is None:
        result.notes.append(
            "SBX, the port of Stable-Baselines3 to JAX, is left out, because it is not installed: "
            "pip install sbx-rl, best in an environment of its own, and name its interpreter with "
            "--sbx-python."
        )
    else:
        _measure_sbx(effort, say, sbx, result)
    reverb = find_python(reverb_python, "reverb")
    if reverb is None:
        result.notes.append(
            "Reverb is left out, because it is not installed. It wants an environment of its own, "
            'as it pins old packages: pip install "dm-reverb[tensorflow]" there, and name its '
            "interpreter with --reverb-python."
        )
    else:
        _measure_reverb(effort, say, reverb, result)
    return result


def find_python(given: str, module: str) -> str | None:
    """Give an interpreter that can import `module`: the one named, or this one; else None."""
    python = given or sys.executable
    words = [python, "-c", f"import importlib.util as u; assert u.find_spec({module!r})"]
    try:
        done = subprocess.run(words, capture_output=True, check=False)  # noqa: S603 - the user's
    except OSError as error:
        raise ConfigError(f'"{given}" is no Python interpreter: {error.strerror}.') from error
    return python if done.returncode == 0 else None


def run_script(python: str, script: str | None, *words: str) -> tuple[dict[str, Any], float]:
    """Run a peer's script; give what it printed as JSON, and the seconds that it took."""
    assert script is not None
    with tempfile.TemporaryDirectory(prefix="zdqn-bench-") as folder:
        log = Path(folder) / "log.txt"
        elapsed_s = run_to_end([python, script, *words], log, _TIMEOUT_S)
        lines = log.read_text(encoding="utf-8").splitlines()
    for line in reversed(lines):
        if line.startswith("{"):
            return json.loads(line), elapsed_s
    raise RoleFailedError(f"{script} printed no result: {lines[-5:]}")


def _sb3(
    python: str, task: str, number: int, figure: str, *, library: str = "sb3"
) -> Callable[[], float]:
    words = (task, str(number), library)
    return lambda: float(run_script(python, sb3_script.__file__, *words)[0][figure])


# --- whole runs at the seed's settings ----------------------------------------------------------


def _measure_runs(effort: Effort, say: Say, python: str, result: Result) -> None:
    say("peers: whole runs at the seed's settings")
    steps = max(int(effort.seconds * _STEPS_PER_S), _LEAST_STEPS)
    in_one_call = seed_config(*_NATIVE, "learner.compile=true")
    make_trainer(in_one_call)  # so that runs find it compiled
    sb3, train, train_compiled, run, compiled = alternate(
        effort,
        _sb3(python, "seed", steps, "environment_steps_per_s"),
        lambda: _train_steps_per_s(seed_config(*_RATIO), steps),
        lambda: _train_steps_per_s(seed_config(*_RATIO, "learner.compile=true"), steps),
        lambda: _run_steps_per_s(seed_config(*_NATIVE), effort.seconds),
        lambda: _run_steps_per_s(in_one_call, effort.seconds),
    )
    peer = Figure("peers.sb3.run", "environment steps/s", sb3)
    result.add(peer)
    for name, values, goal in (
        ("train", train, TRAIN_GOAL),
        ("train_compiled", train_compiled, TRAIN_GOAL),
        ("run", run, RUN_GOALS[False]),
        ("run_compiled", compiled, RUN_GOALS[True]),
    ):
        figure = Figure(f"peers.zdqn.{name}", "environment steps/s", values)
        result.add(figure, figure.over(peer, f"peers.zdqn.{name}_to_sb3", goal))


def _train_steps_per_s(config: Config, environment_steps: int) -> float:
    """Give the speed of ``zdqn train``."""
    changes = (
        f"stop.environment_steps={3 * environment_steps}",
        "learner.report_period_s=0.1",
    )
    with tempfile.TemporaryDirectory(prefix="zdqn-bench-") as folder:
        path, out = Path(folder) / "train.toml", Path(folder) / "run"
        path.write_text(to_toml(config), encoding="utf-8")
        words = ["train", str(path), "--run-dir", str(out)]
        for change in changes:
            words += ["--set", change]
        run_to_end(zdqn_command(*words), Path(folder) / "log.txt", _TIMEOUT_S)
        return steady_rate(out, "environment_steps")


def _run_steps_per_s(config: Config, seconds: float) -> float:
    """Give the speed of ``zdqn run`` with one collector of eight environments."""
    with (
        tempfile.TemporaryDirectory(prefix="zdqn-bench-") as folder,
        RunningSystem(config, 1, Path(folder)) as system,
    ):
        system.wait_for_samples(_SETTLED_SAMPLES)
        system.environment_steps_per_s(seconds / 4)
        return system.environment_steps_per_s(seconds)


# --- updates ------------------------------------------------------------------------------------


def _measure_updates(effort: Effort, say: Say, python: str, result: Result) -> None:
    """Compare a trainer that samples over TCP with SB3's training, with and without its steps."""
    steps = int(effort.seconds * 800)
    for compiled in (False, True):
        kind = "compiled" if compiled else "eager"
        say(f"peers: updates, {kind}")
        config = learner_config(_BATCH, compiled=compiled, items=100_000)
        try:
            with FedTrainer(config, 100_000) as fed:
                zdqn, every_step, update_only = alternate(
                    effort,
                    _speed_of(fed, effort.seconds),
                    _sb3(python, "every-step", steps, "updates_per_s"),
                    _sb3(python, "update-only", _BATCH, "updates_per_s"),
                )
        except ConfigError as error:
            result.notes.append(f"The compiled learner is left out: {error}")
            return
        figure = Figure(f"peers.zdqn.updates_{kind}", "updates/s", zdqn)
        peer = Figure(f"peers.sb3.an_update_every_step_{kind}", "updates/s", every_step)
        alone = Figure(f"peers.sb3.updates_only_{kind}", "updates/s", update_only)
        result.add(
            figure,
            peer,
            figure.over(peer, f"peers.zdqn.updates_{kind}_to_sb3", UPDATE_GOALS[compiled]),
            alone,
            figure.over(alone, f"peers.zdqn.updates_{kind}_to_sb3_updates_only"),
        )


def _speed_of(fed: FedTrainer, seconds: float) -> Callable[[], float]:
    return lambda: fed.updates_per_s(seconds)


# --- SBX ----------------------------------------------------------------------------------------


def _measure_sbx(effort: Effort, say: Say, python: str, result: Result) -> None:
    """Compare with SBX, whose `train` makes any number of updates in one compiled call."""
    say("peers: SBX")
    config = learner_config(_BATCH, compiled=True, items=100_000)
    steps = max(int(effort.seconds * _STEPS_PER_S), _LEAST_STEPS)
    native = seed_config(*_NATIVE, "learner.compile=true")
    try:
        make_trainer(native)
        with FedTrainer(config, 100_000) as fed:
            updates, theirs = alternate(
                effort,
                _speed_of(fed, effort.seconds),
                _sb3(python, "update-only", _BATCH, "updates_per_s", library="sbx"),
            )
    except ConfigError as error:
        result.notes.append(f"The compiled learner beside SBX is left out: {error}")
        return
    run, their_run = alternate(
        effort,
        lambda: _run_steps_per_s(native, effort.seconds),
        _sb3(python, "seed", steps, "environment_steps_per_s", library="sbx"),
    )
    for figure, peer, name, goal in (
        (
            Figure("peers.zdqn.updates_compiled_beside_sbx", "updates/s", updates),
            Figure("peers.sbx.updates_only", "updates/s", theirs),
            "updates_compiled",
            SBX_GOAL,
        ),
        (
            Figure("peers.zdqn.run_compiled_beside_sbx", "environment steps/s", run),
            Figure("peers.sbx.run", "environment steps/s", their_run),
            "run_compiled",
            None,
        ),
    ):
        result.add(figure, peer, figure.over(peer, f"peers.zdqn.{name}_to_sbx", goal))


# --- Reverb -------------------------------------------------------------------------------------


def _measure_reverb(effort: Effort, say: Say, python: str, result: Result) -> None:
    say("peers: Reverb")
    items = str(_REVERB_ITEMS // 10 if effort.quick else _REVERB_ITEMS)
    runs = [run_script(python, reverb_script.__file__, items)[0] for _ in range(effort.repeats)]
    reverb = {name: tuple(run[name] for run in runs) for name in runs[0]}
    ours: dict[str, Figure] = {}
    for kind in ("vector", "image"):
        ours[f"insert.{kind}"] = measure_memory(effort, say, "tcp", kind, LOOPBACK, (1,))[0]
    for subject in SUBJECTS:
        if subject.replay == "uniform":
            sizes = (32, 512) if subject.kind == "vector" else (32,)
            figures = measure_subject(
                effort, say, subject, batch_sizes=sizes, requests=(AS_THE_LEARNER,)
            )
            for size, figure in zip(sizes, figures, strict=True):
                ours[f"sample.{subject.kind}.{size}"] = figure
    for name, values in reverb.items():
        unit = "items/s" if name.startswith("insert") else "batches/s"
        peer = Figure(f"peers.reverb.{name}", unit, values)
        result.add(peer, ours[name].over(peer, f"peers.zdqn.{name}_to_reverb"))
