import logging
import struct
import threading
from collections import deque

import msgspec
import pytest

from zdqn.errors import (
    ConfigError,
    FencedError,
    MismatchError,
    PeerUnavailableError,
    ProtocolError,
)
from zdqn.wire import codec, remote, session
from zdqn.wire.protocol import (
    Acknowledged,
    ErrorReply,
    Goodbye,
    Hello,
    Ping,
    Pong,
    Status,
    StatusRequest,
    Stop,
    Welcome,
)
from zdqn.wire.session import Membership, ask, new_session
from zdqn.wire.sockets import Client, Server, Waiter

WAIT_S = 5.0
WELCOME = Welcome(
    run_id="r", session=9, data_endpoint="tcp://127.0.0.1:5555", spec=None, config={}, memory="",
    index=0, seed=0, weight_version=-1,
)  # fmt: skip
PONG = Pong(session=9, known=True, stopping=False, environment_steps=0, collectors=1, statistics={})


class FakeServer:
    """Answers each kind of request with the next of what it was given; the last one for ever."""

    def __init__(self, context, address, **answers):
        self._server = Server(context, address)
        self.address = self._server.address
        self.answers = {"Hello": [WELCOME], "Ping": [PONG], "Goodbye": [Acknowledged()], **answers}
        self._queues = {kind: deque(values) for kind, values in self.answers.items()}
        self.heard = []
        self.done = threading.Event()

    def serve(self):
        waiter = Waiter([self._server])
        while not self.done.is_set():
            waiter.wait(10)
            while (request := self._server.receive()) is not None:
                header = codec.decode(request.body).header
                self.heard.append(header)
                answers = self._queues[type(header).__name__]
                answer = answers.popleft() if len(answers) > 1 else answers[0]
                if answer is not None:
                    body = answer if isinstance(answer, bytes) else codec.encode(answer)
                    self._server.reply(request, body)

    def count(self, kind):
        return sum(isinstance(header, kind) for header in self.heard)


@pytest.fixture
def fake(context, loopback, in_thread):
    made = []

    def start(address=loopback, **answers):
        server = FakeServer(context, address, **answers)
        made.append(server)
        in_thread(server.serve)
        return server

    yield start
    for server in made:
        server.done.set()


@pytest.fixture
def join(context, monkeypatch):
    """Make a membership; it has left when the test is over."""
    made = []

    def make(address, *, connect_timeout_s=0.0, stop=None, statistics=dict):
        membership = Membership(
            context,
            address,
            server="memory",
            hello=lambda: Hello(role="collector", name="c-0", session=7),
            statistics=statistics,
            stop=stop or threading.Event(),
            ping_period_s=0.01,
            connect_timeout_s=connect_timeout_s,
        )
        made.append(membership)
        return membership

    monkeypatch.setattr(session, "_GOODBYE_TIMEOUT_S", 0.1)
    yield make
    for membership in made:
        membership.leave()


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(session, "_REQUEST_TIMEOUT_S", 0.02)


def test_sessions_are_positive_63_bit_numbers_and_differ():
    sessions = {new_session() for _ in range(100)}
    assert len(sessions) == 100
    assert all(0 < number < 2**63 for number in sessions)


# --- waiting ------------------------------------------------------------------------------------


def test_waiting_is_said_aloud_and_ends_after_the_connect_timeout(nobody, join, quick, caplog):
    caplog.set_level(logging.INFO)
    with pytest.raises(PeerUnavailableError, match=rf"memory at {nobody} for .*right\?"):
        join(nobody, connect_timeout_s=0.1).join()
    assert [record.getMessage() for record in caplog.records] == [
        f"waiting for the memory at {nobody} (0 s)"
    ]


def test_a_server_that_comes_late_is_found(nobody, join, fake, quick, caplog, in_thread, until):
    caplog.set_level(logging.INFO)
    membership = join(nobody)
    welcomes = []
    in_thread(lambda: welcomes.append(membership.join()))
    until(lambda: "waiting for the memory" in caplog.text)
    fake(nobody)
    until(lambda: welcomes)
    assert welcomes == [WELCOME]
    assert "found the memory" in caplog.text


def test_waiting_for_ever_ends_quietly_when_stopped(nobody, join, quick, in_thread, until, caplog):
    caplog.set_level(logging.INFO)
    stop = threading.Event()
    membership = join(nobody, stop=stop)
    results = []
    in_thread(lambda: results.append(membership.join()))
    until(lambda: "waiting for the memory" in caplog.text)
    stop.set()
    until(lambda: results)
    assert results == [None]
    membership.raise_failure()


# --- membership ---------------------------------------------------------------------------------


def test_hello_pings_and_goodbye_in_this_order(fake, join, until):
    server = fake()
    membership = join(server.address, statistics=lambda: {"blocks_sent": 3})
    assert membership.join() == WELCOME
    until(lambda: server.count(Ping) >= 2 and membership.pong is not None)
    assert membership.pong == PONG
    assert membership.silent_s < WAIT_S
    membership.leave()
    kinds = [type(header) for header in server.heard]
    assert kinds[0] is Hello
    assert set(kinds[1:-1]) == {Ping}
    assert server.heard[-1] == Goodbye(session=7, statistics={"blocks_sent": 3})
    assert server.heard[1] == Ping(session=7, statistics={"blocks_sent": 3})


def test_leaving_twice_says_goodbye_once(fake, join):
    server = fake()
    membership = join(server.address)
    membership.join()
    membership.leave()
    membership.leave()
    assert server.count(Goodbye) == 1


