"""The benchmark of larger replays, tiny, with real processes: it ends, with finite figures."""

import pytest

from tests.benchmarks.tiny import TINY, check, quiet
from zdqn.benchmarks import bench_growth


@pytest.mark.parametrize("replay", ["uniform", "prioritized"])
def test_growth(replay):
    figures = bench_growth.measure_replay(TINY, quiet, replay, (300, 3000))
    check(
        figures,
        *(f"growth.{replay}.{action}.{size}" for action in ("insert", "sample")
          for size in (300, 3000, "largest_to_smallest")),
    )  # fmt: skip
    goal = figures[2].goal
    assert goal is not None
    assert (goal.limit == 1.2) is (replay == "uniform")
