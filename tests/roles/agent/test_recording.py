"""What threads tell, taken out as blocks: when there is room, and who waits."""

import numpy as np
import pytest

from tests.roles.conftest import DEADLINE_S
from zdqn.core.accumulator import Accumulator
from zdqn.core.host_episodes import HostEpisodes
from zdqn.data import EnvironmentSpec
from zdqn.rl.exploration import Choice
from zdqn.roles.agent.recording import RecordedBlocks, Recording

SPEC = EnvironmentSpec((1,), "float32", 3)
BLOCK = 3


def made(*, most=2, opened=True, drops=False):
    recording = Recording(HostEpisodes(SPEC, most), drops=drops)
    if opened:
        accumulator = Accumulator(
            SPEC, environments=most, n_step=1, discount=0.5, block_transitions=BLOCK
        )
        recording.open(accumulator, SPEC, BLOCK)
    return recording


def step(recording, name="a", *, wait_s: float | None = 0.0, keep=True, **ends):
    """Tell a step from 0 to 0; give whether it was recorded."""
    observation = np.zeros(1, np.float32)
    recording.look(name, observation)
    recording.decide(name, Choice(np.array([0]), 1), keep=keep)
    over = {"terminated": False, "truncated": False, **ends}
    return recording.observe(
        name, 1.0, observation, **over, wait_s=wait_s, value=lambda observations, allowed: None
    )


def test_a_block_holds_as_many_as_it_may_also_where_several_episodes_go_on():
    recording = made()
    blocks = RecordedBlocks(recording)
    for name in "aba":
        assert not blocks.full
        assert step(recording, name).recorded
    assert blocks.full
    assert blocks.pending == BLOCK
    block = blocks.take_block()
    assert block is not None
    assert len(block) == BLOCK


def test_counts_are_those_of_when_a_block_was_taken():
    recording = made()
    blocks = RecordedBlocks(recording)
    step(recording, terminated=True)
    assert (blocks.environment_steps, blocks.episodes) == (0, 0)
    blocks.take_block()
    step(recording, terminated=True)
    assert (blocks.environment_steps, blocks.episodes) == (1, 1)
    assert (recording.environment_steps, recording.episodes) == (2, 2)


def test_without_room_a_step_is_dropped_and_counted_and_the_next_one_is_not():
    recording = made()
    for _ in range(BLOCK):
        assert step(recording).recorded
    assert [step(recording).recorded for _ in range(2)] == [False, False]
    assert recording.steps_dropped == 2
    recording.take()
    assert step(recording).recorded
    assert recording.steps_dropped == 2


def test_who_never_waits_gives_the_link_a_moment_once(monkeypatch):
    recording, waits = made(drops=True), []
    monkeypatch.setattr(
        recording._changed, "wait_for", lambda has_room, wait_s: waits.append(wait_s)
    )
    for _ in range(BLOCK):
        assert step(recording, wait_s=None).recorded
    assert [step(recording, wait_s=None).recorded for _ in range(3)] == [False] * 3
    assert waits == [0.02, 0.0, 0.0]
    recording.take()
    assert step(recording, wait_s=None).recorded
    assert len(waits) == 3


def test_what_is_not_to_be_recorded_waits_for_no_room_and_is_not_counted():
    recording = made()
    for _ in range(BLOCK):
        step(recording)
    assert not step(recording, wait_s=None, keep=False).recorded
    assert recording.steps_dropped == 0


def test_who_waits_for_room_goes_on_when_a_block_is_taken(in_thread, until):
    recording = made()
    for _ in range(BLOCK):
        step(recording)
    told = []
    waiting = in_thread(lambda: told.append(step(recording, wait_s=None)))
    until(lambda: recording._changed._waiters)
    recording.take()
    waiting.join(DEADLINE_S)
    assert told[0].recorded
    assert recording.waited_s > 0


def test_who_waits_for_a_block_hears_of_it_at_once(in_thread, until):
    recording = made()
    waiting = in_thread(lambda: recording.wait_until_full(1000))
    until(lambda: recording._changed._waiters)
    for _ in range(BLOCK):
        step(recording)
    waiting.join(DEADLINE_S)
    assert not waiting.is_alive()


def test_closing_completes_what_was_recorded_and_nobody_waits_after(in_thread, until):
    recording = made()
    for _ in range(BLOCK):
        step(recording)
    told = []
    waiting = in_thread(lambda: told.append(step(recording, wait_s=None)))
    until(lambda: recording._changed._waiters)
    recording.close()
    recording.close()
    waiting.join(DEADLINE_S)
    assert not told[0].recorded
    assert not step(recording, wait_s=None).recorded
    recording.wait_until_full(1000)
    assert recording.environment_steps == BLOCK


def test_before_it_is_opened_nothing_is_recorded_and_all_is_counted():
    recording = made(opened=False)
    assert not step(recording, wait_s=None).recorded
    assert recording.steps_dropped == 1
    assert recording.take() == (None, 0, 0)


@pytest.mark.parametrize(("ends", "asked"), [({}, 0), ({"terminated": True}, 0),
                                             ({"truncated": True}, 1)])  # fmt: skip
def test_a_value_is_asked_for_where_an_episode_is_cut_short(ends, asked):
    recording, questions = made(), []
    observation = np.zeros(1, np.float32)
    recording.look("a", observation)
    recording.decide("a", Choice(np.array([0]), 1), keep=True)
    over = {"terminated": False, "truncated": False, **ends}
    recording.observe(
        "a", 1.0, observation, **over, wait_s=0.0,
        value=lambda observations, allowed: questions.append(observations.shape),
    )  # fmt: skip
    assert questions == [(1, 1)] * asked
