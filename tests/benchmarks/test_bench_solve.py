"""Solving CartPole in a tiny form, and beside a peer that is stood in for."""

import pytest

from tests.benchmarks.tiny import TINY, check, quiet
from zdqn.benchmarks import bench_solve
from zdqn.errors import FileError

SOLVED_AT_ONCE = """
[stop]
updates = 20
[network]
hidden = [8]
[replay]
min_size = 64
samples_per_insert = 8.0
[evaluator]
episodes = 1
environments = 1
period_updates = 10
[launch]
collectors = 1
"""


@pytest.mark.slow
def test_solve(tmp_path, monkeypatch):
    monkeypatch.setattr(bench_solve, "find_python", lambda *_: None)
    config = tmp_path / "tiny.toml"
    config.write_text(SOLVED_AT_ONCE)
    result = bench_solve.measure(TINY, quiet, config=config)
    names = ("wall", "environment_steps", "best_evaluation")
    check(result.figures, *(f"solve.zdqn.{name}" for name in names))
    assert "--sb3-python" in result.notes[0]
    assert result.notes[1] == "1 of 1 runs of zdqn did not reach 475."


def test_solve_beside_a_peer(monkeypatch):
    runs = {"zdqn": iter([(2.0, 5000, 480.0)]), "sb3": iter([(8.0, 9000, 500.0)])}
    monkeypatch.setattr(bench_solve, "find_python", lambda *_: "python")
    monkeypatch.setattr(bench_solve, "_run_zdqn", lambda *_: next(runs["zdqn"]))
    monkeypatch.setattr(bench_solve, "_run_sb3", lambda *_: next(runs["sb3"]))
    result = bench_solve.measure(TINY, quiet)
    (ratio,) = (figure for figure in result.figures if figure.goal)
    assert (ratio.name, ratio.values, ratio.met) == ("solve.zdqn_to_sb3", (0.25,), False)
    assert not result.notes


def test_solve_without_its_configuration(tmp_path):
    with pytest.raises(FileError, match="--config"):
        bench_solve.measure(TINY, quiet, config=tmp_path / "none.toml")
