"""TensorBoard's event files: numbers and texts at steps of a training.

A file is a sequence of records, each a message ``tensorflow.Event`` in the encoding of protocol
buffers between its length and two checksums (TFRecord: CRC-32C, rotated and shifted). Written here,
as it is a page, and so that a record that does not fit the disk is taken back: readers stop at half
a record.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from zdqn.records.whole_lines import unwritable, write_whole

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
"""Wire types of protocol buffers."""
_DT_STRING = 7
_SESSION_START = 1
_POLYNOMIAL = 0x82F63B78
_VERSION = "brain.Event:2"


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (_POLYNOMIAL if crc & 1 else 0)
        table.append(crc)
    return tuple(table)


_TABLE = _crc_table()


def crc32c(data: bytes) -> int:
    """Give the CRC-32C (Castagnoli) of some bytes."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def _masked(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def as_record(event: bytes) -> bytes:
    """Put a message between its length and the checksums."""
    length = struct.pack("<Q", len(event))
    return length + _masked(length) + event + _masked(event)


# --- messages -------------------------------------------------------------------------------------


def _varint(value: int) -> bytes:
    data = bytearray()
    while value > 0x7F:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    data.append(value)
    return bytes(data)


def _integer(field: int, value: int) -> bytes:
    return _varint(field << 3 | _VARINT) + _varint(value)


def _double(field: int, value: float) -> bytes:
    return _varint(field << 3 | _FIXED64) + struct.pack("<d", value)


def _float(field: int, value: float) -> bytes:
    try:
        return _varint(field << 3 | _FIXED32) + struct.pack("<f", value)
    except OverflowError:  # it is a float of Python's, and larger than those of 32 bits
        return _float(field, float("inf") if value > 0 else float("-inf"))


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | _BYTES) + _varint(len(value)) + value


def _text(field: int, value: str) -> bytes:
    return _bytes(field, value.encode())


def encode_scalars(wall_time_s: float, step: int, scalars: Mapping[str, float]) -> bytes:
    """Write an event with a number for each tag.

    Args:
        wall_time_s: seconds since 1970.
        step: of the training, >= 0.
        scalars: tag to value; of its 64 bits 32 are kept.
    """
    values = (_text(1, tag) + _float(2, value) for tag, value in scalars.items())
    return _event(wall_time_s, step, b"".join(_bytes(1, value) for value in values))


def encode_text(wall_time_s: float, step: int, tag: str, markdown: str) -> bytes:
    """Write an event with a text, which TensorBoard shows as Markdown."""
    shape = _bytes(2, _integer(1, 1))
    tensor = _integer(1, _DT_STRING) + _bytes(2, shape) + _text(8, markdown)
    metadata = _bytes(1, _text(1, "text"))
    value = _text(1, f"{tag}/text_summary") + _bytes(8, tensor) + _bytes(9, metadata)
    return _event(wall_time_s, step, _bytes(1, value))


def encode_version(wall_time_s: float) -> bytes:
    """Write the event that begins a file."""
    return _double(1, wall_time_s) + _text(3, _VERSION)


def encode_start(wall_time_s: float, step: int) -> bytes:
    """Write the event with which a session begins.

    TensorBoard forgets by it whatever it has read of this and later steps, but for a run's first.
    """
    session = _integer(1, _SESSION_START)
    return _double(1, wall_time_s) + _integer(2, step) + _bytes(7, session)


def _event(wall_time_s: float, step: int, summary: bytes) -> bytes:
    return _double(1, wall_time_s) + _integer(2, step) + _bytes(5, summary)


# --- the file -------------------------------------------------------------------------------------


class EventFile:
    """A file of events; each is on disk when `add` returns.

    Args:
        folder: where it is made, under a name that no other has.
        now_s: seconds since 1970.
        first_step: that it may hold; it takes the place of what other files have from there on.

    Attributes:
        path: of the file.

    Raises:
        FileError: when it cannot be made.
    """

    def __init__(self, folder: Path, now_s: float, first_step: int = 0) -> None:
        name = f"events.out.tfevents.{int(now_s * 1e3):013d}.{socket.gethostname()}.{os.getpid()}"
        self.path = folder / name
        self.add(encode_version(now_s))
        self.add(encode_start(now_s, first_step))

    def add(self, event: bytes) -> None:
        """Append an event, whole or not at all.

        Raises:
            FileError: when it cannot be written; the file is what it was then.
        """
        try:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
            try:
                write_whole(descriptor, as_record(event), os.fstat(descriptor).st_size)
            finally:
                with suppress(OSError):
                    os.close(descriptor)
        except OSError as error:
            raise unwritable(self.path, error) from error
