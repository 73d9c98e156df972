"""Sockets of a stranger, and messages to send."""

from typing import Any

import numpy as np
import pytest

from tests.keys_for_all import ForeignContext
from tests.wire.links import WAIT_MS
from zdqn.wire import block_payload
from zdqn.wire.memory_messages import BlockHeader


@pytest.fixture
def plain(context):
    """Sockets straight from zmq, as another program would make them."""
    with ForeignContext() as own:
        kept = []

        def make(kind, address, **options):
            made = own.socket(kind)
            kept.append(made)
            made.rcvtimeo = WAIT_MS
            for name, value in options.items():
                setattr(made, name, value)
            made.connect(str(address))
            return made

        yield make
        own.destroy(linger=0)


def make_header(**changes: Any) -> BlockHeader:
    values = {
        "session": 5, "sequence": 0, "origin": 1, "frames": 3, "transitions": 2,
        "environment_steps": 2, "episodes": 0, **changes,
    }  # fmt: skip
    return BlockHeader(**values)


def zeros(layout):
    return [np.zeros(shape, dtype) for dtype, shape in layout]


def block_message(spec, make_block, **changes):
    block = make_block(spec, 2, frames=3)
    header = make_header(**changes)
    return block_payload.encode_block(header, block)
