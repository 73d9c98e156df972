"""One question at a time: asked once, asked again after a silence, forgotten when it is no use."""

import pytest

from zdqn.errors import MismatchError
from zdqn.roles.acting.arrivals_inquiry import ArrivalsInquiry
from zdqn.wire import codec
from zdqn.wire.addresses import parse_address
from zdqn.wire.memory_messages import Arrivals, ArrivalsRequest
from zdqn.wire.protocol import ErrorReply, Refusal

NEWS = Arrivals(session=9, heard=3, held_back=False, gap=True)


class Memory:
    address = parse_address("tcp://memory:5556", parameter="a test")

    def __init__(self):
        self.questions: list[object] = []
        self.answers: list[Arrivals | ErrorReply] = []
        self.reconnects = 0
        self.now_s = 5.0

    def send(self, message):
        self.questions.append(codec.decode(message).header)
        return True

    def receive(self, timeout_ms):
        return memoryview(codec.encode(self.answers.pop(0))) if self.answers else None

    def reconnect(self):
        self.reconnects += 1


@pytest.fixture
def memory():
    return Memory()


@pytest.fixture
def inquiry(memory):
    return ArrivalsInquiry(memory, session=5, clock=lambda: memory.now_s)


def test_it_asks_once_until_there_is_an_answer(memory, inquiry):
    memory.answers = [NEWS]
    assert inquiry.answer(0) is None  # nothing was asked
    for _ in range(3):
        inquiry.ask(4, wait_ms=100, oldest=2)
    assert memory.questions == [ArrivalsRequest(session=5, blocks=4, wait_ms=100, oldest=2)]
    assert inquiry.answer(0) == NEWS
    inquiry.ask(4, wait_ms=0)
    assert memory.questions[1:] == [ArrivalsRequest(session=5, blocks=4)]


def test_after_a_silence_it_asks_anew(memory, inquiry):
    inquiry.ask(4, wait_ms=100)
    memory.now_s += 2.9
    inquiry.ask(4, wait_ms=100)
    assert (len(memory.questions), memory.reconnects) == (1, 0)
    memory.now_s += 0.2
    inquiry.ask(4, wait_ms=100)
    assert (len(memory.questions), memory.reconnects) == (2, 1)


def test_what_is_forgotten_is_not_answered(memory, inquiry):
    inquiry.forget()
    assert memory.reconnects == 0
    inquiry.ask(4, wait_ms=100)
    inquiry.forget()
    memory.answers = [NEWS]
    assert inquiry.answer(0) is None
    assert memory.reconnects == 1
    inquiry.ask(4, wait_ms=0)
    assert inquiry.answer(0) == NEWS


def test_a_refusal_that_passes_is_no_answer_and_another_ends_it(memory, inquiry):
    inquiry.ask(4, wait_ms=0)
    memory.answers = [
        ErrorReply(code=Refusal.NOT_SERVING, message="later"),
        ErrorReply(code=Refusal.PROTOCOL, message="what do you want"),
    ]
    assert inquiry.answer(0) is None
    inquiry.ask(4, wait_ms=0)
    with pytest.raises(MismatchError, match="what do you want"):
        inquiry.answer(0)
