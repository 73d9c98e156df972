"""The links over loopback: what they promise, and what hostile peers cannot take from others."""

import random
import socket
import struct
import subprocess
import sys
import threading
from contextlib import closing, suppress

import pytest
import zmq

from zdqn.errors import AddressInUseError, ConfigError
from zdqn.wire.addresses import Address
from zdqn.wire.node import bind_pair
from zdqn.wire.request_sockets import Client, PipelinedClient, Server
from zdqn.wire.sockets import Context, Waiter
from zdqn.wire.transition_sockets import TransitionReceiver, TransitionSender
from zdqn.wire.weight_sockets import WeightPublisher, WeightSubscriber

WAIT_MS = 5_000
WAIT_S = WAIT_MS / 1000


@pytest.fixture
def plain(context):
    """Sockets straight from zmq, as another program would make them."""
    with zmq.Context() as own:
        kept = []

        def make(kind, address, **options):
            made = own.socket(kind)
            kept.append(made)
            made.linger = 0
            made.rcvtimeo = WAIT_MS
            for name, value in options.items():
                setattr(made, name, value)
            made.connect(str(address))
            return made

        yield make
        own.destroy(linger=0)


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


def make_receiver(context, address, high_water_mark=2, buffer_bytes=8_192):
    return TransitionReceiver(
        context, address, high_water_mark=high_water_mark, buffer_bytes=buffer_bytes
    )


def make_sender(context, address, high_water_mark=2, buffer_bytes=8_192):
    return TransitionSender(
        context, address, high_water_mark=high_water_mark, buffer_bytes=buffer_bytes
    )


def take(client, timeout_ms=WAIT_MS):
    """Give the next answer, which must come."""
    answer = client.receive(timeout_ms)
    assert answer is not None
    return bytes(answer)


def ask(client, message, **options):
    answer = client.request(message, **options)
    return None if answer is None else bytes(answer)


def never():
    return False


def at_once():
    return True


def rebind(bind, until):
    """Bind an address that was just closed here: libzmq lets go of it in a thread of its own."""
    bound = []

    def attempt():
        with suppress(AddressInUseError):
            bound.append(bind())
        return bound

    until(attempt)
    return bound[0]


def raw_peer(address):
    return closing(socket.create_connection((address.host, address.port), timeout=WAIT_S))


# --- transitions --------------------------------------------------------------------------------


@pytest.mark.parametrize("copy", [True, False])
@pytest.mark.parametrize("size", [0, 1, 100_000])
def test_blocks_arrive_whole_in_order_and_once(copy, size, context, loopback):
    receiver = make_receiver(context, loopback)
    sender = make_sender(context, receiver.address, 100)
    for number in range(5):
        assert sender.send(bytes([number]) + bytes(size), never)
    for number in range(5):
        message = receive_block(receiver, copy=copy)
        assert message[0] == number
        assert len(message) == size + 1
    assert receiver.receive(copy=copy) is None


def test_a_memory_that_does_not_read_blocks_its_collectors_and_nothing_is_lost(context, loopback):
    receiver = make_receiver(context, loopback)
    sender = make_sender(context, receiver.address)
    sent = 0
    while sender.send(sent.to_bytes(4, "little") + bytes(50_000), at_once):
        sent += 1
        assert sent < 1_000, "nothing held the sender back"
    assert sent >= 2
    for number in range(sent):
        assert int.from_bytes(receive_block(receiver)[:4], "little") == number
    assert receiver.receive(copy=True) is None  # the one that was refused never comes
    assert sender.send(b"room again", at_once)
    assert receive_block(receiver) == b"room again"


def test_giving_up_with_no_memory_at_all_sends_nothing(context, nobody):
    sender = make_sender(context, nobody)
    sent = 0
    while sender.send(b"x", at_once):
        sent += 1
    assert sent == 2  # the high-water mark
    sender.close(0)


def test_a_sender_waits_for_room_as_long_as_nobody_gives_up(context, loopback, in_thread):
    receiver = make_receiver(context, loopback)
    sender = make_sender(context, receiver.address)
    asked = threading.Event()

    def give_up():
        asked.set()
        return False

    in_thread(lambda: [sender.send(bytes(50_000), give_up) for _ in range(20)])
    assert asked.wait(WAIT_S)
    for _ in range(20):
        assert len(receive_block(receiver)) == 50_000


