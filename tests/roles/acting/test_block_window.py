"""How far a collector runs ahead: against a memory that answers when it is told to."""

import pytest

from zdqn.errors import MismatchError
from zdqn.roles.acting.arrivals_inquiry import ArrivalsInquiry
from zdqn.roles.acting.block_window import BlockWindow
from zdqn.wire import codec
from zdqn.wire.addresses import parse_address
from zdqn.wire.memory_messages import Arrivals, ArrivalsRequest
from zdqn.wire.protocol import ErrorReply, Refusal


class Memory:
    """Answers with the next of a list whenever it is waited for; None takes the whole time."""

    address = parse_address("tcp://memory:5556", parameter="a test")

    def __init__(self):
        self.questions: list[ArrivalsRequest] = []
        self.answers: list[Arrivals | ErrorReply | None] = []
        self.now_s = 0.0
        self.reconnects = 0

    def send(self, message):
        header = codec.decode(message).header
        assert isinstance(header, ArrivalsRequest)
        self.questions.append(header)
        return True

    def receive(self, timeout_ms):
        answer = self.answers.pop(0) if self.answers and timeout_ms else None
        if answer is None:
            self.now_s += timeout_ms / 1000
            return None
        return memoryview(codec.encode(answer))

    def reconnect(self):
        self.reconnects += 1


@pytest.fixture
def memory():
    return Memory()


@pytest.fixture
def window(memory):
    return BlockWindow(ArrivalsInquiry(memory, session=5, clock=lambda: memory.now_s))


def came(heard, *, held_back=True, session=9):
    return Arrivals(session=session, heard=heard, held_back=held_back)


def never():
    return False


def send(window, count, sent=0):
    for number in range(sent + 1, sent + count + 1):
        assert window.wait(number - 1, never)
        window.note_sent(number)
    return sent + count


def test_the_first_block_goes_at_once_and_is_asked_for(window, memory):
    assert window.wait(0, never)
    assert memory.questions == []
    window.note_sent(1)
    assert memory.questions == [ArrivalsRequest(session=5, blocks=1, wait_ms=1000)]


def test_the_next_goes_when_it_has_come(window, memory):
    window.note_sent(1)
    memory.answers = [None, None, came(1)]
    assert window.wait(1, never)
    assert memory.now_s == pytest.approx(0.2)
    assert window.heard == 1
    assert len(memory.questions) == 1


def test_who_gives_up_is_not_kept(window):
    window.note_sent(1)
    left = [3]

    def give_up():
        left[0] -= 1
        return not left[0]

    assert not window.wait(1, give_up)
    assert left == [0]


def test_while_the_memory_holds_back_one_is_on_its_way_however_long(window, memory):
    memory.answers = [came(number) for number in range(1, 100)]
    send(window, 100)
    assert window.blocks == 1
    assert [question.blocks for question in memory.questions] == list(range(1, 101))


def test_where_it_never_does_more_and_more_are_until_it_does_again(window, memory):
    sent, allowed = 0, []
    for _ in range(40):
        while sent - window.heard < window.blocks:  # as many as may go
            sent = send(window, 1, sent)
        allowed.append(window.blocks)
        memory.answers = [came(memory.questions[-1].blocks, held_back=False)]
        assert window.wait(sent, never)
    assert allowed == [blocks for blocks in (1, 2, 4, 8, 16, 32) for _ in range(4)] + [64] * 16
    assert memory.questions[-1].blocks == sent - 32  # half of what was on its way
    while sent - window.heard < window.blocks:
        sent = send(window, 1, sent)
    memory.answers = [came(sent - 30), came(sent)]
    assert window.wait(sent, never)
    assert (window.blocks, window.heard) == (1, sent)
    assert memory.questions[-1].blocks == sent


def test_answers_that_nobody_waited_for_allow_no_more(memory, window):
    for number in range(1, 50):
        window.note_sent(number)
        memory.receive = lambda _, number=number: memoryview(
            codec.encode(came(number, held_back=False))
        )
        assert window.wait(number, never)
    assert window.blocks == 1


def test_what_went_to_a_memory_that_died_is_not_waited_for(window, memory):
    memory.answers = [came(1), came(0, session=10), came(3, session=10)]
    assert send(window, 3) == 3
    assert window.heard == 2
    assert window.wait(3, never)
    assert window.heard == 3


def test_what_does_not_come_though_the_memory_reads_is_taken_for_lost(window, memory):
    memory.answers = [came(1), came(1, held_back=False)]
    send(window, 2)
    assert window.wait(2, never)
    assert window.heard == 2


def test_what_does_not_come_while_it_does_not_read_is_waited_for(window, memory):
    window.note_sent(1)
    memory.answers = [came(0)] * 5 + [came(1)]
    assert window.wait(1, never)
    assert len(memory.questions) == 6


def test_a_memory_that_is_silent_is_asked_again(window, memory):
    window.note_sent(1)
    memory.answers = [None] * 40 + [came(1)]
    assert window.wait(1, never)
    assert (memory.reconnects, len(memory.questions)) == (1, 2)


def test_one_that_has_too_many_to_tell_is_asked_again(window, memory):
    window.note_sent(1)
    memory.answers = [ErrorReply(code=Refusal.NOT_SERVING, message="many wait"), came(1)]
    assert window.wait(1, never)
    assert len(memory.questions) == 2


def test_one_that_refuses_ends_it(window, memory):
    window.note_sent(1)
    memory.answers = [ErrorReply(code=Refusal.PROTOCOL, message="what do you want")]
    with pytest.raises(MismatchError, match="do you want"):
        window.wait(1, never)
