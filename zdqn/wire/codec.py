"""Messages to bytes and back. Everything is checked before anything is believed.

Arrays are read where they lie, and replies are gathered straight into the buffer that is sent.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import cache
from math import prod
from typing import Any, NamedTuple, TypeAlias, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from zdqn.data import ALLOWED_DTYPES, Batch, Block, EnvironmentSpec
from zdqn.errors import ProtocolError
from zdqn.wire.compression import compress, decompress
from zdqn.wire.protocol import (
    ALIGNMENT,
    HEADERS,
    MAGIC,
    MAX_HEADER_BYTES,
    PROTOCOL_VERSION,
    ActionRequest,
    Batches,
    BlockHeader,
    Header,
    Kind,
    Spec,
    TensorInfo,
    Weights,
)

_PREFIX = struct.Struct("<4sHBBII")
_ENCODER = msgspec.msgpack.Encoder()
_DECODERS = {kind: msgspec.msgpack.Decoder(header) for kind, header in HEADERS.items()}
_MAX_SPEC_DIMENSIONS = 8
_SMALL_BYTES = 4_096
"""Below, to copy an array is quicker than to make views of it."""
_MAX_FRAME_BYTES = 64 * 1024 * 1024

ArrayLayout: TypeAlias = tuple[np.dtype[Any], tuple[int, ...]]
Buffer: TypeAlias = bytes | bytearray | memoryview
HeaderT = TypeVar("HeaderT", bound=Header)


class Message(NamedTuple):
    """A decoded message.

    Attributes:
        header: the typed header.
        buffer: the whole message; arrays are views of it.
        payload: offset of the payload in it.
    """

    header: Header
    buffer: Buffer
    payload: int


def _place(end: int, nbytes: int) -> int:
    """Give the offset of an array behind what ends at `end`; an empty one takes no room at all."""
    return -(-end // ALIGNMENT) * ALIGNMENT if nbytes else end


def encode(header: Header, arrays: Sequence[NDArray[Any]] = ()) -> bytes:
    """Write a message.

    Args:
        header: what it says.
        arrays: its payload, in the order of the kind.

    Returns:
        The one frame to send.
    """
    head = _encode_header(header)
    parts: list[Any] = [head]
    length = len(head)
    for array in arrays:
        start = _place(length, array.nbytes)
        parts += (bytes(start - length), _content(array))
        length = start + array.nbytes
    return b"".join(parts)


def encode_start(header: Header) -> bytes:
    """Write a message up to its first array, whose bytes complete it if it is the only one.

    For headers that are sent again and again: they need be written but once.

    Args:
        header: what it says; the array has one element or more.
    """
    head = _encode_header(header)
    return head + bytes(_place(len(head), 1) - len(head))


def _content(array: NDArray[Any]) -> bytes | NDArray[np.uint8]:
    if array.nbytes < _SMALL_BYTES:
        return array.tobytes()
    # memoryviews of contiguous arrays are joined without an intermediate copy
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def _encode_header(header: Header) -> bytes:
    """Write what comes before the payload."""
    body: bytes = _ENCODER.encode(header)
    return _PREFIX.pack(MAGIC, PROTOCOL_VERSION, header.kind, 0, len(body), 0) + body


def allocate(
    header: Header, layout: Sequence[ArrayLayout]
) -> tuple[NDArray[np.uint8], list[NDArray[Any]]]:
    """Prepare a message whose payload is still to be written.

    Args:
        header: what it says.
        layout: dtype and shape of each payload array.

    Returns:
        The buffer to send, shape (bytes,), and a writable view of it for each array.
    """
    head = _encode_header(header)
    end = offset = len(head)
    starts = []
    for dtype, shape in layout:
        nbytes = prod(shape) * dtype.itemsize
        starts.append(_place(offset, nbytes))
        offset = starts[-1] + nbytes
    buffer = np.empty(offset, np.uint8)
    buffer[:end] = np.frombuffer(head, np.uint8)
    arrays = []
    for start, (dtype, shape) in zip(starts, layout, strict=True):
        buffer[end:start] = 0  # what lay in this process's memory before is nobody's business
        end = start + prod(shape) * dtype.itemsize
        arrays.append(buffer[start:end].view(dtype).reshape(shape))
    return buffer, arrays


def decode(buffer: Buffer) -> Message:
    """Read a message's header.

    Args:
        buffer: the one frame that came.

    Returns:
        The message; its arrays are read by the functions below.

    Raises:
        ProtocolError: when it is not a zdqn message, is of another protocol version, or its header
            breaks the protocol.
    """
    if len(buffer) < _PREFIX.size:
        raise ProtocolError(f"a message of {len(buffer)} bytes is too short to be zdqn's")
    magic, version, kind, flags, length, reserved = _PREFIX.unpack_from(buffer)
    if magic != MAGIC:
        raise ProtocolError(f"a message starts with {bytes(magic)!r}, not {MAGIC!r}: not zdqn's")
    if version != PROTOCOL_VERSION:
        raise ProtocolError(
            f"the peer speaks protocol version {version}, this side version {PROTOCOL_VERSION}. "
            f"Install the same zdqn on both."
        )
    decoder = _DECODERS.get(kind)
    if decoder is None or flags or reserved:
        raise ProtocolError(f"a message of unknown kind {kind} (flags {flags})")
    start = _PREFIX.size
    if length > MAX_HEADER_BYTES or start + length > len(buffer):
        raise ProtocolError(
            f"a {Kind(kind).name} message of {len(buffer)} bytes claims a header of {length} bytes"
        )
    try:
        header = decoder.decode(memoryview(buffer)[start : start + length])
    except Exception as error:  # msgspec's own, RecursionError, and whatever else bytes can cause
        raise ProtocolError(f"the header of a {Kind(kind).name} message: {error}") from error
    return Message(header, buffer, start + length)


def expect(message: Message, kind: type[HeaderT]) -> HeaderT:
    """Give the header if it is of `kind`.

    Raises:
        ProtocolError: when it is of another kind.
    """
    if not isinstance(message.header, kind):
        raise ProtocolError(
            f"expected {kind.__name__}, got {type(message.header).__name__} from the peer"
        )
    return message.header


def read_arrays(message: Message, layout: Sequence[ArrayLayout]) -> list[NDArray[Any]]:
    """View the payload's arrays in place.

    Args:
        message: what came.
        layout: dtype and shape of each array, all sizes >= 0.

    Returns:
        Arrays that share memory with the message (read-only if it is).

    Raises:
        ProtocolError: when the message is not exactly as long as the layout implies.
    """
    arrays = []
    end = message.payload
    size = len(message.buffer)
    for dtype, shape in layout:
        count = prod(shape)
        start = _place(end, count)
        end = start + count * dtype.itemsize
        if count < 0 or end > size:
            break
        arrays.append(np.frombuffer(message.buffer, dtype, count, start).reshape(shape))
    if len(arrays) != len(layout) or end != size:
        expected = _payload_end(message.payload, layout)
        raise ProtocolError(
            f"a {type(message.header).__name__} message has {size} bytes where its header and the "
            f"agreed shapes imply {expected}"
        )
    return arrays


def _payload_end(offset: int, layout: Sequence[ArrayLayout]) -> int:
    for dtype, shape in layout:
        nbytes = prod(shape) * dtype.itemsize
        offset = _place(offset, nbytes) + nbytes
    return offset


# --- the payload of each kind -------------------------------------------------------------------

_UINT8 = np.dtype("u1")
_INT64 = np.dtype("<i8")
_FLOAT32 = np.dtype("<f4")
_FLOAT64 = np.dtype("<f8")


def read_spec(spec: Spec) -> EnvironmentSpec:
    """Take a spec off the wire, with all its limits checked.

    Raises:
        ProtocolError: when a dimension, the dtype or a count is out of range.
    """
    shape = spec.observation_shape
    checks = (
        1 <= len(shape) <= _MAX_SPEC_DIMENSIONS and all(size >= 1 for size in shape),
        spec.observation_dtype in ALLOWED_DTYPES,
        1 <= spec.num_actions < 2**31,
        1 <= spec.frame_stack <= 32,
    )
    if not all(checks) or prod(shape) * 8 > _MAX_FRAME_BYTES:
        raise ProtocolError(f"the peer's environment spec is out of range: {spec}")
    return spec.to_spec()


def block_layout(header: BlockHeader, spec: EnvironmentSpec) -> tuple[ArrayLayout, ...]:
    """Lay out a block's payload as it travels."""
    frames: ArrayLayout = (spec.dtype, (header.frames, *spec.observation_shape))
    if header.compression != "none":
        frames = (_UINT8, (header.frames_bytes,))
    return frames, (spec.record_dtype, (header.transitions,))


