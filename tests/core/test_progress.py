import json

import pytest

from zdqn.core.progress import ProgressTotal
from zdqn.wire.protocol import Progress

COUNTERS = [name for name in Progress.__struct_fields__ if name != "session"]


def make_progress(session, **counters):
    return Progress(session=session, **{**dict.fromkeys(COUNTERS, 0), **counters})


def test_nothing_heard_is_nothing_counted():
    total = ProgressTotal()
    assert (total.environment_steps, total.episodes, total.transitions, total.restarts) == (0,) * 4
    assert total.total("blocks") == 0


@pytest.mark.parametrize("counter", COUNTERS)
def test_counters_of_one_memory_replace_each_other_and_of_two_add_up(counter):
    total = ProgressTotal()
    assert not total.observe(make_progress(1, **{counter: 5}))
    assert not total.observe(make_progress(1, **{counter: 7}))
    assert total.total(counter) == 7
    assert total.observe(make_progress(2, **{counter: 2}))
    assert total.total(counter) == 9
    assert not total.observe(make_progress(2, **{counter: 4}))
    assert total.total(counter) == 11
    assert total.restarts == 1


def test_three_memories_add_up():
    total = ProgressTotal()
    for session in (1, 2, 3):
        total.observe(make_progress(session, environment_steps=10, episodes=1, transitions=9))
    assert (total.environment_steps, total.episodes, total.transitions) == (30, 3, 27)
    assert total.restarts == 2


@pytest.mark.parametrize("heard", [0, 1, 2])
@pytest.mark.parametrize("same_memory", [True, False])
def test_a_resumed_learner_counts_on_whether_its_memory_lived_on_or_not(heard, same_memory):
    before = ProgressTotal()
    for session in range(1, heard + 1):
        before.observe(make_progress(session, environment_steps=10))
    after = ProgressTotal()
    after.load_state_dict(json.loads(json.dumps(before.state_dict())))
    assert after.environment_steps == before.environment_steps == 10 * heard
    assert after.restarts == before.restarts
    if heard and same_memory:
        assert not after.observe(make_progress(heard, environment_steps=15))
        assert after.environment_steps == 10 * heard + 5
    else:
        assert after.observe(make_progress(99, environment_steps=4)) is (heard > 0)
        assert after.environment_steps == 10 * heard + 4
