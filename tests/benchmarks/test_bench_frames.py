"""The benchmark of the bytes of frames, tiny, with real processes: it ends, with finite figures."""

from tests.benchmarks.tiny import TINY, check, quiet
from zdqn.benchmarks import bench_frames


def test_frames():
    result = bench_frames.measure(TINY, quiet)
    check(result.figures, "frames.blocks_of_32.wire", "frames.blocks_of_32.ram")
    assert all(7056 < figure.median < 2 * 7056 for figure in result.figures)