def test_a_multipart_message_is_made_into_one_that_is_refused(context, loopback, plain):
    receiver = make_receiver(context, loopback)
    push = plain(zmq.PUSH, receiver.address)
    push.send_multipart([b"a", b"b", b"c"])
    push.send(b"good")
    assert receive_block(receiver) == b""
    assert receive_block(receiver) == b"good"


def test_a_waiter_leaves_a_disabled_link_alone(context, loopback):
    receiver = make_receiver(context, loopback)
    sender = make_sender(context, receiver.address)
    waiter = Waiter([receiver])
    assert sender.send(b"1", never)
    assert waiter.wait(WAIT_MS) == {receiver}
    waiter.enable(receiver, False)
    assert waiter.wait(1) == set()
    waiter.enable(receiver, True)
    assert waiter.wait(WAIT_MS) == {receiver}


def test_an_oversize_block_is_dropped_and_the_next_ones_arrive(
    context, loopback, monkeypatch, plain
):
    monkeypatch.setattr("zdqn.wire.transition_sockets.MAX_BLOCK_BYTES", 1_000)
    receiver = make_receiver(context, loopback)
    push = plain(zmq.PUSH, receiver.address, reconnect_ivl=10)
    monitor = push.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    push.send(bytes(1_001))
    assert monitor.poll(WAIT_MS), "the oversize sender was not disconnected"
    push.send(b"good")
    assert receive_block(receiver) == b"good"
    push.disable_monitor()
    monitor.close(0)


# --- REQ/REP ------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"req_relaxed": True, "req_correlate": True}])
@pytest.mark.parametrize("size", [0, 3, 200_000])
def test_a_plain_req_socket_is_answered(options, size, context, loopback, plain):
    server = Server(context, loopback)
    request = plain(zmq.REQ, server.address, **options)
    for number in range(2):
        request.send(bytes([number]) + bytes(size))
        asked = receive_request(server)
        assert asked.body == bytes([number]) + bytes(size)
        server.reply(asked, b"answer" + asked.body)
        assert request.recv() == b"answer" + asked.body


def test_answers_may_come_later_and_in_another_order(context, loopback, plain):
    server = Server(context, loopback)
    first, second = plain(zmq.REQ, server.address), plain(zmq.REQ, server.address)
    first.send(b"1")
    parked = receive_request(server)
    second.send(b"2")
    server.reply(receive_request(server), b"two")
    assert second.recv() == b"two"
    server.reply(parked, b"one")
    assert first.recv() == b"one"


def test_what_is_no_request_is_dropped_and_good_clients_are_served(context, loopback, plain):
    server = Server(context, loopback)
    garbage = plain(zmq.DEALER, server.address)
    for frames in ([b"x"], [b"x", b"y"], [b"", b"a", b"b"], [b"1", b"2", b"", b"x"], [b""] * 9):
        garbage.send_multipart(frames)
    garbage.send_multipart([b"", b"good"])
    request = receive_request(server)
    assert request.body == b"good"
    server.reply(request, b"ok")
    assert garbage.recv_multipart() == [b"", b"ok"]
    assert server.receive() is None


def test_a_client_that_has_gone_is_not_waited_for(context, loopback, plain):
    server = Server(context, loopback)
    gone = plain(zmq.REQ, server.address)
    gone.send(b"x")
    request = receive_request(server)
    gone.close(0)
    server.reply(request, bytes(100_000))
    alive = plain(zmq.REQ, server.address)
    alive.send(b"y")
    server.reply(receive_request(server), b"ok")
    assert alive.recv() == b"ok"


def test_a_late_answer_is_never_taken_for_the_next(context, loopback):
    server = Server(context, loopback)
    client = Client(context, server.address)
    assert client.request(b"1", timeout_s=0.05) is None
    late = receive_request(server)
    stop = threading.Event()
    answers = []
    asking = threading.Thread(
        target=lambda: answers.append(ask(client, b"2", timeout_s=WAIT_S, stop=stop))
    )
    asking.start()
    second = receive_request(server)
    server.reply(late, b"answer to 1")
    server.reply(late, b"answer to 1, again")
    server.reply(second, b"answer to 2")
    asking.join(WAIT_S)
    assert answers == [b"answer to 2"]


def test_a_client_gives_up_when_told_to(context, loopback):
    server = Server(context, loopback)
    client = Client(context, server.address)
    stop = threading.Event()
    stop.set()
    assert client.request(b"1", timeout_s=3600, stop=stop) is None


