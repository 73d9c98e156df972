"""The benchmark of remote actions, tiny, with real processes: it ends, with finite figures."""

import pytest

from tests.benchmarks.tiny import TINY, check, quiet
from zdqn.benchmarks import bench_actions


@pytest.mark.slow
def test_actions():
    result = bench_actions.measure(TINY, quiet, clients=2, items=2000)
    check(
        result.figures,
        *(f"actions.{state}{kind}" for state in ("idle", "training")
          for kind in ("", ".latency_p50", ".latency_p99")),
        "actions.training.learner",
        "actions.training.learner_speed_kept",
    )  # fmt: skip
