"""The one maker of sockets: every link works, and only what is the node's own closes with it."""

import subprocess
import sys

import pytest

from tests.roles.conftest import DEADLINE_S
from tests.wire.links import (
    WAIT_S,
    never,
    rebind,
    receive_block,
    receive_request,
    take,
)
from zdqn.errors import AddressInUseError
from zdqn.wire.addresses import Address
from zdqn.wire.node import Node, bind_pair
from zdqn.wire.request_sockets import Client, PipelinedClient, Server
from zdqn.wire.transition_sockets import TransitionReceiver, TransitionSender
from zdqn.wire.weight_sockets import WeightPublisher, WeightSubscriber

ROOM = {"high_water_mark": 3, "buffer_bytes": 8_192}


@pytest.fixture
def node(context):
    return Node(context)


# --- links --------------------------------------------------------------------------------------


def test_a_server_answers_both_kinds_of_clients(node, loopback, in_thread):
    server = node.server(loopback, "memory")
    assert isinstance(server, Server)

    def serve():
        for _ in range(2):
            request = receive_request(server)
            server.reply(request, b"to " + bytes(request.body))

    in_thread(serve)
    client, pipelined = (
        node.client(server.address, "memory"),
        node.pipelined_client(server.address, "memory"),
    )
    assert isinstance(client, Client)
    assert isinstance(pipelined, PipelinedClient)
    answer = client.request(b"one", timeout_s=WAIT_S)
    assert answer is not None
    assert bytes(answer) == b"to one"
    assert pipelined.send(b"two")
    assert take(pipelined) == b"to two"


def test_a_pipelined_client_of_a_node_can_reconnect(node, loopback):
    server = node.server(loopback, "memory")
    client = node.pipelined_client(server.address, "memory")
    client.reconnect()
    assert client.send(b"again")
    server.reply(receive_request(server), b"yes")
    assert take(client) == b"yes"


def test_blocks_go_from_a_sender_to_a_receiver(node, loopback):
    receiver = node.receiver(loopback, **ROOM)
    sender = node.sender(receiver.address, **ROOM)
    assert isinstance(receiver, TransitionReceiver)
    assert isinstance(sender, TransitionSender)
    assert sender.send(b"block", never)
    assert receive_block(receiver) == b"block"


def test_the_high_water_mark_is_the_one_given(node, nobody):
    with node.sender(nobody, **ROOM) as sender:
        sent = 0
        while sender.send(b"x", lambda: True):
            sent += 1
        assert sent == ROOM["high_water_mark"]
        sender.close(0)


def test_weights_go_from_a_publisher_to_a_subscriber(node, loopback, until):
    publisher = node.publisher(loopback)
    subscriber = node.subscriber(publisher.address)
    assert isinstance(publisher, WeightPublisher)
    assert isinstance(subscriber, WeightSubscriber)

    def arrives():
        publisher.publish(b"weights")
        return bytes(subscriber.latest(10) or b"") == b"weights"

    until(arrives)


@pytest.mark.parametrize(
    "bind",
    [
        lambda node, where: node.server(where, "memory"),
        Node.publisher,
        lambda node, where: node.receiver(where, **ROOM),
    ],
    ids=["server", "publisher", "receiver"],
)
def test_what_binds_gets_a_port_of_its_own_and_refuses_one_that_is_taken(bind, node, loopback):
    first = bind(node, loopback)
    assert first.address.port > 0
    with pytest.raises(AddressInUseError, match=f"listens on {first.address}"):
        bind(node, first.address)


# --- contexts -----------------------------------------------------------------------------------


def test_a_node_closes_a_context_of_its_own_with_all_sockets_in_it(loopback, context, until):
    with Node() as node:
        server = node.server(loopback, "memory")  # held: nothing but the node may close it
        client = node.client(server.address, "memory")
    rebind(lambda: Server(context, server.address), until)
    assert client.address == server.address
    node.close()