def encode_block(header: BlockHeader, block: Block) -> bytes:
    """Write a block, its frames compressed as the header says; that fills in `frames_bytes`.

    Raises:
        ConfigError: when the package for that compression is not installed.
    """
    if header.compression == "none":
        return encode(header, (block.frames, block.records))
    packed = compress(block.frames, header.compression)
    return encode(
        msgspec.structs.replace(header, frames_bytes=len(packed)), (packed, block.records)
    )


def read_block(message: Message, spec: EnvironmentSpec) -> Block:
    """View a block's payload, and check all of it; compressed frames are decompressed.

    Raises:
        ProtocolError: when a length, a reference, an action or a number is out of range.
    """
    header = expect(message, BlockHeader)
    frames, records = read_arrays(message, block_layout(header, spec))
    check_records(records, header.frames, spec)
    return Block(_read_frames(header, frames, spec), records)


def _read_frames(header: BlockHeader, frames: NDArray[Any], spec: EnvironmentSpec) -> NDArray[Any]:
    if header.compression == "none":
        if header.frames_bytes:
            raise ProtocolError(
                f"a block without compression has frames_bytes {header.frames_bytes}, not 0"
            )
        return frames
    plain = decompress(frames, header.compression, header.frames * spec.frame_bytes)
    return np.frombuffer(plain, spec.dtype).reshape(header.frames, *spec.observation_shape)


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
    frame_parts, record_parts = [], []
    frame_counts, record_counts = [], []
    for message in messages:
        header = message.header
        if not isinstance(header, BlockHeader) or header.compression != "none":
            return None
        frames_end = _place(message.payload, 1) + header.frames * spec.frame_bytes
        records_start = _place(frames_end, 1)
        end = records_start + header.transitions * spec.record_dtype.itemsize
        if min(header.frames, header.transitions) < 1 or end != len(message.buffer):
            return None
        view = memoryview(message.buffer)
        frame_parts.append(view[_place(message.payload, 1) : frames_end])
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
    before = np.cumsum([0, *frame_counts[:-1]], dtype="<u4")
    references += np.repeat(before, record_counts)[:, None]
    frames = np.frombuffer(b"".join(frame_parts), spec.dtype)
    return Block(
        frames.reshape(sum(frame_counts), *spec.observation_shape),
        words.reshape(-1).view(spec.record_dtype),
    )


