"""How much is learned from each environment step: one process, several collectors, and SB3."""

from __future__ import annotations

import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zdqn.benchmarks import sb3_script
from zdqn.benchmarks.bench_peers import find_python, run_script
from zdqn.benchmarks.measuring import Effort, Figure, Result, Say
from zdqn.benchmarks.running_system import run_to_end, zdqn_command
from zdqn.config import Config, load_config, to_toml
from zdqn.records.run_tables import read_evaluations

_SETTINGS = (
    "network.hidden=[128,128]", "algorithm.n_step=3", "algorithm.batch_size=64",
    "algorithm.target_update_period_updates=50", "replay.capacity=50_000",
    "replay.min_size=1_000", "replay.samples_per_insert=16", "exploration.epsilon_final=0.04",
    "exploration.epsilon_decay_environment_steps=5_000", "collector.environments=1",
    "collector.block_transitions=4", "evaluator.episodes=20", "evaluator.environments=20",
)  # fmt: skip
"""An update for every four steps, and environments so quick that the learner is waited for."""


@dataclass(frozen=True)
class Task:
    """What is learned.

    Attributes:
        settings: what it has beside `_SETTINGS`.
        from_steps: a run's return is the mean of its greedy evaluations from these environment
            steps on ...
        to_steps: ... up to these, at which it ends.
        sb3: whether `sb3_script` knows it.
    """

    settings: tuple[str, ...]
    from_steps: int
    to_steps: int
    sb3: bool = False

    def config(self, *more: str) -> Config:
        """Give its configuration, with some `section.key=value` changed."""
        end = f"stop.environment_steps={self.to_steps}"
        return load_config(None, (*_SETTINGS, *self.settings, end, *more))


TASKS = {
    "cartpole": Task(
        (
            "environment.id=CartPole-v1", "algorithm.learning_rate=1e-3",
            "evaluator.period_environment_steps=1_000", "evaluator.vectorization=native",
        ),
        from_steps=5_000,
        to_steps=25_000,
        sb3=True,
    ),
    "pendulum": Task(
        (
            "environment.id=Pendulum-v1",
            'environment.wrappers=[{name="DiscretizeAction",kwargs={bins=3}}]',
            "algorithm.learning_rate=2e-3", "algorithm.discount=0.9",
            "evaluator.period_environment_steps=500",
        ),
        from_steps=2_000,
        to_steps=12_000,
    ),
}  # fmt: skip
"""CartPole, and a pendulum that three torques swing up: each of its steps has a reward and no
episode ends early, so that returns of one way differ little from seed to seed."""

WAYS = {
    "train": ("train",),
    "run_1": ("run", "--collectors", "1"),
    "run_4": ("run", "--collectors", "4"),
    "run_16": ("run", "--collectors", "16"),
}
"""Words of the command line."""

LAGS = {
    "larger_blocks": ("collector.block_transitions=64",),
    "smaller_blocks": ("collector.block_transitions=1",),
    "older_weights": ("learner.publish_interval_s=0.05",),
    "fresher_weights": ("learner.publish_period_updates=1",),
    "further_apart": ("replay.samples_per_insert_window=16_000",),
    "no_batches_ahead": ("learner.batches_per_request=1", "learner.requests_in_flight=1"),
    "one_update_a_call": ("learner.compile=false",),
}
"""Four collectors with one lag put back or taken away, by what it is.

Blocks: transitions wait until theirs is full, and in the one that is on its way; 4 and 4 of each
collector by default. Weights: how old are those that collectors act with. Further apart: collectors
and learner may run 1,000 transitions ahead of each other instead of 16, which larger blocks bring
too, with 136. Batches: drawn before they are learned from. A call: it makes many updates, between
which no weights go out. The schedule of epsilon follows what the memory has, and no setting
changes that.
"""

_TIMEOUT_S = 600.0
_STANDARD_ERRORS = 1.96