def test_several_nodes_share_a_context_and_none_of_them_closes_it(context, loopback):
    with Node(context) as first, Node(context) as second:
        server = first.server(loopback, "memory")
        client = second.pipelined_client(server.address, "memory")
    assert client.send(b"x")
    server.reply(receive_request(server), b"y")
    assert take(client) == b"y"
    assert Node(context).server(loopback, "memory").address.port > 0


def test_nodes_with_contexts_of_their_own_reach_each_other(loopback):
    with Node() as first:
        server = first.server(loopback, "memory")
        with Node() as second:
            client = second.pipelined_client(server.address, "memory")
            assert client.send(b"x")
            server.reply(receive_request(server), b"y")
            assert take(client) == b"y"


# --- pairs --------------------------------------------------------------------------------------


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


def test_port_0_tries_on_while_the_port_below_is_taken_and_not_for_ever(context, loopback):
    tried = []

    def taken(address, times):
        tried.append(address.port)
        if len(tried) <= times:
            raise AddressInUseError(f"{address} is taken")
        return WeightPublisher(context, address)

    server, publisher = bind_pair(
        lambda where: Server(context, where), lambda where: taken(where, 3), loopback
    )
    assert len(tried) >= 4  # somebody else may have had one more
    assert tried[-1] == publisher.address.port == server.address.port - 1
    tried.clear()
    with pytest.raises(AddressInUseError):
        bind_pair(lambda where: Server(context, where), lambda where: taken(where, 999), loopback)
    assert len(tried) == 100


def test_an_ipc_pair_is_tried_once(context, tmp_path):
    tried = []

    def taken(address):
        tried.append(address)
        raise AddressInUseError("taken")

    address = Address("ipc", path=str(tmp_path / "memory"))
    with pytest.raises(AddressInUseError):
        bind_pair(lambda where: Server(context, where), taken, address)
    assert tried == [address.companion()]


def test_a_node_binds_a_server_and_either_one_way_socket_side_by_side(node, loopback, until):
    server, publisher = node.server_and(node.publisher, loopback, "learner")
    assert publisher.address.port == server.address.port - 1
    subscriber = node.subscriber(publisher.address)
    until(lambda: publisher.publish(b"first") or subscriber.latest(10) is not None)
    server, receiver = node.server_and(
        lambda where: node.receiver(where, **ROOM), loopback, "memory"
    )
    assert receiver.address.port == server.address.port - 1
    sender = node.sender(receiver.address, **ROOM)
    assert sender.send(b"block", never)
    assert receive_block(receiver) == b"block"


DROPPING = """
import gc, sys, threading
from pathlib import Path
from zdqn.wire.addresses import Address
from zdqn.wire.keys.key_folder import KeyFolder
from zdqn.wire.keys.role_keys import open_keys
from zdqn.wire.node import Node

here, is_server = Address("tcp", "127.0.0.1"), sys.argv[1] == "server"
folder = [Path(path) for path in sys.argv[2:]]
if folder:
    KeyFolder(folder[0]).init()

def drop():
    keys = open_keys(folder[0], "memory" if is_server else "collector") if folder else None
    node = Node(keys=keys)
    made = node.server(here, "memory") if is_server else node.client(here, "memory")
    made.kept_by, node.keeps = node, made

drop()
gc.collect()
for thread in threading.enumerate():
    if thread.name == "zdqn-dropped-context":
        thread.join()
print("went on")
"""


@pytest.mark.parametrize("has_keys", [False, True], ids=["NULL", "CURVE"])
@pytest.mark.parametrize("link", ["client", "server"])
def test_a_program_that_drops_a_node_with_its_links_goes_on_and_ends(link, has_keys, tmp_path):
    folder = [str(tmp_path / "keys")] if has_keys else []
    command = [sys.executable, "-c", DROPPING, link, *folder]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S)
    assert (ended.returncode, ended.stdout) == (0, "went on\n"), ended.stderr
