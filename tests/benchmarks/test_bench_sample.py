"""The benchmark of sampling, tiny, with real processes: it ends, with finite figures."""

import pytest

from tests.benchmarks.tiny import TINY, check, quiet
from zdqn.benchmarks import bench_sample
from zdqn.benchmarks.bench_sample import Subject
from zdqn.benchmarks.subjects import STACKED, VECTOR


@pytest.mark.parametrize("replay", ["uniform", "prioritized"])
def test_sample(replay):
    subject = Subject(replay, "vector", VECTOR, 2000)
    figures = bench_sample.measure_subject(
        TINY, quiet, subject, batch_sizes=(32,), requests=((1, 4), (64, 2))
    )
    name = f"sample.{replay}.vector.32"
    check(figures, f"{name}.1_a_reply.4_in_flight", f"{name}.64_a_reply.2_in_flight")
    assert all(figure.goal for figure in figures)


def test_sample_leaves_out_replies_that_the_learner_would_not_ask_for():
    subject = Subject("uniform", "image", STACKED, 300)
    assert not bench_sample.measure_subject(
        TINY, quiet, subject, batch_sizes=(512,), requests=((64, 2),)
    )


def test_sample_through_shared_memory():
    subject = Subject("uniform", "image", STACKED, 300, shared=True)
    figures = bench_sample.measure_subject(
        TINY, quiet, subject, batch_sizes=(32,), requests=((64, 2),)
    )
    check(figures, "sample.uniform.image.32.shared.4_a_reply.2_in_flight")
    assert figures[0].goal is not None
