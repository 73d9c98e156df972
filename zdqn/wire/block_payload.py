"""Blocks of transitions to bytes and back, with all that a block must be checked for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from zdqn.data import Block, EnvironmentSpec
from zdqn.errors import ProtocolError
from zdqn.wire.codec import ArrayLayout, Message, array_start, encode, expect, read_arrays
from zdqn.wire.compression import compress, decompress
from zdqn.wire.mask_checks import check_masks
from zdqn.wire.memory_messages import BlockHeader

_UINT8 = np.dtype("u1")
_HALF_INFINITY = 0x7C00
_FEW_NUMBERS = 4096
_LEAST_LIMIT_BYTES = 1024**2


def block_layout(header: BlockHeader, spec: EnvironmentSpec) -> tuple[ArrayLayout, ...]:
    """Lay out a block's payload as it travels."""
    frames: ArrayLayout = (spec.dtype, (header.frames, *spec.observation_shape))
    if header.compression != "none":
        frames = (_UINT8, (header.frames_bytes,))
    records: ArrayLayout = (spec.record_dtype, (header.transitions,))
    if not spec.action_masks:
        return frames, records
    return frames, (_UINT8, (header.frames, spec.mask_bytes)), records


def most_block_bytes(spec: EnvironmentSpec, *, transitions: int, frames: int) -> int:
    """Give the bytes that a message on the transitions link may have.

    Four times those of the largest block, so that one that is somewhat larger than agreed is
    refused in words; compression can make a block a little larger too.

    Args:
        spec: of the environment.
        transitions: most in a block.
        frames: most in a block.
    """
    largest = frames * spec.row_bytes + transitions * spec.record_dtype.itemsize
    return max(4 * largest, _LEAST_LIMIT_BYTES)


def encode_block(header: BlockHeader, block: Block) -> bytes:
    """Write a block, its frames compressed as the header says; that fills in `frames_bytes`.

    Raises:
        ConfigError: when the package for that compression is not installed.
    """
    rest = (block.records,) if block.masks is None else (block.masks, block.records)
    if header.compression == "none":
        return encode(header, (block.frames, *rest))
    packed = compress(block.frames, header.compression)
    return encode(msgspec.structs.replace(header, frames_bytes=len(packed)), (packed, *rest))


def read_block(message: Message, spec: EnvironmentSpec) -> Block:
    """View a block's payload, and check all of it; compressed frames are decompressed.

    Raises:
        ProtocolError: when a length, a reference, an action or a number is out of range, or masks
            do not fit what was done.
    """
    header = expect(message, BlockHeader)
    frames, *some, records = read_arrays(message, block_layout(header, spec))
    check_records(records, header.frames, spec)
    masks = some[0] if some else None
    if masks is not None:
        check_masks(masks, records, spec)
    table = _read_frames(header, frames, spec)
    if not are_finite(table):
        raise ProtocolError("a block holds an observation that is not finite")
    return Block(table, records, masks)


def _read_frames(header: BlockHeader, frames: NDArray[Any], spec: EnvironmentSpec) -> NDArray[Any]:
    if header.compression == "none":
        if header.frames_bytes:
            raise ProtocolError(
                f"a block without compression has frames_bytes {header.frames_bytes}, not 0"
            )
        return frames
    plain = decompress(frames, header.compression, header.frames * spec.frame_bytes)
    return np.frombuffer(plain, spec.dtype).reshape(header.frames, *spec.observation_shape)


def are_finite(frames: NDArray[Any]) -> bool:
    """Whether all numbers of a frame table are finite; integers are.

    One that is not would reach every weight of the network with the next gradient. What it costs is
    shown by `zdqn bench insert`: for large tables of 4 or 8 bytes a number, reading them once more.
    """
    if frames.dtype.kind != "f":
        return True
    if frames.dtype.itemsize == 2 and frames.size > _FEW_NUMBERS:
        return _are_finite_halves(frames)
    finite = np.isfinite(frames)
    # For few, a search through bytes takes half as long as the method of an array.
    return b"\0" not in finite.tobytes() if finite.size <= _FEW_NUMBERS else bool(finite.all())


def _are_finite_halves(frames: NDArray[Any]) -> bool:
    """Whether numbers of 2 bytes are: `isfinite` would make each a longer one, 20 times slower.

    Infinity and all that is no number have the highest bits, with and without a sign.
    """
    signed, unsigned = frames.view(np.int16), frames.view(np.uint16)
    return int(signed.max()) < _HALF_INFINITY and int(unsigned.max()) < _HALF_INFINITY + 0x8000


