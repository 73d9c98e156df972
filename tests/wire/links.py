"""Links as the tests of several of them make them, and waiting for what comes."""

from contextlib import suppress

import zmq

from zdqn.errors import AddressInUseError
from zdqn.wire.codec import decode, encode
from zdqn.wire.protocol import ErrorReply, Hello, Ping, Status, StatusRequest, Welcome
from zdqn.wire.request_sockets import Request
from zdqn.wire.sockets import Waiter
from zdqn.wire.transition_sockets import TransitionReceiver, TransitionSender
from zdqn.wire.weight_sockets import WeightSubscriber

WAIT_MS = 60_000
WAIT_S = WAIT_MS / 1000


def receive_request(server):
    waiter = Waiter([server])
    while True:  # what is no request is dropped by `receive`
        assert waiter.wait(WAIT_MS) == {server}
        request = server.receive()
        if request is not None:
            return request


def receive_block(receiver, *, copy=True):
    assert Waiter([receiver]).wait(WAIT_MS) == {receiver}
    return receiver.receive(copy=copy)


def make_receiver(context, address, high_water_mark=2, buffer_bytes=8_192, *, closed=False):
    return TransitionReceiver(
        context, address, high_water_mark=high_water_mark, buffer_bytes=buffer_bytes,
        closed=closed,
    )  # fmt: skip


def make_sender(context, address, high_water_mark=2, buffer_bytes=8_192, *, watched=False):
    return TransitionSender(
        context, address, high_water_mark=high_water_mark, buffer_bytes=buffer_bytes,
        watched=watched,
    )  # fmt: skip


def take(client, timeout_ms=WAIT_MS):
    """Give the next answer, which must come."""
    answer = client.receive(timeout_ms)
    assert answer is not None
    return bytes(answer)


def never():
    return False


def rebind(bind, until):
    """Bind an address that was just closed here: libzmq lets go of it in a thread of its own."""
    bound = []

    def attempt():
        with suppress(AddressInUseError):
            bound.append(bind())
        return bound

    until(attempt)
    return bound[0]


def subscribe(context, publisher, until):
    """Connect, and publish until something arrives: a subscription takes a moment."""
    subscriber = WeightSubscriber(context, publisher.address)

    def publish():
        publisher.publish(b"first")
        return subscriber.latest(10) is not None

    until(publish)
    return subscriber


SIGN = "\N{MATHEMATICAL BOLD SMALL X}"  # a letter of 4 bytes


def fill_with_the_longest_words(desk, most=1_000):
    """Have as many clients as there may be tell as much of themselves as they may."""
    quoting = '"\\' * 32 + SIGN * 192
    for session in range(1, most + 1):
        hello = Hello(role=("collector", "evaluator")[session % 2], name=quoting, session=session)
        connection = [zmq.Frame(b"%d" % session)]
        assert isinstance(desk.answer(Request(connection, memoryview(encode(hello)))), Welcome)
        statistics: dict[str, str | int | float | bool] = {}
        number = 0
        while True:
            more = {**statistics, f"{SIGN * 62}{number:02}": quoting[: 1 if number else 256]}
            ping = encode(Ping(session=session, statistics=more))
            if isinstance(desk.answer(Request(connection, memoryview(ping))), ErrorReply):
                break
            statistics, number = more, number + 1
        assert number > 1


def check_status_fits(desk):
    """A status must come, in one header that every client of the protocol reads."""
    answer = desk.answer(Request([], memoryview(encode(StatusRequest()))))
    status = decode(encode(answer)).header
    assert isinstance(status, Status)
    assert len(status.values["clients"]) == 100