def test_a_client_waits_out_its_time_when_its_queue_is_full(
    context, nobody, monkeypatch, in_thread, until
):
    """Without a server, questions pile up; asking on must not turn into a busy loop."""
    client = Client(context, nobody)
    waits = []
    for receive in ("_receive_in_time", "_receive_late"):
        monkeypatch.setattr(client, receive, lambda wait_ms: waits.append(wait_ms))
    for _ in range(1_200):
        assert client.request(b"hello?", timeout_s=1.0) is None
    assert waits == [1000] * 1_200
    monkeypatch.undo()
    late = Server(context, nobody)
    bodies = []

    def serve():
        while b"new" not in bodies:
            request = receive_request(late)
            bodies.append(request.body)
            late.reply(request, b"to " + request.body)

    in_thread(serve)
    until(lambda: ask(client, b"new", timeout_s=0.5) == b"to new")
    assert bodies.count(b"hello?") <= 20  # not 1,200


def test_a_client_outlives_its_server(context, loopback, until):
    server = Server(context, loopback)
    client = Client(context, server.address)
    assert client.request(b"1", timeout_s=0.05) is None
    address = server.address
    server.close(0)
    assert client.request(b"2", timeout_s=0.05) is None
    again = rebind(lambda: Server(context, address), until)
    answers = []
    asking = threading.Thread(target=lambda: answers.append(ask(client, b"3", timeout_s=WAIT_S)))
    asking.start()
    body = b""
    while body != b"3":
        request = receive_request(again)
        body = request.body
        again.reply(request, b"to " + body)
    asking.join(WAIT_S)
    assert answers == [b"to 3"]


def test_several_requests_travel_at_once_and_answers_keep_their_order(context, loopback):
    server = Server(context, loopback)
    client = PipelinedClient(context, server.address)
    for number in range(3):
        assert client.send(bytes([number]))
    for _ in range(3):
        request = receive_request(server)
        server.reply(request, b"answer " + request.body)
    for number in range(3):
        assert take(client) == b"answer " + bytes([number])
    assert client.receive(0) is None


def test_after_reconnecting_no_answer_to_an_earlier_request_comes(context, loopback):
    server = Server(context, loopback)
    client = PipelinedClient(context, server.address)
    assert client.send(b"old")
    old = receive_request(server)
    client.reconnect()
    server.reply(old, b"answer to old")
    assert client.send(b"new")
    new = receive_request(server)
    assert new.body == b"new"
    server.reply(new, b"answer to new")
    assert take(client) == b"answer to new"
    assert client.receive(0) is None


# --- weights ------------------------------------------------------------------------------------


def receive_latest(subscriber, until):
    seen = []

    def look():
        message = subscriber.latest(10)
        if message is not None:
            seen.append(bytes(message))
        return message is not None

    until(look)
    return seen[-1]


def subscribe(context, publisher, until):
    """Connect, and publish until something arrives: a subscription takes a moment."""
    subscriber = WeightSubscriber(context, publisher.address)

    def publish():
        publisher.publish(b"first")
        return subscriber.latest(10) is not None

    until(publish)
    return subscriber


def test_a_slow_subscriber_ends_on_the_newest_weights(context, loopback, until):
    publisher = WeightPublisher(context, loopback)
    slow = subscribe(context, publisher, until)
    other = subscribe(context, publisher, until)
    for version in range(200):
        publisher.publish(version.to_bytes(4, "little") + bytes(70_000))
    newest = []

    def at_the_end(subscriber):
        message = subscriber.latest(10)
        if message is not None:
            newest.append(int.from_bytes(bytes(message[:4]), "little"))
        return bool(newest) and newest[-1] == 199

    for subscriber in (other, slow):
        newest.clear()
        until(lambda subscriber=subscriber: at_the_end(subscriber))
        assert len(newest) < 100  # most were skipped, not queued
        assert newest == sorted(newest)
        assert subscriber.latest() is None


def test_a_subscriber_survives_a_restart_of_the_publisher(context, loopback, until):
    publisher = WeightPublisher(context, loopback)
    subscriber = subscribe(context, publisher, until)
    address = publisher.address
    publisher.close()
    received = []
    with rebind(lambda: WeightPublisher(context, address), until) as again:

        def arrives():
            again.publish(b"second life")
            message = subscriber.latest(10)
            if message is not None:
                received.append(bytes(message))
            return b"second life" in received

        until(arrives)
    assert received[-1] == b"second life"


