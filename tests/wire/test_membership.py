import logging
import re
import threading

import msgspec
import pytest

from tests.wire.fake_server import PONG, WELCOME
from tests.wire.links import WAIT_S
from zdqn.errors import (
    FencedError,
    MismatchError,
    PeerUnavailableError,
)
from zdqn.wire import diagnosis, releases
from zdqn.wire import membership as membership_module
from zdqn.wire.membership import Membership, new_session
from zdqn.wire.node import Node
from zdqn.wire.protocol import Delivery, ErrorReply, Goodbye, Hello, Ping, Refusal


@pytest.fixture
def join(context, fake, monkeypatch):
    """Make a membership; it has left when the test is over, while servers are there."""
    made = []

    def make(address, *, connect_timeout_s=0.0, stop=None, statistics=dict, on_delivery=None):
        membership = Membership(
            Node(context),
            address,
            server="memory",
            hello=lambda: Hello(role="collector", name="c-0", session=7),
            statistics=statistics,
            stop=stop or threading.Event(),
            ping_period_s=0.01,
            connect_timeout_s=connect_timeout_s,
            on_delivery=on_delivery,
        )
        made.append(membership)
        return membership

    monkeypatch.setattr(membership_module, "_GOODBYE_TIMEOUT_S", WAIT_S)
    yield make
    for membership in made:
        membership.leave()


@pytest.fixture
def quick(monkeypatch):
    """Silence is noticed soon; why nothing answers is found out in any case."""
    monkeypatch.setattr(membership_module, "_REQUEST_TIMEOUT_S", 0.02)
    monkeypatch.setattr(diagnosis, "PATIENCE_S", WAIT_S)


def test_sessions_are_positive_numbers_that_a_double_holds_and_differ():
    sessions = {new_session() for _ in range(100)}
    assert len(sessions) == 100
    assert all(0 < number < 2**53 for number in sessions)


@pytest.fixture
def ours(monkeypatch):
    """Makes this a certain zdqn."""
    monkeypatch.setattr(releases, "own_release", lambda: "9.9.9")


def of_release(*capabilities, **values):
    return msgspec.structs.replace(WELCOME, capabilities=capabilities, **values)


def test_a_server_of_another_zdqn_is_named_once_and_who_does_not_say_never(
    fake, join, ours, caplog, until
):
    again = msgspec.structs.replace(PONG, known=False)
    silent, older = of_release("acked"), of_release("acked", "zdqn/0.0.1")
    newer = of_release("zdqn/10.0")
    server = fake(Hello=[silent, older, older, newer, of_release("zdqn/9.9.9")], Ping=[again])
    membership = join(server.address)
    assert membership.join() == silent
    until(lambda: server.count(Hello) > 5)
    membership.leave()
    assert "zdqn/9.9.9" in server.heard[0].capabilities
    said = [message for message in caplog.messages if "of zdqn" in message]
    assert [message.split(", and")[0] for message in said] == [
        f"the memory at {server.address} is of zdqn 0.0.1",
        f"the memory at {server.address} is of zdqn 10.0",
    ]
    assert "this collector of 9.9.9" in said[0]


# --- waiting ------------------------------------------------------------------------------------


def test_waiting_is_said_aloud_and_ends_after_the_connect_timeout(nobody, join, quick, caplog):
    caplog.set_level(logging.INFO)
    with pytest.raises(PeerUnavailableError, match=rf"memory at {nobody} for .*right\?"):
        join(nobody, connect_timeout_s=0.1).join()
    (said,) = [record.getMessage() for record in caplog.records]
    assert re.fullmatch(
        rf"waiting for the memory at {nobody} \(\d+ s\): nothing listens there", said
    )


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


def test_a_server_that_is_full_is_asked_again_and_has_not_ended_the_run(fake, join, caplog):
    full = ErrorReply(code=Refusal.NOT_SERVING, message="1000 clients are here")
    server = fake(Hello=[full, WELCOME])
    membership = join(server.address)
    assert membership.join() == WELCOME
    assert not membership.stopping
    assert "the memory cannot take us now: 1000 clients are here" in caplog.text


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
    server = fake(Hello=[ErrorReply(code=Refusal.STOPPING, message="this run is over")])
    membership = join(server.address, stop=stop)
    assert membership.join() is None
    assert membership.stopping
    assert stop.is_set()
    membership.raise_failure()


