"""Questions and answers over loopback: none is lost, mixed up or waited for without end."""

import threading

import pytest
import zmq

from tests.wire.links import WAIT_S, rebind, receive_request, take
from zdqn.wire.request_sockets import Client, PipelinedClient, Request, Server


def ask(client, message, **options):
    answer = client.request(message, **options)
    return None if answer is None else bytes(answer)


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


def test_a_request_tells_the_address_that_it_came_from(context, loopback, plain):
    server = Server(context, loopback)
    plain(zmq.REQ, server.address).send(b"question")
    assert receive_request(server).host == "127.0.0.1"
    assert Request([], memoryview(b"question")).host == ""


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


def test_answers_to_one_who_does_not_read_them_are_bounded_and_it_is_said(context, loopback, plain):
    server = Server(context, loopback)
    deaf = plain(zmq.DEALER, server.address, rcvhwm=1, rcvbuf=4_096)
    deaf.send_multipart([b"", b"question"])
    request = receive_request(server)
    answer = bytes(1 << 20)
    sent = 0
    while server.reply(request, answer):
        sent += 1
        assert sent < 200, "without bound"
    good = plain(zmq.REQ, server.address)
    good.send(b"x")
    assert server.reply(receive_request(server), b"ok")
    assert good.recv() == b"ok"


def test_large_answers_to_one_who_does_not_read_are_bounded_by_bytes(
    context, loopback, plain, until
):
    server = Server(context, loopback)
    deaf = plain(zmq.DEALER, server.address, rcvhwm=1, rcvbuf=4_096)
    deaf.send_multipart([b"", b"question"])
    request = receive_request(server)
    good = plain(zmq.REQ, server.address)
    good.send(b"x")
    other = receive_request(server)
    sent, size = 0, 8 << 20
    while server.reply(request, bytes(size)):
        sent += 1
        assert sent < 12, "64 MiB, and what the kernel and the client hold"
    assert not server.has_room(request)
    assert server.unread_bytes() == server._unread.of(request.sender) == 64 << 20
    assert server.reply(request, b"a small one"), "those are bounded by their number"
    assert server.has_room(other)
    assert server.reply(other, bytes(size)), "nobody else has less room"
    assert len(good.recv()) == size
    for _ in range(sent):
        deaf.recv_multipart()
    until(lambda: server.has_room(request) and not server.unread_bytes())
    assert server.reply(request, bytes(size))


def test_what_was_unread_of_a_client_that_went_is_forgotten(context, loopback, plain, until):
    server = Server(context, loopback)
    gone = plain(zmq.DEALER, server.address, rcvhwm=1, rcvbuf=4_096)
    gone.send_multipart([b"", b"question"])
    request = receive_request(server)
    while server.reply(request, bytes(16 << 20)):
        pass
    gone.close(0)
    until(lambda: server.receive() is None and not server.unread_bytes())
    assert not server._unread._sent


def test_a_question_of_more_than_questions_need_cuts_the_connection(
    context, loopback, plain, monkeypatch
):
    monkeypatch.setattr("zdqn.wire.request_sockets.MAX_REQUEST_BYTES", 10_000)
    server = Server(context, loopback)
    plain(zmq.DEALER, server.address).send_multipart([b"", bytes(10_001)])
    good = plain(zmq.DEALER, server.address)
    good.send_multipart([b"", bytes(10_000)])
    assert len(receive_request(server).body) == 10_000
    assert server.receive() is None


def test_requests_of_one_connection_have_one_sender(context, loopback, plain):
    server = Server(context, loopback)
    one, other = plain(zmq.DEALER, server.address), plain(zmq.DEALER, server.address)
    for client in (one, one, other):
        client.send_multipart([b"", b"x"])
    senders = [receive_request(server).sender for _ in range(3)]
    assert len(set(senders)) == 2


def test_a_client_that_has_gone_is_not_waited_for(context, loopback, plain, until):
    server = Server(context, loopback)
    gone = plain(zmq.REQ, server.address)
    gone.send(b"x")
    request = receive_request(server)
    gone.close(0)
    until(lambda: not server.reply(request, bytes(100_000)))
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


def test_a_client_outlives_its_server(context, nobody, until):
    server = Server(context, nobody)
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
