"""Acknowledged delivery whose key is refused for a while, over real sockets."""

import logging
import threading
import time

import pytest

from tests.roles.conftest import DEADLINE_S, eventually
from zdqn.roles.acting.acked_link import AckedLink
from zdqn.roles.acting.arrivals_inquiry import ArrivalsInquiry
from zdqn.wire import codec
from zdqn.wire.addresses import Address
from zdqn.wire.keys.key_folder import KeyFolder
from zdqn.wire.keys.role_keys import open_keys
from zdqn.wire.memory_messages import Arrivals
from zdqn.wire.node import Node
from zdqn.wire.sockets import Waiter

pytestmark = pytest.mark.own_keys

ROOM = {"high_water_mark": 10, "buffer_bytes": 0}


class Memory:
    """Takes what comes in order, and says how much that is."""

    def __init__(self, node):
        self.server, self.receiver = node.server_and(
            lambda where: node.receiver(where, **ROOM), Address("tcp", "127.0.0.1"), "memory"
        )
        self.stored: list[int] = []
        self.over = threading.Event()

    def serve(self):
        waiter = Waiter([self.server, self.receiver])
        while not self.over.is_set():
            waiter.wait(20)
            for block in self.receiver.receive_some(100, copy=True):
                if int(block) == len(self.stored):
                    self.stored.append(int(block))
            while (request := self.server.receive()) is not None:
                heard = Arrivals(session=1, heard=len(self.stored), held_back=False)
                self.server.reply(request, codec.encode(heard))
        self.receiver.close(0)
        self.server.close(0)


@pytest.fixture
def folder(tmp_path):
    made = KeyFolder(tmp_path / "keys")
    made.init()
    return made


@pytest.fixture
def memory(folder):
    with Node(keys=open_keys(folder.path, "memory")) as node:
        made = Memory(node)
        thread = threading.Thread(target=made.serve, daemon=True)
        thread.start()
        yield made
        made.over.set()
        thread.join(DEADLINE_S)


@pytest.fixture
def link(folder, memory):
    with (
        Node(keys=open_keys(folder.path, "collector")) as node,
        node.sender(memory.receiver.address, watched=True, **ROOM) as sender,
        node.pipelined_client(memory.server.address, "memory") as client,
    ):
        yield AckedLink(sender, ArrivalsInquiry(client, session=5), paced=False)
        client.close(0)
        sender.close(0)


def within(deadline_s):
    """Give up after a time."""
    end_s = time.monotonic() + deadline_s
    return lambda: time.monotonic() > end_s


def test_blocks_of_a_key_that_is_revoked_and_allowed_again_all_come_once(
    folder, memory, link, caplog, in_thread
):
    caplog.set_level(logging.INFO)
    own = folder.own("collector")
    assert link.send(b"0", within(DEADLINE_S))
    assert link.finish(within(DEADLINE_S)) == 0
    folder.revoke(own.name)
    turned_away = "turned away 127.0.0.1 at transitions: key"
    eventually(lambda: turned_away in caplog.text, "the end of the connection")

    def send():
        for number in (1, 2, 3):
            assert link.send(b"%d" % number, within(DEADLINE_S))
        assert link.finish(within(DEADLINE_S)) == 0

    in_thread(send)
    eventually(lambda: "does not let our key in" in caplog.text, "the refusal")
    assert memory.stored == [0]
    folder.allow("collector", own.pair.public.hex(), own.name)
    eventually(lambda: memory.stored == [0, 1, 2, 3], "the blocks")
