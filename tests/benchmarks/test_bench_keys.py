"""The benchmark of keys, tiny, with real processes: it ends, with finite figures."""

from tests.benchmarks.tiny import TINY, check, quiet
from zdqn.benchmarks import bench_keys
from zdqn.benchmarks.bench_sample import Subject
from zdqn.benchmarks.subjects import VECTOR


def test_keys():
    subject = Subject("uniform", "vector", VECTOR, 2000)
    figures = bench_keys.measure_subject(TINY, quiet, subject)
    insert, sample = "keys.insert.vector.32", "keys.sample.vector.32.64_a_reply"
    check(figures, insert, f"{insert}.share", sample, f"{sample}.share")
    assert [figure.goal is not None for figure in figures] == [False, True, False, True]
    assert all(figure.bound for figure in figures if not figure.goal)