def test_leaving_without_having_joined_says_nothing(fake, join):
    server = fake()
    join(server.address).leave()
    assert not server.heard


def test_a_server_that_does_not_know_us_hears_hello_again(fake, join, until):
    stranger = msgspec.structs.replace(PONG, known=False, session=10)
    server = fake(Ping=[PONG, stranger, PONG])
    membership = join(server.address)
    membership.join()
    until(lambda: server.count(Hello) == 2)
    heard = server.count(Ping)
    until(lambda: server.count(Ping) > heard + 1)
    assert server.count(Hello) == 2
    assert membership.failure is None


def test_the_end_of_the_run_stops_the_client(fake, join):
    stop = threading.Event()
    server = fake(Ping=[PONG, msgspec.structs.replace(PONG, stopping=True)])
    membership = join(server.address, stop=stop)
    membership.join()
    assert stop.wait(WAIT_S)
    assert membership.stopping
    membership.raise_failure()


def test_joining_a_run_that_is_over_is_no_error(fake, join):
    stop = threading.Event()
    server = fake(Hello=[ErrorReply(code="stopping", message="this run is over")])
    membership = join(server.address, stop=stop)
    assert membership.join() is None
    assert membership.stopping
    assert stop.is_set()
    membership.raise_failure()


@pytest.mark.parametrize(
    ("code", "error"),
    [("fenced", FencedError), ("mismatch", MismatchError), ("protocol", MismatchError)],
)
def test_a_refusal_of_the_hello_is_raised_in_the_servers_words(code, error, fake, join):
    server = fake(Hello=[ErrorReply(code=code, message="because of this")])
    with pytest.raises(error, match=f"memory at {server.address} refused: because of this"):
        join(server.address).join()


def test_a_refusal_later_stops_the_client_and_is_kept_as_its_failure(fake, join):
    stop = threading.Event()
    server = fake(Ping=[PONG, ErrorReply(code="fenced", message="a newer learner")])
    membership = join(server.address, stop=stop)
    membership.join()
    assert stop.wait(WAIT_S)
    membership.leave()
    assert isinstance(membership.failure, FencedError)
    with pytest.raises(FencedError, match="a newer learner"):
        membership.raise_failure()
    assert server.count(Goodbye) == 0


def test_a_server_that_was_replaced_by_another_run_refuses_the_second_hello(fake, join):
    stop = threading.Event()
    server = fake(
        Hello=[WELCOME, ErrorReply(code="mismatch", message="another run")],
        Ping=[msgspec.structs.replace(PONG, known=False)],
    )
    membership = join(server.address, stop=stop)
    membership.join()
    assert stop.wait(WAIT_S)
    with pytest.raises(MismatchError, match="another run"):
        membership.raise_failure()


def test_a_server_that_falls_silent_is_said_once_and_again_when_it_answers(
    fake, join, quick, caplog, until
):
    caplog.set_level(logging.INFO)
    server = fake(Ping=[PONG, None, None, None, PONG])
    membership = join(server.address)
    membership.join()
    until(lambda: "answers again" in caplog.text)
    assert caplog.text.count("does not answer") == 1
    assert membership.failure is None


# --- ask ----------------------------------------------------------------------------------------


def test_another_protocol_version_is_named_on_both_sides(fake, context):
    body = bytearray(codec.encode(PONG))
    body[4:6] = struct.pack("<H", 2)
    server = fake(Ping=[bytes(body)])
    client = Client(context, server.address)
    with pytest.raises(
        MismatchError,
        match=rf"memory at {server.address} answered: .*version 2, this side version 1",
    ):
        ask(client, Ping(session=1, statistics={}), server="memory", timeout_s=WAIT_S)


@pytest.mark.parametrize("body", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"ZDQN"])
def test_an_answer_that_is_not_zdqns_is_a_mismatch(body, fake, context):
    server = fake(Ping=[body])
    client = Client(context, server.address)
    with pytest.raises(MismatchError, match="answered"):
        ask(client, Ping(session=1, statistics={}), server="memory", timeout_s=WAIT_S)


@pytest.mark.parametrize("code", ["not_serving", "stopping"])
def test_a_passing_refusal_is_an_answer(code, fake, context):
    refusal = ErrorReply(code=code, message="not now")
    server = fake(Ping=[refusal])
    client = Client(context, server.address)
    reply = ask(client, Ping(session=1, statistics={}), server="memory", timeout_s=WAIT_S)
    assert reply is not None
    assert reply.header == refusal


def test_no_answer_in_time_is_none(nobody, context):
    client = Client(context, nobody)
    assert ask(client, StatusRequest(), server="memory", timeout_s=0.01) is None


# --- questions from outside ---------------------------------------------------------------------


def test_status_and_stop_from_outside(fake):
    server = fake(StatusRequest=[Status(role="memory", values={"size": 3})], Stop=[Acknowledged()])
    assert remote.fetch_status(str(server.address), WAIT_S) == {"role": "memory", "size": 3}
    remote.request_stop(str(server.address), "a test", WAIT_S)
    assert server.heard[-1] == Stop(reason="a test")


def test_status_of_nobody_names_the_address(nobody):
    with pytest.raises(PeerUnavailableError, match=f"{nobody} within 0.05 s"):
        remote.fetch_status(str(nobody), 0.05)
    with pytest.raises(ConfigError, match="begin with tcp"):
        remote.fetch_status("memory", 1)


def test_an_answer_of_another_kind_is_refused(fake):
    server = fake(StatusRequest=[PONG])
    with pytest.raises(ProtocolError, match="expected Status, got Pong"):
        remote.fetch_status(str(server.address), WAIT_S)
