"""The benchmark of acknowledged delivery, tiny, with real processes: finite figures."""

from tests.benchmarks.tiny import TINY, check, quiet
from zdqn.benchmarks import bench_delivery
from zdqn.benchmarks.subjects import VECTOR


def test_delivery():
    figures = bench_delivery.measure_subject(TINY, quiet, VECTOR, 2000)
    check(figures, "delivery.insert.vector.32", "delivery.insert.vector.32.share")
    assert figures[1].goal is not None
    assert figures[0].bound
