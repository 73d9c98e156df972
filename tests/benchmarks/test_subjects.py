"""What is measured is valid."""

import numpy as np
import pytest

from zdqn.benchmarks.subjects import IMAGE, STACKED, VECTOR, Writer, make_block
from zdqn.wire import block_payload, codec
from zdqn.wire.memory_messages import BlockHeader


@pytest.mark.parametrize("spec", [VECTOR, IMAGE, STACKED])
@pytest.mark.parametrize("transitions", [1, 32])
def test_blocks_and_their_messages_are_valid(spec, transitions):
    block = make_block(spec, transitions, np.random.default_rng(0))
    messages = list(Writer(spec).write(block, 3))
    for sequence, message in enumerate(messages):
        decoded = codec.decode(message)
        header = codec.expect(decoded, BlockHeader)
        assert header.sequence == sequence
        assert header.environment_steps == (sequence + 1) * transitions
        assert len(block_payload.read_block(decoded, spec)) == transitions
    assert len(block.frames) == transitions + spec.frame_stack
