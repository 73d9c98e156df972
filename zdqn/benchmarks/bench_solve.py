"""Seconds and environment steps until CartPole-v1 is solved, start-up included."""

from __future__ import annotations

import tempfile
from pathlib import Path

from zdqn.benchmarks import sb3_script
from zdqn.benchmarks.bench_peers import find_python, run_script
from zdqn.benchmarks.measuring import Effort, Figure, Goal, Result, Say
from zdqn.benchmarks.running_system import run_to_end, zdqn_command
from zdqn.errors import FileError
from zdqn.records.run_files import read_summary

GOAL = Goal(0.1, at_most=True)
"""Of SB3's time."""

_SOLVED = 475.0
_TIMEOUT_S = 1200.0
_CONFIG = Path(__file__).resolve().parents[2] / "configs" / "cartpole.toml"


def measure(
    effort: Effort,
    say: Say,
    *,
    seeds: int = 5,
    config: Path | None = None,
    sb3_python: str = "",
) -> Result:
    """Run ``zdqn run configs/cartpole.toml`` and, if it is there, SB3 in turn.

    Args:
        effort: only `quick` matters, for one seed.
        say: told what is going on.
        seeds: how many, from 0.
        config: a configuration that ends at an evaluation of 475; None for the project's own.
        sb3_python: interpreter that has stable-baselines3; "" for this one.

    Raises:
        FileError: when there is no such configuration.
    """
    path = config or _CONFIG
    if not path.exists():
        raise FileError(
            f"There is no {path}: the configurations come with the repository, not with the "
            f"package. Clone it, or name a configuration with --config."
        )
    python = find_python(sb3_python, "stable_baselines3")
    ours: list[tuple[float, float, float]] = []
    theirs: list[tuple[float, float, float]] = []
    for seed in range(1 if effort.quick else seeds):
        say(f"solve: zdqn, seed {seed}")
        ours.append(_run_zdqn(path, seed))
        if python is not None:
            say(f"solve: Stable-Baselines3, seed {seed}")
            theirs.append(_run_sb3(python, seed))
    result = Result()
    result.add(*_figures("zdqn", ours))
    if theirs:
        result.add(*_figures("sb3", theirs))
        ratio = (_median_s(ours) / _median_s(theirs),)
        result.add(Figure("solve.zdqn_to_sb3", "", ratio, goal=GOAL))
    else:
        result.notes.append(
            "Stable-Baselines3 is left out, because it is not installed: "
            'pip install "zdqn[bench]", or name an interpreter that has it with --sb3-python.'
        )
    for name, runs in (("zdqn", ours), ("sb3", theirs)):
        unsolved = sum(best < _SOLVED for _, _, best in runs)
        if unsolved:
            result.notes.append(f"{unsolved} of {len(runs)} runs of {name} did not reach 475.")
    return result


def _run_zdqn(config: Path, seed: int) -> tuple[float, float, float]:
    """Give seconds from start to exit, environment steps, and the best evaluation."""
    with tempfile.TemporaryDirectory(prefix="zdqn-bench-") as folder:
        out = Path(folder) / "run"
        words = ("run", str(config), "--seed", str(seed), "--run-dir", str(out))
        elapsed_s = run_to_end(zdqn_command(*words), Path(folder) / "log.txt", _TIMEOUT_S)
        summary = read_summary(out)
    best = summary["best_evaluation_return"]
    return elapsed_s, summary["environment_steps"], best if best is not None else 0.0


def _run_sb3(python: str, seed: int) -> tuple[float, float, float]:
    found, elapsed_s = run_script(python, sb3_script.__file__, "solve", str(seed))
    return elapsed_s, found["environment_steps"], found["best_evaluation_return"]


def _median_s(runs: list[tuple[float, float, float]]) -> float:
    return Figure("", "s", tuple(seconds for seconds, _, _ in runs)).median


def _figures(name: str, runs: list[tuple[float, float, float]]) -> list[Figure]:
    seconds, steps, best = (tuple(column) for column in zip(*runs, strict=True))
    return [
        Figure(f"solve.{name}.wall", "s", seconds),
        Figure(f"solve.{name}.environment_steps", "environment steps", steps),
        Figure(f"solve.{name}.best_evaluation", "return", best),
    ]
