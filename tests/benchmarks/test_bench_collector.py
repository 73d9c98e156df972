"""The benchmark of a collector, tiny, with real processes: it ends, with finite figures."""

import pytest

from tests.benchmarks.tiny import TINY, check, quiet
from zdqn.benchmarks import bench_collector


@pytest.mark.slow
def test_collector():
    figures = bench_collector.measure_collector(TINY, quiet, 8, "native")
    check(figures, "collector.8_native", "collector.8_native.to_bare_with_network")
