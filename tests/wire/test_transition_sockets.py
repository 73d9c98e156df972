"""Blocks over loopback: they arrive whole and once, and a memory that does not read holds back."""

import threading

import pytest
import zmq

from tests.wire.links import WAIT_MS, WAIT_S, make_receiver, make_sender, never, receive_block


def at_once():
    return True


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


def test_unsent_blocks_get_their_chance_when_a_collector_leaves(context, loopback):
    receiver = make_receiver(context, loopback)
    with make_sender(context, receiver.address, 100) as sender:
        for _ in range(20):
            assert sender.send(bytes(10_000), never)
    for _ in range(20):
        assert len(receive_block(receiver)) == 10_000
