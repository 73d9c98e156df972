"""Messages to bytes and back. Everything is checked before anything is believed.

Arrays are read where they lie, and replies are gathered straight into the buffer that is sent.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple, TypeAlias, TypeVar, get_type_hints

import msgspec
import numpy as np
from numpy.typing import NDArray

from zdqn.errors import ProtocolError
from zdqn.wire import memory_messages, model_messages, protocol
from zdqn.wire.protocol import (
    ALIGNMENT,
    CRITICAL_FLAGS,
    MAGIC,
    MAX_HEADER_BYTES,
    PROTOCOL_VERSION,
    Header,
    Kind,
)

HEADERS: dict[int, type[Header]] = {
    int(header.kind): header
    for module in (protocol, memory_messages, model_messages)
    for header in vars(module).values()
    if isinstance(header, type) and issubclass(header, Header) and "kind" in vars(header)
}
"""Kind to the struct of its header."""

_PREFIX = struct.Struct("<4sHBBII")
_ENCODER = msgspec.msgpack.Encoder()
_DECODERS = {kind: msgspec.msgpack.Decoder(header) for kind, header in HEADERS.items()}
_SMALL_BYTES = 4_096
"""Below, to copy an array is quicker than to make views of it."""

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


def array_start(end: int, nbytes: int) -> int:
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
        start = array_start(length, array.nbytes)
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
    return head + bytes(array_start(len(head), 1) - len(head))


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
        starts.append(array_start(offset, nbytes))
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
    if not len(buffer):
        raise ProtocolError("a message is empty or of several frames; every message is one frame")
    if len(buffer) < _PREFIX.size:
        raise ProtocolError(f"a message of {len(buffer)} bytes is too short to be zdqn's")
    magic, version, kind, flags, length, _ = _PREFIX.unpack_from(buffer)
    if magic != MAGIC:
        raise ProtocolError(f"a message starts with {bytes(magic)!r}, not {MAGIC!r}: not zdqn's")
    if version != PROTOCOL_VERSION:
        raise ProtocolError(
            f"the peer speaks protocol version {version}, this side version {PROTOCOL_VERSION}. "
            f"Install the same zdqn on both."
        )
    decoder = _DECODERS.get(kind)
    if decoder is None:
        raise ProtocolError(f"a message of unknown kind {kind}")
    name = Kind(kind).name
    if flags & CRITICAL_FLAGS:
        raise ProtocolError(
            f"a {name} message has flags {flags}; of the lower four none is known to this side"
        )
    start = _PREFIX.size
    if length > MAX_HEADER_BYTES or start + length > len(buffer):
        raise ProtocolError(
            f"a {name} message of {len(buffer)} bytes claims a header of {length} bytes"
        )
    try:
        header = decoder.decode(memoryview(buffer)[start : start + length])
    except Exception as error:  # msgspec's own, RecursionError, and whatever else bytes can cause
        where = _name_entry(HEADERS[kind], buffer, start, length)
        raise ProtocolError(f"the header of {name}: {error}{where}") from error
    if not header.has_payload and start + length != len(buffer):
        raise ProtocolError(
            f"a {name} message has {len(buffer) - start - length} bytes behind its header; this "
            f"kind has no payload"
        )
    return Message(header, buffer, start + length)


def _name_entry(kind: type[Header], buffer: Buffer, start: int, length: int) -> str:
    """Say which entry of a map breaks the protocol, where msgspec says only ``[...]``."""
    try:
        header = msgspec.msgpack.decode(memoryview(buffer)[start : start + length])
        fields = get_type_hints(kind, include_extras=True)
        for field, entries in header.items():
            if isinstance(entries, dict):
                for name, entry in entries.items():
                    if not _fits({name: entry}, fields[field]):
                        return f" ({str(name)[:64]!r})"
    except Exception:  # noqa: BLE001 - what follows the entry may be anything at all
        return ""
    return ""


def _fits(value: Any, kind: Any) -> bool:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True


def expect(message: Message, kind: type[HeaderT]) -> HeaderT:
    """Give the header if it is of `kind`.

    Raises:
        ProtocolError: when it is of another kind.
    """
    if not isinstance(message.header, kind):
        raise ProtocolError(
            f"expected {kind.kind.name}, got {message.header.kind.name} from the peer"
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
        start = array_start(end, count)
        end = start + count * dtype.itemsize
        if count < 0 or end > size:
            break
        arrays.append(np.frombuffer(message.buffer, dtype, count, start).reshape(shape))
    if len(arrays) != len(layout) or end != size:
        expected = _payload_end(message.payload, layout)
        raise ProtocolError(
            f"a {message.header.kind.name} message has {size} bytes where its header and the "
            f"agreed shapes imply {expected}"
        )
    return arrays


def _payload_end(offset: int, layout: Sequence[ArrayLayout]) -> int:
    for dtype, shape in layout:
        nbytes = prod(shape) * dtype.itemsize
        offset = array_start(offset, nbytes) + nbytes
    return offset
