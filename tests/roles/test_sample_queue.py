"""Sample requests that wait for data, with a fake broker and a clock that a test moves."""

import msgspec
import numpy as np
import pytest
import zmq

from zdqn.core.broker import Draw
from zdqn.errors import FencedError, ProtocolError
from zdqn.roles.sample_queue import SampleQueue
from zdqn.roles.slot_writer import SlotWriter
from zdqn.wire import codec
from zdqn.wire.desk import RefusedError
from zdqn.wire.memory_messages import NotReady, Progress, SampleRequest
from zdqn.wire.protocol import ErrorReply, Refusal
from zdqn.wire.request_sockets import Request

PROGRESS = Progress(
    session=1, environment_steps=0, episodes=0, transitions=0, blocks=0, blocks_lost=0,
    blocks_duplicated=0, blocks_refused=0,
)  # fmt: skip
NOT_READY = NotReady(reason="filling", size=0, needed=5, progress=PROGRESS)


class FakeBroker:
    """Has so many batches to give."""

    def __init__(self):
        self.left = 0
        self.sampled = 0
        self.refusal = None
        self.fenced = set()
        self.priorities = []

    def take_priorities(self, header, message):
        if self.refusal is not None:
            raise self.refusal
        self.priorities.append(header.priorities)

    def check_admitted(self, header):
        if header.session in self.fenced:
            raise FencedError("a newer learner")

    def sample(self, header, slot):
        if not self.left:
            return NOT_READY
        self.left -= 1
        self.sampled += 4
        return Draw(np.full(1, header.session, np.uint8), 4)

    def give_back(self, draw):
        self.sampled -= draw.transitions

    def not_ready(self, reason):
        return msgspec.structs.replace(NOT_READY, reason=reason)


class Line:
    def __init__(self):
        self.broker = FakeBroker()
        self.replies: list[tuple[object, object]] = []
        self.gone: set[int] = set()
        self.deaf: set[int] = set()
        self.unread = 0
        self.now_s = 5.0
        slots = SlotWriter(allowed=False)
        self.object = SampleQueue(self.broker, self, slots, clock=lambda: self.now_s)  # type: ignore[arg-type]

    def has_room(self, request):
        return request.body[0] not in self.deaf

    def unread_bytes(self):
        return self.unread

    def reply(self, request, message):
        answer = (
            int(message[0]) if isinstance(message, np.ndarray) else codec.decode(message).header
        )
        if request.body[0] in self.gone:
            return False
        self.replies.append((request.body.tobytes(), answer))
        return True

    def ask(self, session, wait_ms=1_000):
        header = SampleRequest(batch_size=4, session=session, wait_ms=wait_ms)
        request = Request([zmq.Frame(bytes([session]))], memoryview(bytes([session])))
        return self.object.take(request, header, codec.decode(codec.encode(header)))


@pytest.fixture
def line():
    return Line()


def test_what_there_is_is_given_at_once(line):
    line.broker.left = 1
    assert line.ask(1) is None
    assert line.replies == [(b"\x01", 1)]
    assert len(line.object) == 0


def test_who_does_not_wait_is_told_at_once(line):
    assert line.ask(1, wait_ms=0) == NOT_READY
    assert len(line.object) == 0


def test_who_waits_is_given_what_comes_in_the_order_of_arrival(line):
    assert [line.ask(session) for session in (1, 2, 3)] == [None] * 3
    line.broker.left = 2
    line.object.advance()
    assert [answer for _, answer in line.replies] == [1, 2]
    assert len(line.object) == 1


def test_a_later_one_does_not_overtake_but_one_that_does_not_wait_may(line):
    line.ask(1)
    line.broker.left = 1
    line.ask(2)
    assert line.replies == []
    assert line.ask(3, wait_ms=0) is None
    assert [answer for _, answer in line.replies] == [3]


def test_what_reaches_nobody_is_not_sampled_and_costs_only_one_try(line):
    for _ in range(3):
        line.ask(1)
    line.ask(2)
    line.gone.add(1)
    line.broker.left = 2
    line.object.advance()
    assert line.replies == [(b"\x02", 2)]
    assert line.broker.sampled == 4
    assert len(line.object) == 0


def test_no_more_of_a_client_wait_than_a_learner_can_have_on_their_way(line):
    for _ in range(64):
        assert line.ask(1) is None
    with pytest.raises(RefusedError, match="64 sample requests of this client") as refused:
        line.ask(1)
    assert refused.value.code is Refusal.NOT_SERVING
    assert line.ask(1, wait_ms=0) == NOT_READY
    assert line.ask(2) is None, "it keeps nobody else from waiting"
    assert len(line.object) == 65


