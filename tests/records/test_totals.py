import json

import numpy as np
import pytest

from zdqn.records.totals import RunTotals
from zdqn.wire.memory_messages import Progress

COUNTERS = [name for name in Progress.__struct_fields__ if name != "session"]


def make_progress(session, **counters):
    return Progress(session=session, **{**dict.fromkeys(COUNTERS, 0), **counters})


def test_nothing_heard_is_nothing_counted():
    total = RunTotals()
    assert (total.environment_steps, total.episodes, total.transitions, total.restarts) == (0,) * 4
    assert total.total("blocks") == 0


@pytest.mark.parametrize("counter", COUNTERS)
def test_counters_of_one_memory_replace_each_other_and_of_two_add_up(counter):
    total = RunTotals()
    assert not total.observe(make_progress(1, **{counter: 5}))
    assert not total.observe(make_progress(1, **{counter: 7}))
    assert total.total(counter) == 7
    assert total.observe(make_progress(2, **{counter: 2}))
    assert total.total(counter) == 9
    assert not total.observe(make_progress(2, **{counter: 4}))
    assert total.total(counter) == 11
    assert total.restarts == 1


def test_three_memories_add_up():
    total = RunTotals()
    for session in (1, 2, 3):
        total.observe(make_progress(session, environment_steps=10, episodes=1, transitions=9))
    assert (total.environment_steps, total.episodes, total.transitions) == (30, 3, 27)
    assert total.restarts == 2


@pytest.mark.parametrize("heard", [0, 1, 2])
@pytest.mark.parametrize("same_memory", [True, False])
def test_a_resumed_learner_counts_on_whether_its_memory_lived_on_or_not(heard, same_memory):
    before = RunTotals()
    for session in range(1, heard + 1):
        before.observe(make_progress(session, environment_steps=10))
    after = RunTotals()
    after.load_state_dict(json.loads(json.dumps(before.state_dict())))
    assert after.environment_steps == before.environment_steps == 10 * heard
    assert after.restarts == before.restarts
    if heard and same_memory:
        assert not after.observe(make_progress(heard, environment_steps=15))
        assert after.environment_steps == 10 * heard + 5
    else:
        assert after.observe(make_progress(99, environment_steps=4)) is (heard > 0)
        assert after.environment_steps == 10 * heard + 4


@pytest.mark.parametrize("heard", [0, 1])
def test_the_memory_that_a_learner_joins_has_replaced_nobody_and_later_ones_have(heard):
    before = RunTotals()
    for session in range(1, heard + 1):
        before.observe(make_progress(session, samples=10))
    after = RunTotals()
    after.load_state_dict(json.loads(json.dumps(before.state_dict())))
    assert not after.begin_with(5)
    assert after.newest == 5
    assert not after.observe(make_progress(5, samples=4))
    assert (after.total("samples"), after.restarts) == (10 * heard + 4, 0)
    assert after.begin_with(5)
    assert after.observe(make_progress(6))
    assert (after.newest, after.restarts) == (6, 1)


def test_what_learners_count_adds_up_over_their_starts():
    total = RunTotals()
    assert total.of_learners("actions_served") == 0
    state = total.state_dict()
    for start in range(1, 4):
        total.count(actions_served=5)
        total.count(actions_served=10)
        assert total.of_learners("actions_served") == 10 * start
        state = json.loads(json.dumps(total.state_dict()))
        total = RunTotals()
        total.load_state_dict(state)
        assert total.of_learners("actions_served") == 10 * start
    del state["learners"]  # as a checkpoint of an earlier version
    total.load_state_dict(state)
    assert total.of_learners("actions_served") == 0


# --- several memories ---------------------------------------------------------------------------


def test_living_memories_are_no_restarts_in_whatever_order_they_speak():
    total = RunTotals()
    for memory, session, steps in [
        (0, 1, 10),
        (1, 2, 5),
        (0, 1, 12),
        (1, 2, 6),
        (1, 2, 7),
        (0, 1, 20),
    ]:
        assert not total.observe(make_progress(session, environment_steps=steps), memory)
    assert (total.environment_steps, total.restarts) == (27, 0)


def test_a_restart_is_that_of_one_place():
    total = RunTotals()
    for memory, session in ((0, 1), (1, 2), (2, 3)):
        total.observe(make_progress(session, blocks=10), memory)
    assert total.observe(make_progress(4, blocks=1), memory=1)
    assert not total.observe(make_progress(3, blocks=11), memory=2)
    assert not total.observe(make_progress(4, blocks=2), memory=1)
    assert total.observe(make_progress(5, blocks=1), memory=1)
    assert (total.total("blocks"), total.restarts) == (10 + 10 + 11 + 2 + 1, 2)


def test_a_late_answer_of_a_memory_that_was_replaced_counts_once():
    total = RunTotals()
    total.observe(make_progress(1, episodes=5))
    assert total.observe(make_progress(2, episodes=1))
    assert not total.observe(make_progress(1, episodes=6))
    assert not total.observe(make_progress(2, episodes=2))
    assert (total.episodes, total.restarts) == (8, 1)


@pytest.mark.parametrize("seed", range(20))
def test_it_agrees_with_a_list_of_all_that_was_said(seed):
    """Three places, whose memories die now and then; the learner resumes in between."""
    rng = np.random.default_rng(seed)
    total = RunTotals()
    living = [1, 2, 3]
    counted = dict.fromkeys(living, 0)
    heard: list[tuple[int, int, int]] = []  # place, session, count
    restarts = 0
    for _ in range(100):
        place = int(rng.integers(3))
        if rng.random() < 0.1:
            living[place] = max(counted) + 1
            counted[living[place]] = 0
        session = living[place]
        counted[session] += int(rng.integers(5))
        before = [s for p, s, _ in heard if p == place]
        restarts += bool(before) and before[-1] != session
        heard.append((place, session, counted[session]))
        total.observe(make_progress(session, transitions=counted[session]), place)
        if rng.random() < 0.1:
            resumed = RunTotals()
            resumed.load_state_dict(json.loads(json.dumps(total.state_dict())))
            total = resumed
        latest = {session: count for _, session, count in heard}
        assert (total.transitions, total.restarts) == (sum(latest.values()), restarts)
