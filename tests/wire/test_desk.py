"""Requests in, answers out: what every server answers alike."""

import logging
import re
import struct

import msgspec
import numpy as np
import pytest
import zmq

from zdqn.config import Config
from zdqn.data import EnvironmentSpec
from zdqn.errors import ConfigError, FencedError, MismatchError
from zdqn.roles.client_settings import tell_clients
from zdqn.wire import codec, releases
from zdqn.wire.desk import Desk, RefusedError, refusal
from zdqn.wire.desk_host import Particulars
from zdqn.wire.keys.allow_list import Caller
from zdqn.wire.model_messages import Claim, NothingToEvaluate, WeightsRequest
from zdqn.wire.protocol import (
    MOST_ECHO_BYTES,
    PROTOCOL_VERSION,
    Acknowledged,
    Delivery,
    Echo,
    ErrorReply,
    Goodbye,
    Hello,
    Ping,
    Pong,
    Refusal,
    Spec,
    Status,
    StatusRequest,
    Stop,
    Welcome,
)
from zdqn.wire.releases import own_release, tell_release
from zdqn.wire.request_sockets import Request, Server

SPEC = EnvironmentSpec((4,), "float32", 2)
HELLO = Hello(role="collector", name="collector-0", session=7)
SETTINGS = tell_clients(Config())
DELIVERY = Delivery(stored=4, refused=1, reason="of another run")


class Clock:
    def __init__(self):
        self.now_s = 100.0

    def __call__(self):
        return self.now_s


class FakeHost:
    """A server that remembers what its desk asked of it."""

    def __init__(self):
        self.error = None
        self.over_for: set[str] = set()
        self.stopped = []
        self.departures = []

    def admit(self, hello):
        if self.error is not None:
            raise self.error

    def particulars(self):
        return Particulars(
            "tcp://127.0.0.1:5", SPEC, 3, SETTINGS, ("acked",), {"run": {"seed": 3}},
            "tcp://127.0.0.1:6",
        )  # fmt: skip

    def is_over_for(self, role):
        return role in self.over_for

    def environment_steps(self):
        return 1234

    def statistics(self, session):
        return {"size": 5, "session": session}

    def status(self):
        return {"everything": "fine"}

    def stop(self, reason):
        self.stopped.append(reason)

    def departed(self, peer, *, died):
        self.departures.append((peer.name, died))


@pytest.fixture
def host():
    return FakeHost()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def desk(host, clock):
    return Desk(
        "learner", host, session=9, run_id="run-a", dead_after_s=10.0,
        logger=logging.getLogger("zdqn.test"),
        handlers={Claim: lambda request, header, message: NothingToEvaluate(stopping=False)},
        delivery=lambda session: DELIVERY if session == 7 else None, clock=clock,
    )  # fmt: skip


def ask(desk, question, connection=None):
    body = question if isinstance(question, bytes) else codec.encode(question)
    envelope = [] if connection is None else [zmq.Frame(b"%d" % connection)]
    return desk.answer(Request(envelope, memoryview(body)))


def test_who_wants_the_other_server_is_refused_with_the_way_out(desk):
    answer = ask(desk, msgspec.structs.replace(HELLO, to="memory", shared={"a.b": 1}))
    assert answer.code is Refusal.MISMATCH
    assert re.search(r'is a learner, not a memory\. .*--memory .*"memory samples"', answer.message)
    assert desk.living("collector") == []
    assert isinstance(ask(desk, msgspec.structs.replace(HELLO, to="learner")), Welcome)


def test_a_hello_is_answered_with_what_the_server_tells(desk):
    assert ask(desk, HELLO) == Welcome(
        run_id="run-a", session=9, data_endpoint="tcp://127.0.0.1:5",
        spec=Spec.of(SPEC), settings=SETTINGS, config={}, memory="tcp://127.0.0.1:6", index=0,
        seed=3, version=PROTOCOL_VERSION, capabilities=("acked", *tell_release()),
    )  # fmt: skip
    second = ask(desk, Hello(role="collector", name="collector-1", session=8))
    assert second.index == 1
    assert [peer.name for peer in desk.living("collector")] == ["collector-0", "collector-1"]


