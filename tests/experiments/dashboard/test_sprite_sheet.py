"""Frames of an episode in one picture, and pictures as PNG."""

import struct
import zlib

import numpy as np
import pytest

from zdqn.errors import UsageError
from zdqn.experiments.dashboard.sprite_sheet import Reel, as_frame, encode_png


def picture(value, height=2, width=3):
    return np.full((height, width, 3), value, np.uint8)


def decode_png(data):
    """Read what `encode_png` writes, by the standard: chunks, their sums, lines without filter."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, place = {}, 8
    while place < len(data):
        (length,) = struct.unpack(">I", data[place : place + 4])
        name, body = data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        (checksum,) = struct.unpack(">I", data[place + 8 + length : place + 12 + length])
        assert checksum == zlib.crc32(name + body)
        chunks[name], place = body, place + 12 + length
    width, height, *kind = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert kind == [8, 2, 0, 0, 0]
    assert chunks[b"IEND"] == b""
    lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, -1)
    assert not lines[:, 0].any()
    return lines[:, 1:].reshape(height, width, 3)


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 3, 3), (40, 7, 3)])
def test_a_picture_comes_back_from_its_png(shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    assert (decode_png(encode_png(pixels)) == pixels).all()


def frames_of(sheet):
    for number in range(sheet.frames):
        top = number // sheet.columns * sheet.height
        left = number % sheet.columns * sheet.width
        yield sheet.pixels[top : top + sheet.height, left : left + sheet.width]


@pytest.mark.parametrize("count", [1, 2, 8, 9, 16, 17, 100])
def test_frames_are_kept_evenly_apart_from_the_first_on(count):
    reel = Reel(most_frames=16)
    for i in range(count):
        reel.add(picture(i))
    sheet = reel.sheet()
    assert reel.seen == count
    assert sheet.frames <= 16
    values = [int(frame[0, 0, 0]) for frame in frames_of(sheet)]
    assert values == list(range(0, count, sheet.every))
    assert sheet.every == 1 or sheet.frames > 8
    assert (sheet.height, sheet.width) == (2, 3)


def test_a_new_episode_begins_a_new_reel():
    reel = Reel()
    reel.add(picture(1))
    reel.begin()
    reel.add(picture(2, height=4))
    assert (reel.seen, reel.sheet().pixels.max(), reel.sheet().height) == (1, 2, 4)


def test_an_empty_reel_and_frames_of_different_sizes_are_refused():
    reel = Reel()
    with pytest.raises(UsageError, match="no frame"):
        reel.sheet()
    reel.add(picture(1))
    with pytest.raises(UsageError, match="after one of"):
        reel.add(picture(1, height=5))


def test_a_pixel_of_a_picture_made_smaller_is_the_mean_of_those_that_it_stands_for():
    big = np.random.default_rng(0).integers(0, 256, (7, 11, 3)).astype(np.uint8)
    small = as_frame(big, 4)
    assert small.shape == (2, 3, 3)
    for y, x in np.ndindex(2, 3):
        mean = big[3 * y : 3 * y + 3, 3 * x : 3 * x + 3].reshape(-1, 3).mean(axis=0)
        assert np.abs(small[y, x] - mean).max() <= 0.5 + 1e-3


def test_a_picture_that_fits_is_left_as_it_is():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 6, 3)).astype(np.uint8)
    assert (as_frame(pixels, 6) == pixels).all()


def test_grey_and_numbers_from_0_to_1_are_pictures_too():
    assert (as_frame(np.full((2, 2), 7, np.uint8), 9) == 7).all()
    assert (as_frame(np.array([[[0.0, 0.5, 2.0]]]), 9) == [0, 128, 255]).all()
    assert (as_frame(np.full((2, 2, 4), 7, np.uint8), 9) == 7).all()


@pytest.mark.parametrize("shape", [(3,), (2, 2, 2), (0, 2, 3), (2, 2, 3, 1)])
def test_what_is_no_picture_is_refused(shape):
    with pytest.raises(UsageError, match="no picture"):
        as_frame(np.zeros(shape, np.uint8), 9)