def test_a_hello_says_whom_it_is_for(fake, join):
    server = fake()
    join(server.address).join()
    (hello,) = (header for header in server.heard if isinstance(header, Hello))
    assert hello.to == "memory"


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (Refusal.FENCED, FencedError),
        (Refusal.MISMATCH, MismatchError),
        (Refusal.PROTOCOL, MismatchError),
    ],
)
def test_a_refusal_of_the_hello_is_raised_in_the_servers_words(code, error, fake, join):
    server = fake(Hello=[ErrorReply(code=code, message="because of this")])
    with pytest.raises(error, match=f"memory at {server.address} refused: because of this"):
        join(server.address).join()


def test_a_refusal_later_stops_the_client_and_is_kept_as_its_failure(fake, join):
    stop = threading.Event()
    server = fake(Ping=[PONG, ErrorReply(code=Refusal.FENCED, message="a newer learner")])
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
        Hello=[WELCOME, ErrorReply(code=Refusal.MISMATCH, message="another run")],
        Ping=[msgspec.structs.replace(PONG, known=False)],
    )
    membership = join(server.address, stop=stop)
    membership.join()
    assert stop.wait(WAIT_S)
    with pytest.raises(MismatchError, match="another run"):
        membership.raise_failure()


@pytest.mark.parametrize(
    ("session", "why"), [(WELCOME.session, "had forgotten this one"), (10, "was started anew")]
)
def test_a_server_that_does_not_know_its_client_is_joined_again_and_it_is_said_why(
    fake, join, caplog, until, session, why
):
    caplog.set_level(logging.INFO)
    server = fake(
        Hello=[WELCOME, msgspec.structs.replace(WELCOME, session=session, index=3)],
        Ping=[PONG, msgspec.structs.replace(PONG, session=session, known=False),
              msgspec.structs.replace(PONG, session=session)],
    )  # fmt: skip
    membership = join(server.address)
    membership.join()
    until(lambda: server.count(Hello) == 2 and membership.index == 3)
    until(lambda: "joined it again" in caplog.text)
    assert [record.getMessage() for record in caplog.records] == [
        f"the memory {why}; joined it again as collector 3"
    ]


def test_a_server_that_falls_silent_is_said_once_and_again_when_it_answers(
    fake, join, monkeypatch, caplog, until
):
    monkeypatch.setattr(membership_module, "_REQUEST_TIMEOUT_S", 0.3)
    caplog.set_level(logging.INFO)
    server = fake(Ping=[PONG, None, None, None, PONG])
    membership = join(server.address)
    membership.join()
    until(lambda: "answers again" in caplog.text)
    assert caplog.text.partition("answers again")[0].count("does not answer") == 1
    assert membership.failure is None


def test_who_does_not_want_to_go_on_after_what_became_of_its_blocks_ends(fake, join):
    told = Delivery(stored=3, refused=0, reason="")
    heard = []

    def look(delivery):
        heard.append(delivery)
        if delivery is not None:
            raise MismatchError("no use")

    server = fake(Ping=[PONG, msgspec.structs.replace(PONG, delivery=told)])
    stop = threading.Event()
    membership = join(server.address, stop=stop, on_delivery=look)
    membership.join()
    assert stop.wait(WAIT_S)
    assert heard == [None, told]
    with pytest.raises(MismatchError, match="no use"):
        membership.raise_failure()


def test_a_server_that_does_not_know_it_is_said_hello_to_again(fake, join, until):
    unknown = ErrorReply(code=Refusal.UNKNOWN_SESSION, message="say hello")
    server = fake(Ping=[unknown, PONG], Hello=[unknown, WELCOME])
    membership = join(server.address)
    assert membership.introduce() == WELCOME
    assert server.count(Hello) == 2
