"""The link that a collector sends over, as configured."""

import pytest

from tests.roles.conftest import quick_config
from zdqn.roles.acting.acked_link import AckedLink
from zdqn.roles.acting.block_link import open_block_link
from zdqn.roles.acting.block_window import BlockWindow
from zdqn.roles.client_settings import tell_clients
from zdqn.wire.addresses import parse_address
from zdqn.wire.node import Node
from zdqn.wire.protocol import Welcome
from zdqn.wire.transition_sockets import TransitionSender

MEMORY = parse_address("tcp://127.0.0.1:9", parameter="a test")
SETTINGS = tell_clients(quick_config("memory.high_water_mark=7"))
WELCOME = Welcome(
    run_id="", session=1, data_endpoint="tcp://0.0.0.0:8", spec=None, settings=SETTINGS,
    config={}, memory="", index=0, seed=0, version=4, capabilities=(),
)  # fmt: skip


@pytest.fixture
def node():
    with Node() as made:
        yield made


@pytest.mark.parametrize(
    ("delivery", "ratio", "sender", "window"),
    [
        ("plain", 0, TransitionSender, type(None)),
        ("plain", 2, TransitionSender, BlockWindow),
        ("acked", 0, AckedLink, AckedLink),
        ("acked", 2, AckedLink, AckedLink),
    ],
)
def test_what_it_is_made_of(node, delivery, ratio, sender, window):
    config = quick_config(f"links.delivery={delivery}", f"replay.samples_per_insert={ratio}")
    with open_block_link(config, node, MEMORY, WELCOME, session=5) as link:
        assert (type(link.sender), type(link.window)) == (sender, window)
        assert (link.acked is not None) == (delivery == "acked")
        if delivery == "acked":
            assert {id(link.acked)} == {id(link.sender), id(link.window)}


@pytest.mark.parametrize("over", [True, False])
def test_it_says_what_is_not_acknowledged_in_time(node, over, caplog, monkeypatch):
    caplog.set_level("INFO")
    monkeypatch.setattr("zdqn.roles.acting.block_link.LINGER_MS", 1)
    config = quick_config("links.delivery=acked")
    with open_block_link(config, node, MEMORY, WELCOME, session=5) as link:
        link.drain(lambda: over)
        assert not caplog.messages
        assert link.sender.send(b"block", lambda: False)
        link.drain(lambda: over)
    why = "the run is over" if over else "they are not waited for any longer"
    assert caplog.messages == [f"1 of the blocks that were sent are not acknowledged so far; {why}"]


def test_plainly_nothing_is_waited_for(node, caplog):
    caplog.set_level("INFO")
    with open_block_link(quick_config(), node, MEMORY, WELCOME, session=5) as link:
        assert link.sender.send(b"block", lambda: False)
        link.drain(lambda: False)
        link.close(0)
    assert not caplog.messages


def test_queues_and_buffers_are_as_long_as_the_memory_says(node):
    with open_block_link(quick_config(), node, MEMORY, WELCOME, session=5) as link:
        assert isinstance(link.sender, TransitionSender)
        assert link.sender._socket.sndhwm == 7
        assert link.sender._socket.sndbuf == SETTINGS.buffer_bytes
