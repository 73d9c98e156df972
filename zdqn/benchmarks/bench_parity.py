"""How much is learned from each environment step: one process, several collectors, and SB3."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

import numpy as np

from zdqn.benchmarks import sb3_script
from zdqn.benchmarks.bench_peers import find_python, run_script
from zdqn.benchmarks.measuring import Effort, Figure, Result, Say
from zdqn.benchmarks.running_system import run_to_end, zdqn_command
from zdqn.config import load_config, to_toml
from zdqn.records.run_tables import read_evaluations

FROM_STEPS, TO_STEPS = 5_000, 25_000
"""The score of a run is the mean of its greedy evaluations between these environment steps."""

_SETTINGS = (
    "environment.id=CartPole-v1", f"stop.environment_steps={TO_STEPS}", "network.hidden=[128,128]",
    "algorithm.n_step=3", "algorithm.batch_size=64", "algorithm.learning_rate=1e-3",
    "algorithm.target_update_period_updates=50", "replay.capacity=50_000",
    "replay.min_size=1_000", "replay.samples_per_insert=16", "exploration.epsilon_final=0.04",
    "exploration.epsilon_decay_environment_steps=5_000", "collector.environments=1",
    "collector.block_transitions=4", "evaluator.period_environment_steps=1_000",
    "evaluator.episodes=20", "evaluator.environments=20", "evaluator.vectorization=native",
)  # fmt: skip
"""An update for every four steps, and an environment so quick that the learner is waited for."""
_WAYS = {
    "train": ("train",),
    "run_1": ("run", "--collectors", "1"),
    "run_4": ("run", "--collectors", "4"),
    "run_16": ("run", "--collectors", "16"),
}
_TIMEOUT_S = 600.0
_STANDARD_ERRORS = 1.96


def measure(effort: Effort, say: Say, *, seeds: int = 5, sb3_python: str = "") -> Result:
    """Train CartPole-v1 in each way with the same settings, seed by seed in turn.

    Args:
        effort: only `quick` matters, for two seeds.
        say: told what is going on.
        seeds: how many, from 0.
        sb3_python: interpreter that has stable-baselines3; "" for this one.
    """
    python = find_python(sb3_python, "stable_baselines3")
    scores: dict[str, list[float]] = {way: [] for way in (*_WAYS, *(("sb3",) if python else ()))}
    for seed in range(2 if effort.quick else seeds):
        for way, way_scores in scores.items():
            say(f"parity: {way}, seed {seed}")
            way_scores.append(_run_sb3(python or "", seed) if way == "sb3" else _run(way, seed))
    result = Result()
    for way, found in scores.items():
        result.add(
            Figure(f"parity.{way}.return", "return", tuple(found)),
            Figure(f"parity.{way}.mean_return", "return", (statistics.fmean(found),)),
            Figure(f"parity.{way}.interval", "return", (_half_interval(found),)),
        )
    result.notes.append(
        f"A run's return is the mean of its greedy evaluations between {FROM_STEPS:,} and "
        f"{TO_STEPS:,} environment steps; 'interval' is half of the 95 % interval of the mean over "
        f"seeds. {_compare(scores)}"
    )
    if python is None:
        result.notes.append(
            "Stable-Baselines3 is left out, because it is not installed: "
            'pip install "zdqn[bench]", or name an interpreter that has it with --sb3-python.'
        )
    return result


def _half_interval(scores: list[float]) -> float:
    if len(scores) < 2:
        return 0.0
    return _STANDARD_ERRORS * statistics.stdev(scores) / float(np.sqrt(len(scores)))


def _compare(scores: dict[str, list[float]]) -> str:
    """Name the ways whose mean lies further from train's than their difference is uncertain."""
    reference = scores["train"]
    apart = []
    for way, found in scores.items():
        difference = statistics.fmean(found) - statistics.fmean(reference)
        uncertain = float(np.hypot(_half_interval(found), _half_interval(reference)))
        if abs(difference) > uncertain:
            apart.append(f"{way} by {difference:+.0f} +- {uncertain:.0f}")
    if not apart:
        return "No way differs from train by more than the 95 % interval of the difference."
    return "These differ from train by more than chance (95 %): " + ", ".join(apart) + "."


def _run(way: str, seed: int) -> float:
    with tempfile.TemporaryDirectory(prefix="zdqn-bench-") as folder:
        out, config = Path(folder) / "run", Path(folder) / "parity.toml"
        config.write_text(to_toml(load_config(None, _SETTINGS)))
        command, *words = _WAYS[way]
        options = ("--seed", str(seed), "--run-dir", str(out), *words)
        run_to_end(
            zdqn_command(command, str(config), *options), Path(folder) / "log.txt", _TIMEOUT_S
        )
        evaluations = read_evaluations(out)
    steps = evaluations["environment_steps"]
    return float(evaluations["mean"][(steps >= FROM_STEPS) & (steps <= TO_STEPS)].mean())


def _run_sb3(python: str, seed: int) -> float:
    found, _ = run_script(python, sb3_script.__file__, "parity", str(seed))
    return float(found["mean_return"])
