import pytest

from zdqn.errors import MismatchError
from zdqn.roles.acting.refusal_watch import PINGS_IN_VAIN, RefusalWatch
from zdqn.wire.protocol import Delivery


def told(refused, why="of another spec", stored=-1):
    return Delivery(stored=stored, refused=refused, reason=why)


def test_refused_blocks_are_said_and_again_only_when_there_are_more(caplog):
    watch = RefusalWatch()
    seen = []
    for answer in (None, told(0), told(1, "a"), told(1, "a"), told(3, "b"), None):
        watch.look(answer)
        seen.append(watch.refused)
    assert seen == [0, 0, 1, 1, 3, 0]
    assert [record.getMessage() for record in caplog.records] == [
        f"the memory has refused {what} blocks of this collector so far: {why}"
        for what, why in ((1, "a"), (3, "b"))
    ]


def test_where_nothing_is_stored_any_more_it_gives_up():
    watch = RefusalWatch()
    for refused in range(1, PINGS_IN_VAIN):
        watch.look(told(refused, stored=7 if refused == 1 else -1))
    watch.look(told(PINGS_IN_VAIN))
    with pytest.raises(MismatchError, match=r"refuses all .* 6 blocks so far: of another spec"):
        watch.look(told(PINGS_IN_VAIN + 1))


def test_where_some_are_stored_or_none_is_sent_it_goes_on():
    watch = RefusalWatch()
    for number in range(3 * PINGS_IN_VAIN):
        watch.look(told(number, stored=number))
    for _ in range(3 * PINGS_IN_VAIN):
        watch.look(told(3 * PINGS_IN_VAIN, stored=99))


def test_another_memory_begins_anew():
    watch = RefusalWatch()
    for _ in range(3):
        for refused in range(1, PINGS_IN_VAIN):
            watch.look(told(refused))
        watch.look(None)
    assert watch.refused == 0