def test_a_late_joiner_gets_the_next_publication_and_nothing_earlier(context, loopback, until):
    publisher = WeightPublisher(context, loopback)
    publisher.publish(b"before anybody listened")
    late = subscribe(context, publisher, until)
    assert late.latest() is None or bytes(late.latest() or b"first") == b"first"
    publisher.publish(b"next")
    until(lambda: receive_latest(late, until) == b"next")


def test_publishing_to_nobody_does_not_block(context, loopback, in_thread):
    published = []

    def publish():
        with WeightPublisher(context, loopback) as publisher:
            for number in range(100):
                publisher.publish(bytes(100_000))
                published.append(number)

    in_thread(publish).join(WAIT_S)
    assert len(published) == 100


# --- addresses ----------------------------------------------------------------------------------

BINDERS = [
    Server,
    WeightPublisher,
    make_receiver,
]


@pytest.mark.parametrize("bind", BINDERS)
def test_an_address_in_use_is_refused_by_name_and_the_first_goes_on(bind, context, loopback, plain):
    server = Server(context, loopback)
    with pytest.raises(AddressInUseError, match=f"listens on {server.address}.*--bind"):
        bind(context, server.address)
    request = plain(zmq.REQ, server.address)
    request.send(b"x")
    assert receive_request(server).body == b"x"


def test_port_0_takes_a_free_port_and_tells_it(context, loopback):
    first, second = Server(context, loopback), Server(context, loopback)
    assert first.address.port > 0
    assert second.address.port > 0
    assert first.address != second.address


def pair(context, address):
    return bind_pair(
        lambda where: Server(context, where), lambda where: WeightPublisher(context, where), address
    )


def test_a_server_and_its_one_way_socket_are_neighbours_that_can_come_back(
    context, loopback, until
):
    server, publisher = pair(context, loopback)
    assert publisher.address.port == server.address.port - 1
    address = server.address
    server.close(0)
    publisher.close(0)
    again, _ = rebind(lambda: pair(context, address), until)
    assert again.address == address


def test_a_pair_with_one_half_taken_leaves_nothing_bound(context, nobody, until):
    def taken(address):
        raise AddressInUseError(f"{address} is taken")

    with pytest.raises(AddressInUseError, match=str(nobody.companion())):
        bind_pair(lambda where: Server(context, where), taken, nobody)
    rebind(lambda: Server(context, nobody), until)


@pytest.mark.parametrize("host", ["192.0.2.1", "nosuchdevice"])
def test_an_address_of_another_machine_cannot_be_bound(host, context):
    with pytest.raises(ConfigError, match=f"Cannot listen on tcp://{host}:0.*127.0.0.1 always is"):
        Server(context, Address("tcp", host, 0))


def test_an_address_that_libzmq_cannot_parse_is_refused_not_raised_raw(context):
    with pytest.raises(ConfigError, match="Cannot connect to tcp://a b:5"):
        Client(context, Address("tcp", "a b", 5))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_numeric_addresses_of_both_families_work(host, context):
    try:
        server = Server(context, Address("tcp", host, 0))
    except ConfigError:
        pytest.skip("no IPv6 on this machine")
    client = PipelinedClient(context, server.address)
    assert client.send(b"x")
    server.reply(receive_request(server), b"y")
    assert take(client) == b"y"


def test_a_second_server_cannot_steal_an_ipc_path(context, tmp_path, plain, until):
    address = Address("ipc", path=str(tmp_path / "memory"))
    server = Server(context, address)
    with pytest.raises(AddressInUseError, match="listens on ipc://"):
        Server(context, address)
    request = plain(zmq.REQ, address)
    request.send(b"x")
    server.reply(receive_request(server), b"y")
    assert request.recv() == b"y"
    server.close()
    rebind(lambda: Server(context, address), until).close()


def test_an_ipc_path_in_a_missing_folder_is_refused(context, tmp_path):
    with pytest.raises(ConfigError, match="folder must exist"):
        Server(context, Address("ipc", path=str(tmp_path / "missing" / "memory")))


# --- hostile peers ------------------------------------------------------------------------------