def measure(
    effort: Effort,
    say: Say,
    *,
    seeds: int = 5,
    task: str = "both",
    lags: bool = False,
    sb3_python: str = "",
) -> Result:
    """Train in each way with the same settings, seed by seed in turn.

    Args:
        effort: only `quick` matters, for two seeds.
        say: told what is going on.
        seeds: how many, from 0.
        task: one of `TASKS`, or "both".
        lags: train with four collectors and each of `LAGS` too.
        sb3_python: interpreter that has stable-baselines3; "" for this one.
    """
    python = find_python(sb3_python, "stable_baselines3")
    result = Result()
    for name in TASKS if task == "both" else (task,):
        _measure_task(name, range(2 if effort.quick else seeds), say, lags, python, result)
    if python is None:
        result.notes.append(
            "Stable-Baselines3 is left out, because it is not installed: "
            'pip install "zdqn[bench]", or name an interpreter that has it with --sb3-python.'
        )
    return result


def _measure_task(
    name: str, seeds: range, say: Say, lags: bool, python: str | None, result: Result
) -> None:
    task = TASKS[name]
    ways = [*WAYS, *((f"run_4.{lag}" for lag in LAGS) if lags else ())]
    if python is not None and task.sb3:
        ways.append("sb3")
    scores: dict[str, list[float]] = {way: [] for way in ways}
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for seed in seeds:
        for way in ways:
            say(f"parity: {name}, {way}, seed {seed}")
            started_s = time.perf_counter()
            found = _run_sb3(python or "", seed) if way == "sb3" else _run(task, way, seed)
            scores[way].append(found)
            seconds[way].append(time.perf_counter() - started_s)
    for way, found_by_seed in scores.items():
        figure = f"parity.{name}.{way}"
        result.add(
            Figure(f"{figure}.return", "return", tuple(found_by_seed)),
            Figure(f"{figure}.mean_return", "return", (statistics.fmean(found_by_seed),)),
            Figure(f"{figure}.interval", "return", (_half_interval(found_by_seed),)),
            Figure(f"{figure}.wall", "s", tuple(seconds[way])),
        )
    result.notes.append(
        f"{name}: a run's return is the mean of its greedy evaluations between "
        f"{task.from_steps:,} and {task.to_steps:,} environment steps; 'interval' is half of the "
        f"95 % interval of the mean over seeds. {_compare(scores, 'train')}"
    )
    if lags:
        of_four = {way: found for way, found in scores.items() if way.startswith("run_4")}
        result.notes.append(f"{name}, four collectors: {_compare(of_four, 'run_4')}")


def _half_interval(scores: list[float]) -> float:
    if len(scores) < 2:
        return 0.0
    return _STANDARD_ERRORS * statistics.stdev(scores) / float(np.sqrt(len(scores)))


def _compare(scores: dict[str, list[float]], reference: str) -> str:
    """Name the ways whose mean lies further from one's than their difference is uncertain."""
    base = scores[reference]
    apart = []
    for way, found in scores.items():
        difference = statistics.fmean(found) - statistics.fmean(base)
        uncertain = float(np.hypot(_half_interval(found), _half_interval(base)))
        if abs(difference) > uncertain:
            apart.append(f"{way} by {difference:+.0f} +- {uncertain:.0f}")
    if not apart:
        return f"No way differs from {reference} by more than the 95 % interval of the difference."
    return f"These differ from {reference} by more than chance (95 %): " + ", ".join(apart) + "."


def _run(task: Task, way: str, seed: int) -> float:
    of, _, lag = way.partition(".")
    command, *words = WAYS[of]
    with tempfile.TemporaryDirectory(prefix="zdqn-bench-") as folder:
        out, config = Path(folder) / "run", Path(folder) / "parity.toml"
        config.write_text(to_toml(task.config(*(LAGS[lag] if lag else ()))))
        options = ("--seed", str(seed), "--run-dir", str(out), *words)
        run_to_end(
            zdqn_command(command, str(config), *options), Path(folder) / "log.txt", _TIMEOUT_S
        )
        evaluations = read_evaluations(out)
    steps = evaluations["environment_steps"]
    return float(evaluations["mean"][(steps >= task.from_steps) & (steps <= task.to_steps)].mean())


def _run_sb3(python: str, seed: int) -> float:
    found, _ = run_script(python, sb3_script.__file__, "parity", str(seed))
    return float(found["mean_return"])
