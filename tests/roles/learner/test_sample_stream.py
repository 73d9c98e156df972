"""The learner's end of samples, with a fake connection and a clock that a test moves."""

from typing import Any

import numpy as np
import pytest

from tests.rl.sampled import arrays_of
from zdqn.data import EnvironmentSpec
from zdqn.errors import FencedError, MismatchError, ProtocolError
from zdqn.roles.learner.sample_stream import SampleStream
from zdqn.roles.slot_writer import SlotWriter
from zdqn.wire import codec, payloads
from zdqn.wire.memory_messages import Batches, NotReady, Progress, SampleRequest
from zdqn.wire.protocol import Acknowledged, ErrorReply, Refusal

SPEC = EnvironmentSpec((2,), "float32", 2)
SIZE = 4
PROGRESS = Progress(
    session=1, environment_steps=9, episodes=1, transitions=8, blocks=2, blocks_lost=0,
    blocks_duplicated=0, blocks_refused=0,
)  # fmt: skip


def batches(count=1, slot=None):
    header = Batches(
        batch_size=SIZE, batches=count, size=8, progress=PROGRESS, shared=slot is not None
    )
    buffer, batch = payloads.allocate_batches(header, SPEC, slot)
    for array in arrays_of(batch).values():
        array[...] = 0.5
    batch.keys[:] = np.arange(count * SIZE)
    batch.observations[:] = 1.5
    batch.next_observations[:] = 2.5
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
        options: dict[str, Any] = {
            "batches_per_request": 8,
            "requests_in_flight": 2,
            "shared_memory": False,
            **changes,
        }
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


# --- shared memory ------------------------------------------------------------------------------


def write_to(request):
    """Find what a request offers, as a memory does."""
    content = SlotWriter(allowed=True).find(codec.expect(request, SampleRequest))
    assert content is not None
    return content


@pytest.fixture
def sharing(make):
    with make(shared_memory=True) as stream:
        yield stream


def test_a_reply_over_shared_memory_is_the_same_as_over_the_socket(make, sharing, client):
    assert sharing.receive(None) is None
    client.answers = [batches(1, write_to(client.requests[0]))]
    shared = sharing.receive(None)
    client.answers = [batches()]
    sent = make().receive(None)
    for name, array in arrays_of(sent).items():
        np.testing.assert_array_equal(getattr(shared, name), array)
        assert getattr(shared, name).dtype == array.dtype


def test_without_shared_memory_no_request_offers_any(make, client):
    make().receive(None)
    assert [header.slot for header in client.headers()] == [None, None]


def test_a_batch_that_is_kept_is_not_written_over(sharing, client):
    kept = []
    sharing.receive(None)
    for turn in range(6):
        request = client.requests[turn]
        slot = codec.expect(request, SampleRequest).slot
        client.answers = [batches(1, write_to(request)) if slot is not None else batches()]
        batch = sharing.receive(None)
        batch_was = batch.observations.copy()
        kept.append((batch, batch_was))
    assert client.headers()[-1].slot is None, "all slots are in use: that one travels"
    for batch, was in kept:
        np.testing.assert_array_equal(batch.observations, was)
    kept.clear()
    del batch
    client.answers = [batches()]
    sharing.receive(None)
    assert client.headers()[-1].slot is not None


def test_answers_without_batches_and_full_links_use_no_slot_up(sharing, client):
    for _ in range(20):
        client.answers = [not_ready()]
        sharing.receive(None)
    client.full = True
    for _ in range(20):
        client.answers = [not_ready()] if client.answers else []
        sharing.receive(None)
    client.full = False
    client.answers = [not_ready()]
    sharing.receive(None)
    assert all(header.slot is not None for header in client.headers())


def test_a_memory_that_answers_over_the_socket_is_offered_nothing_more(sharing, client):
    client.answers = [batches(), batches()]
    for _ in range(2):
        batch = sharing.receive(None)
        assert set(batch.observations.reshape(-1).tolist()) == {1.5}
    offered = [header.slot is not None for header in client.headers()]
    assert offered == [True, True, True, False], "the third left before the first answer was read"


def test_after_a_silence_other_memory_is_offered(sharing, client, clock):
    sharing.receive(None)
    clock.now_s += 3.1
    sharing.receive(None)
    assert client.reconnected == 1
    sharing.receive(None)
    tokens = [header.slot.token for header in client.headers()]
    assert tokens[0] == tokens[1] != tokens[2] == tokens[3]


@pytest.mark.parametrize("shared_memory", [True, False])
def test_a_memory_that_lies_about_shared_memory_is_refused(make, client, shared_memory):
    header = Batches(batch_size=10_000, batches=1, size=8, progress=PROGRESS, shared=True)
    room = np.zeros(payloads.slot_bytes(10_000, SPEC), np.uint8)
    client.answers = [payloads.allocate_batches(header, SPEC, room)[0].tobytes()]
    stream = make(shared_memory=shared_memory)
    with pytest.raises(ProtocolError, match=r"bytes were offered|none was offered"):
        stream.receive(None)
    stream.close()