def test_no_more_wait_than_are_looked_through_in_a_moment(line):
    for client in range(16):
        for _ in range(64):
            assert line.ask(client) is None
    with pytest.raises(RefusedError, match="1024 sample requests wait here already") as refused:
        line.ask(16)
    assert refused.value.code is Refusal.NOT_SERVING
    line.now_s += 2.0
    line.object.advance()
    assert len(line.object) == 0
    assert line.ask(16) is None
    assert line.object._waiting_of == {b"\x10": 1}, "nothing is kept of who waits no more"


def test_who_does_not_read_is_drawn_nothing_until_it_does(line, caplog):
    line.broker.left = 9
    line.deaf = {1}
    unread = msgspec.structs.replace(NOT_READY, reason="unread")
    assert line.ask(1, wait_ms=0) == unread
    for _ in range(3):
        assert line.ask(1) is None
    assert line.ask(2) is None
    line.object.advance()
    assert line.replies == [(b"\x02", 2)], "others are served"
    assert line.broker.sampled == 4, "nothing counts as sampled that was not sent"
    assert caplog.text.count("has not read earlier ones") == 1
    line.deaf.clear()
    line.object.advance()
    assert [answer for _, answer in line.replies] == [2, 1, 1, 1]
    line.deaf = {1}
    line.ask(1, wait_ms=500)
    line.now_s += 0.6
    line.object.advance()
    assert line.replies[-1] == (b"\x01", unread)


def test_what_strangers_leave_unread_is_bounded_and_no_learner_waits_for_them(line):
    line.broker.left = 9
    line.unread = 1024**3
    assert line.ask(0, wait_ms=0).reason == "unread"
    assert line.ask(7, wait_ms=0) is None
    assert line.replies == [(b"\x07", 7)]
    line.unread -= 1
    assert line.ask(0, wait_ms=0) is None


def test_patience_ends_with_the_reason(line):
    assert line.object.patience_s() is None
    line.ask(1, wait_ms=500)
    assert line.object.patience_s() == pytest.approx(0.5)
    line.now_s += 0.4
    line.object.advance()
    assert line.replies == []
    line.now_s += 0.2
    assert line.object.patience_s() == 0.0
    line.object.advance()
    assert line.replies == [(b"\x01", NOT_READY)]


def test_a_learner_that_was_replaced_while_it_waited_is_refused(line):
    line.ask(1)
    line.ask(2)
    line.broker.fenced = {1}
    line.broker.left = 1
    line.object.advance()
    assert line.replies == [
        (b"\x01", ErrorReply(code=Refusal.FENCED, message="a newer learner")), (b"\x02", 2),
    ]  # fmt: skip


def test_what_rides_on_a_request_is_taken_once_though_it_waits(line):
    line.ask(1)
    line.object.advance()
    assert line.broker.priorities == [0]
    line.broker.refusal = ProtocolError("not finite")
    with pytest.raises(ProtocolError):
        line.ask(2)
    assert len(line.object) == 1


def test_the_time_it_takes_is_counted(line):
    line.broker.left = 1
    sample = line.broker.sample

    def slowly(header, slot):
        line.now_s += 0.25
        return sample(header, slot)

    line.broker.sample = slowly
    line.ask(1)
    assert line.object.sampling_s == pytest.approx(0.25)


def test_what_is_not_looked_at_in_time_comes_first_in_the_next_round(line):
    sample = line.broker.sample
    order = []

    def slowly(header, slot):
        line.now_s += 0.25
        order.append(header.session)
        return sample(header, slot)

    for client in (1, 2, 3, 4):
        line.ask(client)
    line.broker.sample = slowly
    line.object.advance(0.5)
    assert order == [1, 2]
    line.object.advance(0.0)
    assert order == [1, 2, 1], "one is looked at in any case, and the order is that of arrival"
    line.broker.left = 4
    line.object.advance()
    assert [answer for _, answer in line.replies] == [1, 2, 3, 4]


def test_nobody_waits_for_messages_longer_than_the_first_of_them_waits(line):
    assert line.object.wait_ms(100) == 100
    line.ask(1, wait_ms=50)
    assert line.object.wait_ms(100) == pytest.approx(50)
    assert line.object.wait_ms(20) == 20
    line.now_s += 1.0
    assert line.object.wait_ms(100) == 1
