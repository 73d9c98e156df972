"""What a step teaches: a run in its tiny form, and how the ways are compared."""

import pytest

from tests.benchmarks.tiny import TINY, check, quiet
from zdqn.benchmarks import bench_parity


@pytest.mark.slow
@pytest.mark.parametrize("way", ["train", "run_1"])
def test_a_run_gives_the_mean_of_its_evaluations(way, monkeypatch):
    monkeypatch.setattr(bench_parity, "FROM_STEPS", 100)
    monkeypatch.setattr(bench_parity, "TO_STEPS", 400)
    tiny = ("stop.environment_steps=400", "evaluator.period_environment_steps=100",
            "replay.min_size=100")  # fmt: skip
    monkeypatch.setattr(bench_parity, "_SETTINGS", (*bench_parity._SETTINGS, *tiny))
    assert 5 <= bench_parity._run(way, seed=1) <= 500


def measure(monkeypatch, scores, python="python"):
    """Measure with two scores for each way."""
    left = {way: list(values) for way, values in scores.items()}
    monkeypatch.setattr(bench_parity, "find_python", lambda *_: python)
    monkeypatch.setattr(bench_parity, "_run", lambda way, _: left[way].pop(0))
    monkeypatch.setattr(bench_parity, "_run_sb3", lambda *_: left["sb3"].pop(0))
    return bench_parity.measure(TINY, quiet)


SAME = dict.fromkeys(("train", "run_1", "run_4", "run_16", "sb3"), (300.0, 320.0))


def test_means_and_intervals_are_those_of_the_seeds(monkeypatch):
    result = measure(monkeypatch, {**SAME, "run_4": (100.0, 140.0)})
    figures = {figure.name: figure.values for figure in result.figures}
    check(result.figures, *(f"parity.{way}.{name}" for way in SAME
                            for name in ("return", "mean_return", "interval")))  # fmt: skip
    assert figures["parity.run_4.return"] == (100.0, 140.0)
    assert figures["parity.run_4.mean_return"] == (120.0,)
    assert figures["parity.run_4.interval"] == pytest.approx((1.96 * 20,))
    assert "run_4 by -190 +- 44." in result.notes[0]
    assert "run_16" not in result.notes[0]


def test_what_chance_explains_is_no_difference(monkeypatch):
    result = measure(monkeypatch, {**SAME, "run_1": (310.0, 330.0)})
    assert "No way differs from train" in result.notes[0]


def test_without_a_peer_the_others_are_compared(monkeypatch):
    result = measure(monkeypatch, SAME, python=None)
    assert "--sb3-python" in result.notes[1]
    assert not any("sb3" in figure.name for figure in result.figures)
