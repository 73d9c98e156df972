"""The benchmark of more collectors, tiny, with real processes: it ends, with finite figures."""

from tests.benchmarks.tiny import TINY, check, quiet
from zdqn.benchmarks import bench_scaling


def test_scaling():
    figures = bench_scaling.measure_run(TINY, quiet, 1, "remote")
    check(
        figures,
        "scaling.remote.1",
        "scaling.remote.1.efficiency",
        "scaling.remote.1.bare_efficiency",
    )
    assert bench_scaling.scaling_config("remote").environment.id == "zdqn/SlowCartPole-v0"