_RANDOM = random.Random(7)
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(16) + b"\x00" + bytes(31)
READY = b"\x04\x26\x05READY\x0bSocket-Type\x00\x00\x00\x04PUSH"
GARBAGE = [
    pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", id="http"),
    pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), id="tls"),
    pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n", id="ssh"),
    pytest.param(b"\x01\x00\x06\x00hello" * 50, id="zmtp1"),
    pytest.param(_RANDOM.randbytes(1_000_000), id="random"),
    pytest.param(bytes(1_000_000), id="zeros"),
    pytest.param(GREETING + _RANDOM.randbytes(1_000), id="greeting then random"),
    pytest.param(GREETING + READY + b"\x02" + struct.pack(">Q", 2**62) + b"x", id="2**62 bytes"),
    pytest.param(b"\xff", id="one byte"),
]


def throw(address, garbage):
    """Send as much as the peer takes before it hangs up."""
    with raw_peer(address) as peer:
        try:
            peer.sendall(garbage)
        except OSError:
            return


@pytest.mark.parametrize("garbage", GARBAGE)
def test_raw_bytes_leave_every_bound_socket_working(garbage, context, loopback, until):
    server = Server(context, loopback)
    receiver = make_receiver(context, loopback)
    publisher = WeightPublisher(context, loopback)
    client = PipelinedClient(context, server.address)
    sender = make_sender(context, receiver.address)
    for link in (server, receiver, publisher):
        throw(link.address, garbage)

    assert client.send(b"good")
    request = receive_request(server)
    while request.body != b"good":  # ZMTP 1.0 lets garbage through as messages
        request = receive_request(server)
    server.reply(request, b"ok")
    assert take(client) == b"ok"

    assert sender.send(b"good", never)
    while receive_block(receiver) != b"good":
        pass

    assert subscribe(context, publisher, until).latest() in (None, b"first")


def test_50_silent_peers_do_not_keep_a_good_one_out(context, loopback):
    server = Server(context, loopback)
    silent = [
        socket.create_connection((server.address.host, server.address.port), timeout=WAIT_S)
        for _ in range(50)
    ]
    silent[0].send(b"\xff")
    client = PipelinedClient(context, server.address)
    assert client.send(b"good")
    server.reply(receive_request(server), b"ok")
    assert take(client) == b"ok"
    for peer in silent:
        peer.close()


def test_a_client_survives_a_server_that_speaks_something_else(context, in_thread):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def babble():
            peer, _ = listener.accept()
            with peer:
                peer.sendall(_RANDOM.randbytes(10_000))

        in_thread(babble)
        client = Client(context, Address("tcp", "127.0.0.1", port))
        assert client.request(b"x", timeout_s=0.2) is None
        client.close()


# --- closing ------------------------------------------------------------------------------------


def test_closing_lingers_a_bounded_time_with_unsent_data_to_nowhere(nobody, monkeypatch):
    monkeypatch.setattr("zdqn.wire.sockets.LINGER_MS", 50)
    context = Context()
    sender = make_sender(context, nobody)
    assert sender.send(b"for nobody", never)
    client = Client(context, nobody)
    client.request(b"for nobody", timeout_s=0.01)
    pipelined = PipelinedClient(context, nobody)
    assert pipelined.send(b"for nobody")
    closer = threading.Thread(target=context.close, daemon=True)
    closer.start()
    closer.join(WAIT_S)
    assert not closer.is_alive()


def test_unsent_blocks_get_their_chance_when_a_collector_leaves(context, loopback):
    receiver = make_receiver(context, loopback)
    with make_sender(context, receiver.address, 100) as sender:
        for _ in range(20):
            assert sender.send(bytes(10_000), never)
    for _ in range(20):
        assert len(receive_block(receiver)) == 10_000


def test_closing_twice_is_harmless(context, loopback, until):
    server = Server(context, loopback)
    server.close()
    server.close()
    again = rebind(lambda: Server(context, server.address), until)
    assert again.address == server.address


def test_a_context_of_ours_leaves_the_hosts_alone():
    host: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
    with Context():
        pass
    assert not host.closed
    host.destroy(linger=0)


def test_a_process_without_descriptors_is_told_how_to_get_more():
    script = (
        "import resource, zdqn.wire.sockets as sockets; from zdqn.errors import RoleFailedError\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (10, 10))\n"
        "try:\n"
        "    kept = []\n"
        "    for _ in range(20):\n"
        "        kept.append(sockets.Context())\n"
        "        kept.append(kept[-1].socket(3))\n"
        "except RoleFailedError as error: print(error, flush=True)\n"
        "import os; os._exit(0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert "this process may have 10" in done.stdout
    assert "ulimit -n" in done.stdout