def test_only_who_wants_the_whole_configuration_is_sent_it(desk):
    wants = msgspec.structs.replace(HELLO, capabilities=("later", "configuration"))
    assert ask(desk, wants).config == {"run": {"seed": 3}}
    assert ask(desk, HELLO).config == {}


def test_a_client_of_another_zdqn_is_let_in_and_named_once_in_log_and_status(
    desk, caplog, monkeypatch
):
    monkeypatch.setattr(releases, "own_release", lambda: "9.9.9")
    other = msgspec.structs.replace(HELLO, capabilities=("zdqn/0.0.1", "lz4"))
    for _ in range(2):  # as it knows more of its environment, say
        assert isinstance(ask(desk, other), Welcome)
    assert ask(desk, Hello(role="evaluator", name="e", session=8, capabilities=tell_release()))
    assert ask(desk, Hello(role="evaluator", name="not-zdqn", session=5, capabilities=("lz4",)))
    (said,) = caplog.messages
    assert said.startswith("collector-0 is of zdqn 0.0.1, and this learner of 9.9.9.")
    rows = {row["name"]: row.get("zdqn") for row in desk.describe_clients()}
    assert rows == {"collector-0": "0.0.1", "e": "9.9.9", "not-zdqn": None}
    lying = Ping(session=7, statistics={"zdqn": "9.9.9"})
    assert ask(desk, lying).known
    assert {row["zdqn"] for row in desk.describe_clients() if row["name"] == "collector-0"} == {
        "0.0.1"
    }


@pytest.mark.parametrize(
    ("versions", "agreed"),
    [
        (None, PROTOCOL_VERSION),
        ((PROTOCOL_VERSION, PROTOCOL_VERSION), PROTOCOL_VERSION),
        ((1, PROTOCOL_VERSION + 9), PROTOCOL_VERSION),
        ((PROTOCOL_VERSION + 1, PROTOCOL_VERSION + 9), None),
        ((1, PROTOCOL_VERSION - 1), None),
    ],
)
def test_the_highest_version_that_both_speak_is_agreed_on(desk, versions, agreed):
    answer = ask(desk, msgspec.structs.replace(HELLO, versions=versions))
    if agreed is None:
        assert answer.code is Refusal.PROTOCOL
        assert f"versions {versions[0]} to {versions[1]}" in answer.message
    else:
        assert answer.version == agreed


def test_a_refusal_is_logged_with_the_name_of_who_is_refused(desk, caplog):
    ask(desk, HELLO)
    ask(desk, Ping(session=7, statistics={"epsilon": 2}))
    ask(desk, Hello(role="learner", name="learner-of-b", session=8, run_id="run-b"))
    ask(desk, b"GET / HTTP/1.1")
    first, second, third = caplog.messages
    assert first.startswith("refused PING of collector-0: statistics hold epsilon")
    assert second.startswith("refused HELLO of learner-of-b: ")
    assert third.startswith("refused a message of somebody: ")


def test_what_passes_is_not_logged(desk, host, caplog):
    host.error = RefusedError(Refusal.UNKNOWN_SESSION, "say hello")
    assert ask(desk, HELLO).code is Refusal.UNKNOWN_SESSION
    assert caplog.messages == []


def test_a_first_hello_is_logged_and_a_second_is_not(desk, caplog):
    caplog.set_level(logging.INFO)
    ask(desk, HELLO)
    ask(desk, HELLO)
    assert [record.getMessage() for record in caplog.records] == [
        "collector-0 has joined as collector 0"
    ]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MismatchError("another environment"), Refusal.MISMATCH),
        (FencedError("a newer learner"), Refusal.FENCED),
        (ConfigError("does not fit"), Refusal.MISMATCH),
        (RefusedError(Refusal.NOT_SERVING, "not now"), Refusal.NOT_SERVING),
    ],
)
def test_whom_the_host_does_not_admit_is_refused_in_its_words_and_no_client(
    desk, host, error, code
):
    host.error = error
    assert ask(desk, HELLO) == ErrorReply(code=code, message=str(error))
    assert refusal(error).code is code
    assert not desk.peers.peers


