import pytest

from zdqn.rl.ring_parts import ring_parts


@pytest.mark.parametrize(
    ("first_key", "count", "slots"),
    [(3, 0, []), (3, 4, [3, 4, 5, 6]), (8, 4, [8, 9, 0, 1]), (27, 10, [7, 8, 9, *range(7)])],
)
def test_each_key_has_its_slot(first_key, count, slots):
    found: list[int] = []
    keys: list[int] = []
    for slot, part in ring_parts(first_key, count, 10):
        found += range(slot.start, slot.stop)
        keys += range(part.start, part.stop)
    assert found == slots
    assert keys == list(range(count))
