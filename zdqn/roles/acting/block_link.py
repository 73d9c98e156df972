"""The link that a collector sends its blocks over, as configured."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from zdqn.closing import Closing
from zdqn.config import Config
from zdqn.roles.acting.acked_link import AckedLink
from zdqn.roles.acting.arrivals_inquiry import ArrivalsInquiry
from zdqn.roles.acting.block_stream import BlockSender, Window
from zdqn.roles.acting.block_window import BlockWindow
from zdqn.wire.addresses import Address, parse_address
from zdqn.wire.node import Node
from zdqn.wire.protocol import Welcome
from zdqn.wire.request_sockets import PipelinedClient
from zdqn.wire.sockets import LINGER_MS
from zdqn.wire.transition_sockets import TransitionSender

logger = logging.getLogger("zdqn.collector")


@dataclass
class BlockLink(Closing):
    """What a `BlockStream` sends with.

    Attributes:
        sender: carries blocks.
        window: says how far to run ahead of the memory; None where nothing bounds that.
        acked: both of them where delivery is acknowledged; else None.
    """

    sender: BlockSender
    window: Window | None
    acked: AckedLink | None
    _socket: TransitionSender
    _client: PipelinedClient | None

    def drain(self, over: Callable[[], bool]) -> None:
        """Wait until all blocks are acknowledged, for as long as unsent ones get to leave.

        Args:
            over: whether nobody wants them any more.
        """
        if self.acked is None:
            return
        until_s = time.monotonic() + LINGER_MS / 1000
        left = self.acked.finish(lambda: over() or time.monotonic() >= until_s)
        if left:
            logger.info(
                "%d of the blocks that were sent are not acknowledged so far; %s",
                left,
                "the run is over" if over() else "they are not waited for any longer",
            )

    def close(self, linger_ms: int | None = None) -> None:
        """Close; what is unsent gets a time to leave, where nobody waits for more than that."""
        self._socket.close(linger_ms if self.acked is None else 0)
        if self._client is not None:
            self._client.close()


def open_block_link(
    config: Config, node: Node, memory: Address, welcome: Welcome, *, session: int
) -> BlockLink:
    """Connect to where a memory takes blocks.

    Args:
        config: of the run.
        node: makes sockets.
        memory: its REQ/REP address.
        welcome: what it answered to the hello.
        session: of who collects.
    """
    acked = config.links.delivery == "acked"
    endpoint = parse_address(welcome.data_endpoint, parameter="the memory's transitions address")
    sender = node.sender(
        endpoint.reached_through(memory),
        high_water_mark=welcome.settings.high_water_mark,
        buffer_bytes=welcome.settings.buffer_bytes,
        watched=acked,
    )
    paced = bool(config.replay.samples_per_insert)
    if not acked and not paced:
        return BlockLink(sender, None, None, sender, None)
    client = node.pipelined_client(memory, "memory")
    inquiry = ArrivalsInquiry(client, session=session)
    if not acked:
        return BlockLink(sender, BlockWindow(inquiry), None, sender, client)
    link = AckedLink(sender, inquiry, paced=paced)
    return BlockLink(link, link, link, sender, client)
