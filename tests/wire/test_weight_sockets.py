"""Weights over loopback: a subscriber ends on the newest, and nobody holds the publisher up."""

import threading

from tests.wire.links import WAIT_S, rebind, subscribe
from zdqn.wire.weight_sockets import WeightPublisher


def receive_latest(subscriber, until):
    seen = []

    def look():
        message = subscriber.latest(10)
        if message is not None:
            seen.append(bytes(message))
        return message is not None

    until(look)
    return seen[-1]


def test_a_slow_subscriber_ends_on_the_newest_weights(context, loopback, until):
    publisher = WeightPublisher(context, loopback)
    slow = subscribe(context, publisher, until)
    other = subscribe(context, publisher, until)
    for version in range(200):
        publisher.publish(version.to_bytes(4, "little") + bytes(70_000))
    newest, pause = [], threading.Event()

    def at_the_end(subscriber):
        pause.wait(0.1)  # it is slow
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


def test_a_subscriber_survives_a_restart_of_the_publisher(context, nobody, until):
    publisher = WeightPublisher(context, nobody)
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
