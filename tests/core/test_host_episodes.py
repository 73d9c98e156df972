"""Episodes that somebody else steps, without threads: what is kept, and what is refused."""

import numpy as np
import pytest

from zdqn.core.accumulator import Accumulator
from zdqn.core.host_episodes import HostEpisodes
from zdqn.data import EnvironmentSpec, EpisodeStatistics
from zdqn.errors import UsageError
from zdqn.rl.exploration import Choice

SPEC = EnvironmentSpec((1,), "float32", 3)


def frame(value):
    return np.array([value], np.float32)


def choice(action, version=1):
    return Choice(np.array([action]), version)


class Told:
    """Episodes with an accumulator."""

    def __init__(self, most=2, *, stack=1, n_step=2, record=True):
        self.spec = EnvironmentSpec((1,), "float32", 3, stack)
        self.episodes = HostEpisodes(SPEC, most)
        self.accumulator = Accumulator(
            self.spec, environments=most, n_step=n_step, discount=0.5, block_transitions=64
        )
        if record:
            self.episodes.record_into(self.accumulator, self.spec)

    def step(self, name, before, after, *, reward=1.0, terminated=False, truncated=False,
             keep=True, record=True):  # fmt: skip
        """Tell a step from one frame to another."""
        look = self.episodes.look(name, frame(before))
        self.episodes.decide(name, choice(0), keep=keep)
        outcome = self.episodes.read(name, reward, frame(after), terminated, truncated)
        observations = self.episodes.push(name, outcome)
        self.pushed = observations.copy()
        return look, self.episodes.take_in(name, outcome, record=keep and record)

    def transitions(self):
        """Give (newest frame before, return, newest frame after, bootstrap) of all."""
        self.episodes.stop_recording()
        block = self.accumulator.take_block()
        assert block is not None
        return [
            (
                block.frames[record["observation"]][:, 0].tolist(),
                float(record["reward"]),
                block.frames[record["next_observation"]][:, 0].tolist(),
                float(record["discount"]),
            )
            for record in block.records
        ]


def test_steps_of_an_episode_become_transitions_and_its_end_is_told():
    told = Told()
    assert told.step("a", 0, 1)[1] is None
    assert told.step("a", 1, 2, terminated=True)[1] == EpisodeStatistics(2.0, 2)
    assert told.transitions() == [([0], 1.5, [2], 0.0), ([1], 1.0, [2], 0.0)]
    assert told.episodes.episodes == 1


def test_a_step_that_is_not_recorded_leaves_a_gap_with_whole_transitions_on_both_sides():
    for options in ({"keep": False}, {"record": False}):
        told = Told(stack=2)
        told.step("a", 0, 1)
        told.step("a", 1, 2)
        told.step("a", 2, 3, **options)
        look, _ = told.step("a", 3, 4)
        assert look.observations[0, :, 0].tolist() == [2, 3]  # the network saw no gap
        assert told.transitions() == [
            ([0, 0], 1.5, [1, 2], 0.25), ([0, 1], 1.0, [1, 2], 0.5), ([3, 3], 1.0, [3, 4], 0.5),
        ]  # fmt: skip


@pytest.mark.parametrize(("record", "episodes"), [(True, 1), (False, 0)])
def test_an_episode_counts_whose_last_step_is_recorded(record, episodes):
    told = Told()
    told.step("a", 0, 1)
    _, ended = told.step("a", 1, 2, truncated=True, record=record)
    assert ended == EpisodeStatistics(2.0, 2)
    assert told.episodes.episodes == episodes


def test_before_there_is_anything_to_record_into_order_is_kept_all_the_same():
    told = Told(stack=2, record=False)
    told.step("a", 0, 1, record=False)
    with pytest.raises(UsageError, match="differs"):
        told.episodes.look("a", frame(0))
    told.episodes.record_into(told.accumulator, told.spec)
    look, _ = told.step("a", 1, 2)
    assert look.observations[0, :, 0].tolist() == [1, 1]
    assert told.transitions() == [([1, 1], 1.0, [1, 2], 0.5)]


def test_places_are_taken_and_freed_and_an_episode_knows_that_it_follows_another():
    told = Told()
    first, _ = told.step("a", 0, 1)
    second, _ = told.step("b", 0, 1)
    assert (first.place, first.again, second.place, second.again) == (0, False, 1, False)
    told.step("a", 1, 2, terminated=True)
    third, _ = told.step("c", 0, 1)
    assert (third.place, third.again) == (0, True)
    fourth, _ = told.step("c", 1, 2)
    assert not fourth.again
    with pytest.raises(UsageError, match=r"2 go on already.*'b', 'c'"):
        told.episodes.look("d", frame(0))


def test_what_is_observed_at_an_end_is_the_stack_with_its_last_frame():
    told = Told(stack=3)
    told.step("a", 0, 1)
    told.step("a", 1, 2, truncated=True)
    assert told.pushed[0, :, 0].tolist() == [0, 1, 2]


def test_a_value_at_the_end_gives_the_last_transition_its_priority():
    told = Told(n_step=1)
    told.episodes.look("a", frame(0))
    told.episodes.decide(
        "a",
        Choice(np.array([0]), 1, frame(3.0), np.array([4.0], np.float32)),
        keep=True,
    )
    outcome = told.episodes.read("a", 1.0, frame(1), False, True)
    told.episodes.push("a", outcome)
    told.episodes.take_in("a", outcome, record=True, last_q=frame(10.0))
    block = told.accumulator.take_block()
    assert block is not None
    assert block.records["priority"].tolist() == [abs(1 + 0.5 * 10 - 3)]


def test_what_was_given_may_be_overwritten_by_the_program():
    told = Told()
    seen = frame(0)
    told.episodes.look("a", seen)
    seen[0] = 9
    told.episodes.decide("a", choice(1), keep=True)
    after = frame(1)
    outcome = told.episodes.read("a", 0.0, after, False, False)
    after[0] = 9
    told.episodes.push("a", outcome)
    told.episodes.take_in("a", outcome, record=True)
    assert told.transitions() == [([0], 0.0, [1], 0.5)]


def test_two_that_act_at_once_in_one_episode_are_told():
    told = Told()
    told.episodes.look("a", frame(0))
    told.episodes.look("a", frame(0))
    told.episodes.decide("a", choice(0), keep=True)
    with pytest.raises(UsageError, match="Two threads act in episode 'a'"):
        told.episodes.decide("a", choice(0), keep=True)


def test_an_action_may_be_taken_back():
    told = Told()
    told.episodes.look("a", frame(0))
    told.episodes.decide("a", choice(0), keep=True)
    told.episodes.take_back("a")
    told.step("a", 0, 1)


@pytest.mark.parametrize(("action", "start", "number"), [(0, 0, 0), (2, 0, 2), (7, 5, 2)])
def test_an_action_of_somebody_else_is_numbered_from_0(action, start, number):
    assert Told().episodes.read_action(action, start).tolist() == [number]


@pytest.mark.parametrize(("action", "start"), [(3, 0), (-1, 0), (4, 5), (8, 5), (1.0, 0)])
def test_one_that_is_none_is_refused(action, start):
    with pytest.raises(UsageError, match=r"^action is "):
        Told().episodes.read_action(action, start)
