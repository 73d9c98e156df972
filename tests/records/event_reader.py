"""Reads TensorBoard's event files, field by field, as its documentation describes them."""

import struct
from typing import Any


def slow_crc32c(data):
    """Bit by bit, from the definition: the reflected polynomial 0x1EDC6F41."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data):
    crc = slow_crc32c(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def records(data):
    """Give the messages of a file; each checksum is looked at."""
    found = []
    while data:
        length, length_crc = struct.unpack("<QI", data[:12])
        assert length_crc == masked(data[:8])
        message, (crc,) = (
            data[12 : 12 + length],
            struct.unpack("<I", data[12 + length : 16 + length]),
        )
        assert crc == masked(message)
        found.append(message)
        data = data[16 + length :]
    return found


def varint(data):
    value = shift = 0
    for place, byte in enumerate(data):
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, data[place + 1 :]
    raise AssertionError("a number without an end")


def fields(data):
    """Give field number to the list of its values, of a message of protocol buffers."""
    found: dict[int, list[Any]] = {}
    while data:
        key, data = varint(data)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, data = varint(data)
        elif kind == 1:
            value, data = struct.unpack("<d", data[:8])[0], data[8:]
        elif kind == 5:
            value, data = struct.unpack("<f", data[:4])[0], data[4:]
        else:
            assert kind == 2
            length, data = varint(data)
            value, data = data[:length], data[length:]
        found.setdefault(number, []).append(value)
    return found


def read_event(message):
    """Give wall time, step, and tag to number or text, of an event with a summary."""
    event = fields(message)
    told = {}
    for value in (fields(part) for part in fields(event[5][0])[1]):
        tag = value[1][0].decode()
        if 2 in value:
            told[tag] = value[2][0]
        else:
            tensor, metadata = fields(value[8][0]), fields(fields(value[9][0])[1][0])
            assert metadata[1] == [b"text"]
            assert tensor[1] == [7]
            assert fields(fields(tensor[2][0])[2][0]) == {1: [1]}
            told[tag] = tensor[8][0].decode()
    return event[1][0], event[2][0], told


def read_file(path):
    """Give the events of a file behind those with which it begins."""
    return [read_event(message) for message in records(path.read_bytes())[2:]]


def shown_scalars(folder):
    """Give tag to steps and numbers, as TensorBoard shows the event files of a folder.

    What was read of a step, or of later ones, is forgotten when a session begins with that step;
    the first that begins forgets nothing.
    """
    shown: dict[str, list[tuple[int, float]]] = {}
    for number, path in enumerate(sorted(folder.glob("events.out.tfevents.*"))):
        begins = first_step(path) if number else 0
        if number:
            for tag, points in shown.items():
                shown[tag] = [point for point in points if point[0] < begins]
        for _, step, told in read_file(path):
            for tag, value in told.items():
                if isinstance(value, float):
                    shown.setdefault(tag, []).append((step, value))
    return shown


def first_step(path):
    """Give the step from which on a file takes the place of others, as its first events say."""
    version, start, *_ = map(fields, records(path.read_bytes()))
    assert version[3] == [b"brain.Event:2"]
    assert fields(start[7][0]) == {1: [1]}, "a session has begun"
    return start[2][0]
