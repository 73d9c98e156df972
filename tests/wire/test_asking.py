import struct
import threading

import pytest

from tests.wire.fake_server import PONG
from tests.wire.links import WAIT_S
from zdqn.errors import MismatchError, NotAllowedError
from zdqn.wire import codec
from zdqn.wire.asking import ask
from zdqn.wire.protocol import ErrorReply, Ping, Refusal, StatusRequest
from zdqn.wire.request_sockets import Client


def test_another_protocol_version_is_named_on_both_sides(fake, context):
    body = bytearray(codec.encode(PONG))
    body[4:6] = struct.pack("<H", 1)
    server = fake(Ping=[bytes(body)])
    client = Client(context, server.address)
    with pytest.raises(
        MismatchError,
        match=rf"memory at {server.address} answered: .*version 1, this side version 4",
    ):
        ask(client, Ping(session=1, statistics={}), server="memory", timeout_s=WAIT_S)


@pytest.mark.parametrize("body", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"ZDQN"])
def test_an_answer_that_is_not_zdqns_is_a_mismatch(body, fake, context):
    server = fake(Ping=[body])
    client = Client(context, server.address)
    with pytest.raises(MismatchError, match="answered"):
        ask(client, Ping(session=1, statistics={}), server="memory", timeout_s=WAIT_S)


@pytest.mark.parametrize("code", [Refusal.NOT_SERVING, Refusal.STOPPING])
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


def test_why_nothing_answers_is_found_out_unless_nobody_wants_to_know(nobody, context):
    asked = []

    def explain(server):
        asked.append(server)
        return ": because"

    client = Client(context, nobody, explain=explain)
    stopped = threading.Event()
    stopped.set()
    ask(client, StatusRequest(), server="memory", timeout_s=0.01, stop=stopped)
    assert (asked, client.hint) == ([], "")
    ask(client, StatusRequest(), server="memory", timeout_s=0.01)
    assert (asked, client.hint) == (["memory"], ": because")


def test_what_does_not_pass_ends_the_waiting(nobody, context):
    def explain(_server):
        raise NotAllowedError("no key")

    client = Client(context, nobody, explain=explain)
    with pytest.raises(NotAllowedError, match="no key"):
        ask(client, StatusRequest(), server="memory", timeout_s=0.01)


@pytest.mark.parametrize(
    ("code", "kind"), [(Refusal.NOT_ALLOWED, NotAllowedError), (Refusal.MISMATCH, MismatchError)]
)
def test_a_refusal_is_the_error_that_it_stands_for(code, kind, fake, context):
    server = fake(Ping=[ErrorReply(code=code, message="no")])
    client = Client(context, server.address)
    with pytest.raises(kind, match=r"memory at .* refused: no"):
        ask(client, Ping(session=1, statistics={}), server="memory", timeout_s=WAIT_S)
