import numpy as np
import pytest

from zdqn.data import Block, EnvironmentSpec
from zdqn.errors import ProtocolError
from zdqn.wire import block_payload, codec
from zdqn.wire.mask_checks import check_masks
from zdqn.wire.memory_messages import BlockHeader

STACKED = EnvironmentSpec((2,), "float32", 11, 2, action_masks=True)
EIGHT = EnvironmentSpec((2,), "float32", 8, action_masks=True)


def bits(*actions, size=2):
    mask = np.zeros(size, np.uint8)
    for action in actions:
        mask[action // 8] |= 1 << action % 8
    return mask


def block(masks, records, spec=STACKED):
    rows = [(7, *row, 1.0, discount, -1.0) for *row, discount in records]
    table = np.arange(2 * len(masks), dtype=np.float32).reshape(-1, 2)
    return Block(table, np.array(rows, spec.record_dtype), np.array(masks))


def check(made, spec=STACKED):
    """Read it as it travels, alone and joined with itself; both must agree."""
    assert made.masks is not None
    header = BlockHeader(
        session=5, sequence=0, origin=spec.digest, frames=len(made.frames),
        transitions=len(made.records), environment_steps=9, episodes=0,
    )  # fmt: skip
    message = codec.decode(block_payload.encode_block(header, made))
    joined = block_payload.join_blocks([message, message], spec)
    try:
        read = block_payload.read_block(message, spec)
    except ProtocolError:
        assert joined is None
        raise
    assert joined is not None
    for found, wished in ((read.masks, made.masks), (joined.masks, np.tile(made.masks, (2, 1)))):
        np.testing.assert_array_equal(found, wished)
    np.testing.assert_array_equal(read.records, made.records)
    check_masks(made.masks, made.records, spec)


MASKS = [bits(0, 3), bits(10), bits(9, 10)]


def test_the_newest_frame_of_a_stack_says_what_is_allowed():
    check(block(MASKS, [([0, 0], [0, 1], 3, 0.5), ([0, 1], [1, 2], 10, 0.5)]))


@pytest.mark.parametrize("action", [0, 1, 9])
def test_an_action_that_was_not_allowed_is_refused(action):
    records = [([0, 0], [0, 1], 3, 0.5), ([0, 1], [1, 2], action, 0.5)]
    with pytest.raises(ProtocolError, match=f"the action {action} where its mask does not"):
        check(block(MASKS, records))


def test_where_nothing_is_allowed_nothing_may_follow():
    masks = [*MASKS[:2], bits()]
    check(block(masks, [([0, 1], [1, 2], 10, 0.0)]))
    with pytest.raises(ProtocolError, match="allows nothing where the discount is not 0"):
        check(block(masks, [([0, 1], [1, 2], 10, 0.5)]))


@pytest.mark.parametrize("action", range(11, 16))
def test_bits_of_no_action_are_refused(action):
    with pytest.raises(ProtocolError, match="beyond the 11"):
        check(block([*MASKS[:2], bits(9, action)], [([0, 0], [0, 1], 3, 0.5)]))


def test_where_all_bits_are_of_actions_each_may_be_set():
    masks = [bits(*range(8), size=1), bits(7, size=1)]
    check(block(masks, [([0], [1], 7, 0.5)], EIGHT), EIGHT)


def test_masks_have_the_length_that_header_and_spec_imply():
    plain = EnvironmentSpec((2,), "float32", 11, 2)
    made = block(MASKS, [([0, 0], [0, 1], 3, 0.5)])
    header = BlockHeader(
        session=5, sequence=0, origin=plain.digest, frames=3, transitions=1, environment_steps=9,
        episodes=0,
    )  # fmt: skip
    for masks, spec in ((None, STACKED), (made.masks, plain)):
        message = block_payload.encode_block(header, Block(made.frames, made.records, masks))
        with pytest.raises(ProtocolError, match="imply"):
            block_payload.read_block(codec.decode(message), spec)
        assert block_payload.join_blocks([codec.decode(message)] * 2, spec) is None