def check_records(records: NDArray[Any], frames: int, spec: EnvironmentSpec) -> None:
    """Refuse a record that would poison the replay.

    Args:
        records: shape (T,), dtype `spec.record_dtype`.
        frames: rows of the block's frame table.
        spec: of the environment.

    Raises:
        ProtocolError: naming the first field that is out of range.
    """
    words = records.view("<u4").reshape(len(records), -1)
    references = _check_words(words, spec)
    if references >= frames:
        raise ProtocolError(f"a block refers to frames outside its table of {frames}")


def _check_words(words: NDArray[np.uint32], spec: EnvironmentSpec) -> int:
    """Check actions and numbers of records, and give the largest frame reference.

    As unsigned words a negative number is huge, and a float without its sign bit is finite below
    the bits of infinity: one maximum per column checks all of a block at once.
    """
    stack = spec.frame_stack
    largest = np.maximum.reduce(words & _word_mask(stack), axis=0).tolist()
    action = 2 + 2 * stack
    if largest[action] >= spec.num_actions:
        actions = words[:, action].view("<i4")
        wrong = actions[(actions < 0) | (actions >= spec.num_actions)][0]
        raise ProtocolError(f"a block holds an action outside 0..{spec.num_actions - 1}: {wrong}")
    if max(largest[action + 1 :]) >= _INFINITY_BITS:
        raise ProtocolError("a block holds a reward, discount or priority that is not finite")
    return int(max(largest[2:action]))


def join_blocks(messages: Sequence[Message], spec: EnvironmentSpec) -> Block | None:
    """Make one block of several small ones, so that what costs per block is paid once.

    Args:
        messages: each a block, decoded.
        spec: of the environment.

    Returns:
        The block, checked and copied; None when any of them is compressed or breaks a rule: then
        they must be read one by one, to tell which.
    """
    frame_parts, mask_parts, record_parts = [], [], []
    frame_counts, record_counts = [], []
    for message in messages:
        header = message.header
        if not isinstance(header, BlockHeader) or header.compression != "none":
            return None
        frames_end = array_start(message.payload, 1) + header.frames * spec.frame_bytes
        masks_start = array_start(frames_end, spec.mask_bytes)
        masks_end = masks_start + header.frames * spec.mask_bytes
        records_start = array_start(masks_end, 1)
        end = records_start + header.transitions * spec.record_dtype.itemsize
        if min(header.frames, header.transitions) < 1 or end != len(message.buffer):
            return None
        view = memoryview(message.buffer)
        frame_parts.append(view[array_start(message.payload, 1) : frames_end])
        mask_parts.append(view[masks_start:masks_end])
        record_parts.append(view[records_start:end])
        frame_counts.append(header.frames)
        record_counts.append(header.transitions)
    words = np.frombuffer(bytearray().join(record_parts), "<u4").reshape(sum(record_counts), -1)
    references = words[:, 2 : 2 + 2 * spec.frame_stack]
    limits = np.repeat(np.array(frame_counts, "<u4"), record_counts)[:, None]
    try:
        _check_words(words, spec)
    except ProtocolError:
        return None
    if (references >= limits).any():
        return None
    frames = np.frombuffer(b"".join(frame_parts), spec.dtype)
    if not are_finite(frames):
        return None
    before = np.cumsum([0, *frame_counts[:-1]], dtype="<u4")
    references += np.repeat(before, record_counts)[:, None]
    records = words.reshape(-1).view(spec.record_dtype)
    masks = None
    if spec.action_masks:
        masks = np.frombuffer(b"".join(mask_parts), _UINT8).reshape(-1, spec.mask_bytes)
        try:
            check_masks(masks, records, spec)
        except ProtocolError:
            return None
    return Block(frames.reshape(sum(frame_counts), *spec.observation_shape), records, masks)


_INFINITY_BITS = 0x7F800000


@cache
def _word_mask(frame_stack: int) -> NDArray[np.uint32]:
    """Give what to keep of each word of a record: no weight version, no sign of the floats."""
    version, integers, floats = [0, 0], [0xFFFFFFFF] * (2 * frame_stack + 1), [0x7FFFFFFF] * 3
    return np.array(version + integers + floats, "<u4")
