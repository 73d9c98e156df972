"""Vectorized environments begin with seeds of their own, and end whatever happened to them."""

import signal
import warnings
from typing import Any

import numpy as np
import pytest

from tests.envs.shaped import build
from zdqn.envs import close_environments, reset_environments


@pytest.mark.parametrize("killed", [0, 2])
def test_workers_end_even_if_one_was_killed_and_their_owner_handles_sigterm(killed):
    """And that gymnasium's close warns of the step, whose end has been told, is not shown."""
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        environments = build(vectorization="async", count=3)
        reset_environments(environments, 0)
        workers = environments.processes
        workers[killed].kill()
        with pytest.raises((EOFError, OSError)):
            environments.step(np.zeros(3, np.int64))
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            close_environments(environments)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert not any(worker.is_alive() for worker in workers)
    assert said == []


def test_seeds_of_neighbours_share_no_episode():
    first, second = build(count=4), build(count=4)
    frames = reset_environments(first, 1)[0], reset_environments(second, 2)[0]
    assert len(np.unique(np.concatenate(frames), axis=0)) == 8
    assert np.array_equal(reset_environments(first, 2)[0], frames[1])


def test_environments_side_by_side_begin_differently_and_the_same_for_a_seed():
    frames, again = (reset_environments(build(count=3), 7)[0] for _ in range(2))
    assert len(np.unique(frames, axis=0)) == 3
    assert np.array_equal(frames, again)


class OneSeed:
    """A vectorized form of somebody's own, which takes one seed for all."""

    num_envs = 3

    def __init__(self):
        self.seeds = []
        self.closed = 0

    @property
    def unwrapped(self):
        return self

    def reset(self, *, seed):
        self.seeds.append(seed)
        return [[0.0], [1.0], [2.0]], {}

    def close(self):
        self.closed += 1


def test_a_native_form_gets_one_seed_that_depends_on_the_configured_one():
    environments: Any = OneSeed()
    frames, _ = reset_environments(environments, 1)
    assert frames.tolist() == [[0.0], [1.0], [2.0]]
    for seed in (1, 2):
        reset_environments(environments, seed)
    first, again, other = environments.seeds
    assert isinstance(first, int)
    assert first == again != other


def test_a_native_form_is_closed_in_its_own_way():
    environments: Any = OneSeed()
    close_environments(environments)
    assert environments.closed == 1


@pytest.mark.parametrize("vectorization", ["sync", "async"])
def test_closing_twice_is_harmless_and_leaves_no_process(vectorization):
    environments = build(count=2, vectorization=vectorization)
    reset_environments(environments, 0)
    workers = getattr(environments, "processes", [])
    close_environments(environments)
    close_environments(environments)
    assert environments.closed
    assert not any(worker.is_alive() for worker in workers)