def test_another_run_is_refused_naming_both(desk):
    answer = ask(desk, Hello(role="learner", name="learner", session=7, run_id="run-b"))
    assert answer.code is Refusal.MISMATCH
    assert "run-a" in answer.message
    assert "run-b" in answer.message


@pytest.mark.parametrize("run_id", ["", "run-a"])
def test_the_same_run_or_none_yet_is_welcome(desk, run_id):
    assert isinstance(
        ask(desk, Hello(role="learner", name="learner", session=7, run_id=run_id)), Welcome
    )


def test_a_server_without_a_run_takes_over_that_of_whom_it_admits(desk):
    desk.belong_to("run-b", sure=True)
    assert ask(desk, HELLO).run_id == "run-b"


def test_a_collector_that_has_outlived_its_run_is_told_that_another_has_its_place(desk):
    answer = ask(desk, msgspec.structs.replace(HELLO, run_id="run-b"))
    assert answer.code is Refusal.FENCED
    assert "run run-a has taken the place of run run-b" in answer.message
    assert "Start collector-0 again" in answer.message


def test_what_a_collector_said_of_its_run_holds_until_a_learner_comes(host, clock, caplog):
    desk = Desk(
        "memory", host, session=9, dead_after_s=10.0, logger=logging.getLogger("zdqn.test"),
        handlers={}, clock=clock,
    )  # fmt: skip
    old = msgspec.structs.replace(HELLO, run_id="run-a")
    ask(desk, old)
    desk.belong_to("run-a", sure=False)
    learner = Hello(role="learner", name="learner", session=8, run_id="run-b")
    assert isinstance(ask(desk, learner), Welcome)
    desk.belong_to("run-b", sure=True)
    assert "collector-0 belongs to run run-a, not to run-b" in caplog.text
    assert not ask(desk, Ping(session=7, statistics={})).known
    assert ask(desk, old).code is Refusal.FENCED
    other = msgspec.structs.replace(learner, session=6, run_id="run-c")
    refused = ask(desk, other)
    assert (refused.code, "run-b" in refused.message, "run-c" in refused.message) == (
        Refusal.MISMATCH, True, True,
    )  # fmt: skip


def test_a_run_that_is_over_for_a_role_is_so_for_that_role_alone(desk, host):
    host.over_for = {"collector"}
    assert ask(desk, HELLO).code is Refusal.STOPPING
    assert isinstance(ask(desk, Hello(role="evaluator", name="e", session=8)), Welcome)


def test_pings_are_answered_for_the_known_and_the_unknown(desk, host):
    ask(desk, HELLO)
    ping = Ping(session=7, statistics={"blocks_sent": 2})
    assert ask(desk, ping) == Pong(
        session=9, known=True, stopping=False, environment_steps=1234, collectors=1,
        statistics={"size": 5, "session": 7}, delivery=DELIVERY,
    )  # fmt: skip
    assert not ask(desk, Ping(session=99, statistics={})).known
    host.over_for = {"collector"}
    assert ask(desk, ping).stopping


@pytest.mark.parametrize("question", [Ping, Goodbye])
def test_a_word_among_a_clients_numbers_is_refused_and_forgotten(desk, question):
    ask(desk, HELLO)
    ask(desk, Ping(session=7, statistics={"blocked_s": 2.5}))
    answer = ask(desk, question(session=7, statistics={"blocked_s": "a word"}))
    assert answer.code is Refusal.PROTOCOL
    assert "blocked_s = 'a word'" in answer.message
    assert [peer.statistics for peer in desk.living("collector")] == [{"blocked_s": 2.5}]