_INFINITY_BITS = 0x7F800000


@cache
def _word_mask(frame_stack: int) -> NDArray[np.uint32]:
    """Give what to keep of each word of a record: no weight version, no sign of the floats."""
    version, integers, floats = [0, 0], [0xFFFFFFFF] * (2 * frame_stack + 1), [0x7FFFFFFF] * 3
    return np.array(version + integers + floats, "<u4")


def batches_layout(count: int, spec: EnvironmentSpec) -> tuple[ArrayLayout, ...]:
    """Lay out the payload of `Batches` with `count` transitions in all."""
    observations = (spec.dtype, (count, *spec.stacked_shape))
    return (
        observations,
        observations,
        (_INT64, (count,)),
        (_FLOAT64, (count,)),
        (_INT64, (count,)),
        (_INT64, (count,)),
        (_FLOAT32, (count,)),
        (_FLOAT32, (count,)),
    )


def _as_batch(arrays: Sequence[NDArray[Any]]) -> Batch:
    observations, next_observations, keys, probabilities, versions, actions, rewards, discounts = (
        arrays
    )
    return Batch(
        observations=observations,
        actions=actions,
        rewards=rewards,
        discounts=discounts,
        next_observations=next_observations,
        keys=keys,
        probabilities=probabilities,
        weight_versions=versions,
    )


def allocate_batches(header: Batches, spec: EnvironmentSpec) -> tuple[NDArray[np.uint8], Batch]:
    """Prepare a reply and the batch whose arrays are views of it, to be filled."""
    layout = batches_layout(header.batches * header.batch_size, spec)
    buffer, arrays = allocate(header, layout)
    return buffer, _as_batch(arrays)


def read_batches(message: Message, spec: EnvironmentSpec) -> tuple[Batches, Batch]:
    """View a reply's batches, all in one `Batch` (cut it with `Batch.split`).

    Raises:
        ProtocolError: when its length is not what header and spec imply.
    """
    header = expect(message, Batches)
    layout = batches_layout(header.batches * header.batch_size, spec)
    return header, _as_batch(read_arrays(message, layout))


def priorities_layout(count: int) -> tuple[ArrayLayout, ...]:
    """Lay out the payload of a `SampleRequest`: keys and priorities."""
    return (_INT64, (count,)), (_FLOAT32, (count,))


def describe_tensors(arrays: dict[str, NDArray[Any]]) -> tuple[TensorInfo, ...]:
    """Name the arrays of a network for a `Weights` header."""
    return tuple(TensorInfo(name, array.dtype.name, array.shape) for name, array in arrays.items())


def read_weights(message: Message, header: Weights) -> dict[str, NDArray[Any]]:
    """View the arrays of a `Weights` or `Snapshot` message.

    Raises:
        ProtocolError: for a dtype that may not travel, a bad shape or a wrong length.
    """
    for tensor in header.tensors:
        # NumPy refuses an array whose other dimensions overflow even if one of them is 0
        if tensor.dtype not in ALLOWED_DTYPES or prod(size or 1 for size in tensor.shape) > 2**40:
            raise ProtocolError(f"weights hold {tensor}, which may not travel")
    if len({tensor.name for tensor in header.tensors}) < len(header.tensors):
        raise ProtocolError("weights hold two arrays of the same name")
    layout = [(np.dtype(tensor.dtype), tensor.shape) for tensor in header.tensors]
    arrays = read_arrays(message, layout)
    return {tensor.name: array for tensor, array in zip(header.tensors, arrays, strict=True)}


def action_request_layout(header: ActionRequest, spec: EnvironmentSpec) -> tuple[ArrayLayout, ...]:
    """Lay out the payload of an `ActionRequest`."""
    return ((spec.dtype, (header.count, *spec.stacked_shape)),)


def actions_layout(count: int) -> tuple[ArrayLayout, ...]:
    """Lay out the payload of `Actions`."""
    return ((_INT64, (count,)),)


def scores_layout(episodes: int) -> tuple[ArrayLayout, ...]:
    """Lay out the payload of an `EvaluationResult`."""
    return (_FLOAT64, (episodes,)), (_INT64, (episodes,))
