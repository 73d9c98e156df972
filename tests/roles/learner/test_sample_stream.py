"""The learner's end of samples, with a fake connection and a clock that a test moves."""

import numpy as np
import pytest

from zdqn.data import EnvironmentSpec
from zdqn.errors import FencedError, MismatchError, ProtocolError
from zdqn.roles.learner.sample_stream import SampleStream
from zdqn.wire import codec, payloads
from zdqn.wire.memory_messages import Batches, NotReady, Progress, SampleRequest
from zdqn.wire.protocol import Acknowledged, ErrorReply, Refusal

SPEC = EnvironmentSpec((2,), "float32", 2)
SIZE = 4
PROGRESS = Progress(
    session=1, environment_steps=9, episodes=1, transitions=8, blocks=2, blocks_lost=0,
    blocks_duplicated=0, blocks_refused=0,
)  # fmt: skip


def batches(count=1):
    header = Batches(batch_size=SIZE, batches=count, size=8, progress=PROGRESS)
    buffer, batch = payloads.allocate_batches(header, SPEC)
    batch.keys[:] = np.arange(count * SIZE)
    return buffer.tobytes()


def not_ready(reason="filling"):
    return codec.encode(NotReady(reason=reason, size=3, needed=5, progress=PROGRESS))


def refused(code, message="because of this"):
    return codec.encode(ErrorReply(code=code, message=message))


class FakeClient:
    """A connection: remembers the requests, and gives the answers that it was told to."""

    address = "tcp://memory:1"

    def __init__(self):
        self.requests = []
        self.answers = []
        self.full = False
        self.reconnected = 0
        self.closed = False
        self.waits = []

    def send(self, message):
        if self.full:
            return False
        self.requests.append(codec.decode(message))
        return True

    def receive(self, timeout_ms):
        self.waits.append(timeout_ms)
        return memoryview(self.answers.pop(0)) if self.answers else None

    def reconnect(self):
        self.reconnected += 1

    def close(self):
        self.closed = True

    def headers(self):
        return [codec.expect(message, SampleRequest) for message in self.requests]


class Clock:
    now_s = 10.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def client():
    return FakeClient()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def make(client, clock):
    def stream(**changes):
        options = {"batches_per_request": 8, "requests_in_flight": 2, **changes}
        return SampleStream(client, session=77, spec=SPEC, batch_size=SIZE, clock=clock, **options)

    return stream


def test_requests_are_kept_in_flight_while_a_reply_is_learned_from(make, client):
    stream = make(requests_in_flight=3)
    client.answers = [batches()]
    batch = stream.receive(None)
    assert batch.keys.tolist() == [0, 1, 2, 3]
    assert len(client.requests) == 4, "three at once, and one more as one was answered"
    header = client.headers()[0]
    assert (header.session, header.batch_size, header.batches) == (77, SIZE, 1)
    assert header.wait_ms > 0
    assert stream.progress == PROGRESS


def test_no_more_is_asked_for_than_is_still_of_use(make, client):
    stream = make(requests_in_flight=4)
    client.answers = [batches()]
    stream.receive(3)
    assert sum(header.batches for header in client.headers()) == 3
    client.answers = [batches()]
    stream.receive(2)
    assert len(client.requests) == 3
    assert stream.receive(0) is None


def test_priorities_ride_on_the_next_request_once_and_in_order(make, client):
    stream = make(requests_in_flight=1)
    stream.write_back(np.array([5, 6]), np.array([0.5, 0.25], np.float32))
    stream.write_back(np.array([7]), np.array([1.0], np.float32))
    client.answers = [batches()]
    stream.receive(None)
    first, second = client.requests
    keys, priorities = codec.read_arrays(first, payloads.priorities_layout(3))
    assert (keys.tolist(), priorities.tolist()) == ([5, 6, 7], [0.5, 0.25, 1.0])
    assert codec.expect(second, SampleRequest).priorities == 0


@pytest.mark.parametrize(
    ("reason", "words"),
    [("filling", "holds 3 of 5 transitions"), ("limited", "samples_per_insert"),
     ("no_spec", "an environment"), ("unread", "still on their way")],
)  # fmt: skip
def test_not_ready_is_said_in_words_and_forgotten_when_there_is_data(make, client, reason, words):
    stream = make()
    client.answers = [not_ready(reason)]
    assert stream.receive(None) is None
    assert words in stream.waiting_for
    assert stream.progress == PROGRESS
    client.answers = [batches()]
    assert stream.receive(None) is not None
    assert stream.waiting_for == ""


@pytest.mark.parametrize(
    ("code", "error"), [(Refusal.FENCED, FencedError), (Refusal.MISMATCH, MismatchError)]
)
def test_a_refusal_is_raised_in_the_memorys_words(make, client, code, error):
    client.answers = [refused(code)]
    with pytest.raises(error, match="memory at tcp://memory:1 refused: because of this"):
        make().receive(None)


@pytest.mark.parametrize("answer", [codec.encode(Acknowledged()), b"HTTP/1.1 400", batches()[:-1]])
def test_an_answer_that_is_none_is_refused(make, client, answer):
    client.answers = [answer]
    with pytest.raises(ProtocolError):
        make().receive(None)


def test_a_silent_memory_is_named_and_connected_to_anew_and_priorities_are_kept(
    make, client, clock
):
    stream = make()
    assert stream.receive(None) is None
    asked = len(client.requests)
    clock.now_s += 2.9
    stream.receive(None)
    assert client.reconnected == 0
    clock.now_s += 0.2
    stream.write_back(np.array([5]), np.array([0.5], np.float32))
    stream.receive(None)
    assert client.reconnected == 1
    assert "tcp://memory:1, which does not answer" in stream.waiting_for
    stream.receive(None)
    assert len(client.requests) == 2 * asked, "everything on its way is asked for again"
    assert client.headers()[asked].priorities == 1


def test_before_it_waits_it_says_so_and_counts_the_time(make, client, clock):
    told = []

    def wait(timeout_ms):
        client.waits.append(timeout_ms)
        clock.now_s += timeout_ms / 1000

    client.receive = wait
    stream = make(before_waiting=lambda: told.append(True))
    stream.receive(None)
    assert told == [True]
    assert client.waits == [0, 200]
    assert stream.waited_s == pytest.approx(0.2)


def test_a_full_link_is_tried_again(make, client):
    client.full = True
    stream = make()
    assert stream.receive(None) is None
    client.full = False
    stream.receive(None)
    assert len(client.requests) == 2


def test_closing_closes_the_connection(make, client):
    with make():
        pass
    assert client.closed