def test_who_says_goodbye_has_departed(desk, host):
    ask(desk, HELLO)
    assert ask(desk, Goodbye(session=7, statistics={"blocks_sent": 3})) == Acknowledged()
    assert host.departures == [("collector-0", False)]
    assert ask(desk, Goodbye(session=99, statistics={})) == Acknowledged()
    assert len(host.departures) == 1
    assert desk.living("collector") == []


def test_who_falls_silent_has_departed_once_and_is_named(desk, host, clock, caplog):
    ask(desk, HELLO)
    clock.now_s += 9.9
    desk.look_after_peers()
    assert host.departures == []
    clock.now_s += 0.2
    desk.look_after_peers()
    assert host.departures == [], "it looks every half a second"
    clock.now_s += 0.5
    desk.look_after_peers()
    clock.now_s += 5.0
    desk.look_after_peers()
    assert host.departures == [("collector-0", True)]
    assert "collector-0 has been silent for 11 s: taken for dead" in caplog.text


def test_the_earlier_start_of_one_that_is_here_again_is_not_taken_for_it(desk, host, clock, caplog):
    ask(desk, HELLO)
    clock.now_s += 6.0
    ask(desk, msgspec.structs.replace(HELLO, session=8))
    clock.now_s += 5.0
    desk.look_after_peers()
    assert host.departures == [("collector-0", True)]
    assert (
        "an earlier start of collector-0 (collector 0) has been silent for 11 s: taken for dead; "
        "collector-0 is here as collector 1"
    ) in caplog.text


def test_very_many_that_come_and_fall_silent_do_not_flood_the_log(desk, host, clock, caplog):
    caplog.set_level("INFO", "zdqn.test")
    for session in range(1_000):
        ask(desk, msgspec.structs.replace(HELLO, session=session), connection=session)
    joined = [record for record in caplog.records if "has joined" in record.getMessage()]
    assert 1 <= len(joined) <= 100
    caplog.clear()
    clock.now_s += 11
    desk.look_after_peers()
    assert len(host.departures) == 1_000
    dead = [record for record in caplog.records if "taken for dead" in record.getMessage()]
    assert 1 <= len(dead) <= 100
    assert "900 lines like the last ones were left out" in caplog.text


def test_status_and_stop_need_no_hello(desk, host):
    assert ask(desk, StatusRequest()) == Status(
        role="learner", values={"zdqn": own_release(), "everything": "fine"}
    )
    assert ask(desk, Stop(reason="enough")) == Acknowledged()
    assert host.stopped == ["enough"]


def test_a_servers_own_kinds_go_to_its_handlers_and_others_are_refused_by_name(desk):
    assert ask(desk, Claim(session=1, wait_ms=0)) == NothingToEvaluate(stopping=False)
    answer = ask(desk, WeightsRequest())
    assert answer == ErrorReply(
        code=Refusal.PROTOCOL, message="a learner does not answer WEIGHTS_REQUEST"
    )


@pytest.mark.parametrize(
    "body", [b"", b"GET / HTTP/1.1", b"ZDQN" + struct.pack("<HBBII", 1, 4, 0, 0, 0)]
)
def test_what_is_no_message_is_answered_too(desk, body):
    assert ask(desk, body).code is Refusal.PROTOCOL


class FakeServer(Server):
    """Requests that have come, and the replies to them."""

    def __init__(self, *questions):  # binds nothing
        self.requests = [Request([], memoryview(codec.encode(header))) for header in questions]
        self.replies = []

    def receive(self):
        return self.requests.pop(0) if self.requests else None

    def reply(self, request, message):
        self.replies.append(codec.decode(message).header)


def test_a_round_ends_however_many_ask(desk):
    server = FakeServer(*[StatusRequest()] * 5)
    assert desk.serve(server, 3) == 3
    assert len(server.replies) == 3
    assert desk.serve(server, 3) == 2
    assert desk.serve(server, 3) == 0


