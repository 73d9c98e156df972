"""What a step teaches: a run in its tiny form, and how the ways are compared."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks.tiny import TINY, check, quiet
from zdqn.benchmarks import bench_parity
from zdqn.benchmarks.bench_parity import LAGS, TASKS, WAYS
from zdqn.config import to_toml


@pytest.mark.slow
@pytest.mark.parametrize("way", ["train", "run_1", "run_4.older_weights"])
@pytest.mark.parametrize(("name", "least", "most"), [("cartpole", 5, 500), ("pendulum", -2000, 0)])
def test_a_run_gives_the_mean_of_its_evaluations(name, least, most, way):
    tiny = ("evaluator.period_environment_steps=100", "replay.min_size=100")
    task = dataclasses.replace(
        TASKS[name], settings=(*TASKS[name].settings, *tiny), from_steps=100, to_steps=400
    )
    assert least <= bench_parity._run(task, way, seed=1) <= most


def test_only_evaluations_between_its_steps_count(monkeypatch):
    """Both are included."""
    monkeypatch.setattr(bench_parity, "run_to_end", lambda *_: 1.0)
    columns = {
        "environment_steps": np.array([4_999, 5_000, 25_000, 25_001]),
        "mean": np.array([1.0, 2.0, 4.0, 8.0]),
    }
    monkeypatch.setattr(bench_parity, "read_evaluations", lambda _: columns)
    assert bench_parity._run(TASKS["cartpole"], "train", seed=0) == 3.0


@pytest.mark.parametrize("lag", LAGS)
@pytest.mark.parametrize("name", TASKS)
def test_a_lag_is_a_configuration_of_its_own_and_reaches_the_run(name, lag, monkeypatch):
    """A run of four collectors is given it, and other lags are given something else."""
    written = []

    def run_to_end(command, *_):
        written.append((command, Path(command[command.index("run") + 1]).read_text()))
        return 1.0

    columns = {"environment_steps": np.array([10_000]),
               "mean": np.array([1.0])}  # fmt: skip
    monkeypatch.setattr(bench_parity, "run_to_end", run_to_end)
    monkeypatch.setattr(bench_parity, "read_evaluations", lambda _: columns)
    for way in ("run_4", *(f"run_4.{other}" for other in LAGS)):
        bench_parity._run(TASKS[name], way, seed=0)
    texts = [text for _, text in written]
    assert len(set(texts)) == 1 + len(LAGS)
    command, text = written[1 + list(LAGS).index(lag)]
    assert command[command.index("--collectors") + 1] == "4"
    assert text == to_toml(TASKS[name].config(*LAGS[lag]))


def measure(monkeypatch, scores, python="python", **options):
    """Measure with two scores for each way; gives the result, and what was run."""
    left = {way: list(values) for way, values in scores.items()}
    asked = []

    def run(task, way, seed):
        name = next(name for name, known in TASKS.items() if known is task)
        asked.append((name, way, seed))
        return left[way].pop(0)

    monkeypatch.setattr(bench_parity, "find_python", lambda *_: python)
    monkeypatch.setattr(bench_parity, "_run", run)
    monkeypatch.setattr(bench_parity, "_run_sb3", lambda *_: left["sb3"].pop(0))
    return bench_parity.measure(TINY, quiet, **options), asked


SAME = dict.fromkeys((*WAYS, "sb3"), (300.0, 320.0))
FIGURES = ("return", "mean_return", "interval", "wall")


def test_means_and_intervals_are_those_of_the_seeds(monkeypatch):
    result, _ = measure(monkeypatch, {**SAME, "run_4": (100.0, 140.0)}, task="cartpole")
    figures = {figure.name: figure.values for figure in result.figures}
    check(result.figures, *(f"parity.cartpole.{way}.{name}" for way in SAME for name in FIGURES))
    assert figures["parity.cartpole.run_4.return"] == (100.0, 140.0)
    assert figures["parity.cartpole.run_4.mean_return"] == (120.0,)
    assert figures["parity.cartpole.run_4.interval"] == pytest.approx((1.96 * 20,))
    assert "run_4 by -190 +- 44." in result.notes[0]
    assert "run_16" not in result.notes[0]


def test_what_chance_explains_is_no_difference(monkeypatch):
    result, _ = measure(monkeypatch, {**SAME, "run_1": (310.0, 330.0)}, task="cartpole")
    assert "No way differs from train" in result.notes[0]


def test_without_a_peer_the_others_are_compared(monkeypatch):
    result, _ = measure(monkeypatch, SAME, python=None, task="cartpole")
    assert "--sb3-python" in result.notes[1]
    assert not any("sb3" in figure.name for figure in result.figures)


def test_both_tasks_are_measured_unless_one_is_named_and_the_peer_knows_one(monkeypatch):
    twice = {way: values * 2 for way, values in SAME.items()}
    result, asked = measure(monkeypatch, twice)
    expected = [(name, way, seed) for name in TASKS for seed in (0, 1) for way in WAYS]
    assert asked == expected
    names = [figure.name for figure in result.figures]
    assert "parity.cartpole.sb3.return" in names
    assert "parity.pendulum.sb3.return" not in names
    assert [note.partition(":")[0] for note in result.notes] == list(TASKS)


def test_lags_stand_beside_four_collectors(monkeypatch):
    low = {f"run_4.{lag}": (300.0, 320.0) for lag in LAGS} | {"run_4.older_weights": (9.0, 11.0)}
    result, asked = measure(monkeypatch, {**SAME, **low}, task="pendulum", lags=True)
    assert {way for _, way, _ in asked} == {*WAYS, *low}
    assert result.notes[1].startswith("pendulum, four collectors: These differ from run_4")
    assert "run_4.older_weights by -300" in result.notes[1]
    assert "larger_blocks" not in result.notes[1]
