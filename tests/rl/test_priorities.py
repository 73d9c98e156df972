import numpy as np
import pytest

from zdqn.errors import UsageError
from zdqn.rl.priorities import Priorities

NONE = -1.0


def make(capacity=8, *, exponent=0.5, epsilon=0.25, errors=()):
    priorities = Priorities(capacity, exponent=exponent, epsilon=epsilon)
    if errors:
        priorities.fill(0, priorities.of_new(np.array(errors, np.float32)))
    return priorities


def draw(priorities, batch_size, batches=1):
    probabilities = np.zeros(batch_size * batches)
    slots = priorities.draw(batch_size, batches, np.random.default_rng(0), probabilities)
    return slots, probabilities


def test_at_first_nothing_can_be_drawn():
    assert make().total == 0.0
    assert make().highest == 1.0


def test_a_new_item_has_its_own_priority_or_the_highest():
    priorities = make()
    new = priorities.of_new(np.array([NONE, 0.0, 2.0, 8.75], np.float32))
    # (1, 0 + 0.25, 2 + 0.25, 8.75 + 0.25) ^ 0.5: the highest is that from before the block
    np.testing.assert_allclose(new, [1.0, 0.5, 1.5, 3.0])
    assert priorities.highest == 9.0
    np.testing.assert_allclose(priorities.of_new(np.array([NONE], np.float32)), [3.0])
    priorities.of_new(np.array([0.0], np.float32))
    assert priorities.highest == 9.0


def test_a_td_error_makes_a_priority_whatever_its_sign():
    priorities = make(errors=[0.0, 0.0, 0.0])
    new = priorities.raise_up(np.array([-3.75, 0.0, 0.75], np.float32), np.arange(3))
    np.testing.assert_allclose(new, [4.0, 0.25, 1.0])
    assert (priorities.total, priorities.highest) == (1.5, 1.0)  # nothing is written yet
    priorities.update(np.array([2, 0, 2]), new)
    assert priorities.total == 0.5 + 0.5 + 1.0
    assert priorities.highest == 4.0


def test_a_slot_is_drawn_in_proportion_until_it_is_emptied():
    priorities = make(errors=[0.0, 2.0, 8.75, 0.0])
    slots, probabilities = draw(priorities, 2200)
    np.testing.assert_array_equal(np.bincount(slots), [200, 600, 1200, 200])
    np.testing.assert_allclose(probabilities, np.array([0.5, 1.5, 3.0, 0.5])[slots] / 5.5)
    priorities.empty(1, 2)
    slots, probabilities = draw(priorities, 100)
    np.testing.assert_array_equal(np.bincount(slots), [50, 0, 0, 50])
    assert set(probabilities) == {0.5}
    priorities.check_valid(np.array([1, 2, 4, 5, 6, 7]))
    with pytest.raises(AssertionError, match="evicted"):
        priorities.check_valid(np.array([3]))


def test_every_batch_has_its_share_of_each_slot():
    slots, _ = draw(make(errors=[2.0] * 8), 8, 4)
    for batch in slots.reshape(4, 8):
        assert sorted(batch.tolist()) == list(range(8))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_refused_and_changes_nothing(value):
    priorities = make(errors=[2.0])
    before = (priorities.total, priorities.state_dict())
    with pytest.raises(UsageError, match=rf"new transition has the priority {value}"):
        priorities.of_new(np.array([5.0, value], np.float32))
    with pytest.raises(UsageError, match=rf"priority -?{value} of item 70 \(number 1 of 2\)"):
        priorities.raise_up(np.array([50.0, -value], np.float32), np.array([69, 70]))
    assert (priorities.total, priorities.state_dict()) == before


def test_what_it_knows_beside_its_array_is_the_highest_priority():
    other = make()
    other.load_state_dict(make(errors=[15.75]).state_dict())
    np.testing.assert_allclose(other.of_new(np.array([NONE], np.float32)), [4.0])