def test_a_round_ends_when_its_time_is_over_and_one_is_answered_in_any_case(desk, host, clock):
    def status():
        clock.now_s += 1.0
        return {}

    host.status = status
    server = FakeServer(*[StatusRequest()] * 9)
    assert desk.serve(server, 256, 3.0) == 3
    assert desk.serve(server, 256, 2.5) == 3
    assert desk.serve(server, 256, 0.0) == 1
    assert desk.serve(server, 256) == 2


def test_what_a_handler_has_answered_itself_is_not_answered_twice(host, clock):
    desk = Desk(
        "memory", host, session=9, dead_after_s=10.0, logger=logging.getLogger("zdqn.test"),
        handlers={WeightsRequest: lambda request, header, message: None}, clock=clock,
    )  # fmt: skip
    server = FakeServer(WeightsRequest(), StatusRequest())
    assert desk.serve(server, 10) == 2
    assert [type(reply) for reply in server.replies] == [Status]


@pytest.mark.parametrize("question", [Ping, Goodbye])
def test_more_than_is_kept_of_a_client_is_refused_naming_the_bound(desk, question):
    ask(desk, HELLO)
    answer = ask(desk, question(session=7, statistics={"a": "x" * 250, "b": 1}))
    assert not isinstance(answer, ErrorReply)
    ask(desk, HELLO)
    words = {f"word_{number}": "x" * 250 for number in range(8)}
    answer = ask(desk, question(session=7, statistics=words))
    assert answer.code is Refusal.PROTOCOL
    assert "2048" in answer.message
    assert desk.peers.peers[7].statistics == {"a": "x" * 250, "b": 1}


def test_clients_without_end_are_refused_for_now(desk):
    for session in range(1, 65):
        assert isinstance(ask(desk, msgspec.structs.replace(HELLO, session=session)), Welcome)
    answer = ask(desk, msgspec.structs.replace(HELLO, session=65))
    assert answer.code is Refusal.NOT_SERVING
    assert "64 clients came by this connection" in answer.message
    assert isinstance(ask(desk, HELLO), Welcome), "it is met again"


def test_a_refusal_of_any_length_fits_a_header(desk, host):
    host.error = MismatchError("\U0001d431" * 100_000)
    answer = codec.decode(codec.encode(ask(desk, HELLO))).header
    assert isinstance(answer, ErrorReply)
    assert set(answer.message) == {"\U0001d431"}


@pytest.mark.parametrize("nbytes", [0, 1, 100_000])
def test_an_echo_comes_back_byte_for_byte(desk, nbytes):
    payload = np.arange(nbytes, dtype=np.uint32).astype(np.uint8)
    sent = codec.encode(Echo(nbytes=nbytes), [payload])
    assert ask(desk, sent) == sent


def test_an_echo_of_another_length_is_refused(desk):
    answer = ask(desk, codec.encode(Echo(nbytes=5), [np.zeros(4, np.uint8)]))
    assert answer.code is Refusal.PROTOCOL
    too_long = Echo(nbytes=MOST_ECHO_BYTES + 1)
    assert ask(desk, codec.encode(too_long)).code is Refusal.PROTOCOL


def test_what_a_key_does_not_allow_is_refused_logged_once_and_does_nothing(desk, host, caplog):
    caller = Caller("collector", "lab7", bytes(32))
    stop = Request([], memoryview(codec.encode(Stop(reason="mischief"))), caller)
    for _ in range(3):
        answer = desk.answer(stop)
        assert isinstance(answer, ErrorReply)
        assert answer.code is Refusal.NOT_ALLOWED
    assert host.stopped == []
    (line,) = caplog.messages
    assert line == (
        "refused: a collector's key may not send STOP to a learner: collector's key 00000000 (lab7)"
    )
    hello = Request([], memoryview(codec.encode(HELLO)), caller)
    assert isinstance(desk.answer(hello), Welcome)
