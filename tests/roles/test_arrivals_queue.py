"""Collectors that wait for news of their blocks: who is answered when, with what."""

import pytest

from zdqn.roles import arrivals_queue
from zdqn.roles.arrivals_queue import ArrivalsQueue
from zdqn.wire import codec
from zdqn.wire.desk import RefusedError
from zdqn.wire.memory_messages import Arrivals, ArrivalsRequest


class Setting:
    def __init__(self):
        self.came: dict[int, int] = {}
        self.early: dict[int, int] = {}
        self.order = self
        self.lost = 0
        self.began: list[tuple[int, int]] = []
        self.now_s = 50.0
        self.replies: list[tuple[str, Arrivals]] = []
        self.queue = ArrivalsQueue(self, 9, self._reply, clock=lambda: self.now_s)  # type: ignore[arg-type]

    def heard(self, session):
        return self.came.get(session, 0)

    def early_of(self, session):
        return self.early.get(session, 0)

    def begin_at(self, session, oldest):
        self.began.append((session, oldest))
        return self.lost

    def name_of(self, session):
        return f"number {session}"

    def _reply(self, request, message):
        header = codec.decode(message).header
        assert isinstance(header, Arrivals)
        self.replies.append((request, header))
        return True

    def ask(self, request, blocks, *, session=1, wait_ms=1000, oldest=0):
        header = ArrivalsRequest(session=session, blocks=blocks, wait_ms=wait_ms, oldest=oldest)
        return self.queue.take(request, header, None)  # type: ignore[arg-type]


@pytest.fixture
def setting():
    return Setting()


def news(heard, *, held_back=False, gap=False):
    return Arrivals(session=9, heard=heard, held_back=held_back, gap=gap)


def test_what_has_come_is_told_at_once(setting):
    setting.came[1] = 3
    assert setting.ask("a", 3) == news(3)
    assert setting.ask("b", 4, wait_ms=0) == news(3)
    assert setting.ask("c", 1, session=2, wait_ms=0) == news(0)
    setting.queue.advance()
    assert setting.replies == []


def test_what_has_not_come_is_waited_for(setting):
    assert setting.ask("a", 2) is None
    assert setting.ask("b", 1, session=2) is None
    setting.came = {1: 1, 2: 1}
    setting.queue.advance()
    assert setting.replies == [("b", news(1))]
    setting.came[1] = 2
    setting.queue.advance()
    setting.queue.advance()
    assert setting.replies[1:] == [("a", news(2))]


def test_and_no_longer_than_was_asked_for(setting):
    setting.ask("a", 2, wait_ms=500)
    setting.now_s += 0.49
    setting.queue.advance()
    assert setting.replies == []
    setting.now_s += 0.01
    setting.queue.advance()
    assert setting.replies == [("a", news(0))]


def test_a_collector_has_one_question_and_each_is_answered_once(setting):
    setting.ask("a", 2)
    setting.ask("b", 3)
    assert setting.replies == [("a", news(0))]
    setting.came[1] = 5
    setting.queue.advance()
    assert setting.replies[1:] == [("b", news(5))]


@pytest.mark.parametrize("when", ["before", "between"])
def test_it_is_told_whether_the_memory_held_it_back_since_it_asked(setting, when):
    if when == "before":
        setting.queue.note_reading(False)
    setting.ask("a", 1)
    if when == "between":
        setting.queue.note_reading(False)
    setting.queue.note_reading(True)
    setting.ask("late", 1, session=2)
    setting.came = {1: 1, 2: 1}
    setting.queue.advance()
    assert setting.replies == [("a", news(1, held_back=True)), ("late", news(1))]


def test_so_many_wait_and_no_more(setting, monkeypatch):
    monkeypatch.setattr(arrivals_queue, "_MOST_WAITING", 2)
    setting.ask("a", 1, session=1)
    setting.ask("b", 1, session=2)
    with pytest.raises(RefusedError, match="2 collectors wait here for news already"):
        setting.ask("c", 1, session=3)
    setting.ask("d", 1, session=2)
    assert setting.replies == [("b", news(0))]


def test_a_block_that_is_missing_before_others_is_told_at_once_and_once(setting):
    setting.early = {1: 3, 2: 0}
    setting.ask("a", 5)
    setting.ask("b", 5, session=2)
    setting.queue.advance()
    assert setting.replies == []
    setting.early[1] = 4
    setting.queue.advance()
    assert setting.replies == [("a", news(0, gap=True))]
    setting.ask("c", 5)
    setting.queue.advance()
    assert len(setting.replies) == 1


def test_what_a_collector_does_not_keep_any_more_is_not_waited_for(setting, caplog):
    setting.ask("a", 5)
    assert setting.began == []
    setting.ask("b", 5, oldest=3)
    assert setting.began == [(1, 3)]
    assert not caplog.records
    setting.lost = 2
    setting.ask("c", 5, oldest=3)
    assert "2 blocks that number 1 was told had come" in caplog.text
