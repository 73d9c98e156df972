"""Frames of an episode in one picture, which a page cuts into frames again; and pictures as PNG."""

from __future__ import annotations

import math
import struct
import zlib
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zdqn.errors import UsageError

MOST_FRAMES = 96
MOST_PIXELS = 320
"""Of a frame's longer side; larger ones are made smaller."""

_COLUMNS = 8
_PNG = b"\x89PNG\r\n\x1a\n"
_RGB = 2


class SpriteSheet(NamedTuple):
    """Frames in one picture.

    Attributes:
        pixels: shape (rows * height, columns * width, 3), uint8.
        columns: frames from left to right.
        frames: how many there are; the rest of the last row is black.
        width: of a frame, in pixels.
        height: likewise.
        every: steps from one frame to the next.
    """

    pixels: NDArray[np.uint8]
    columns: int
    frames: int
    width: int
    height: int
    every: int


class Reel:
    """Keeps frames of an episode, evenly apart: of too many every second one goes.

    Args:
        most_frames: kept, even, >= 2.
        most_pixels: of a frame's longer side, >= 1.
    """

    def __init__(self, most_frames: int = MOST_FRAMES, most_pixels: int = MOST_PIXELS) -> None:
        self._most_frames = most_frames
        self._most_pixels = most_pixels
        self.begin()

    def begin(self) -> None:
        """Forget all frames: an episode begins."""
        self.seen = 0
        self._every = 1
        self._frames: list[NDArray[np.uint8]] = []

    def add(self, picture: ArrayLike) -> None:
        """Add what an environment has drawn.

        Args:
            picture: shape (height, width, 3) or (height, width); uint8, or numbers in [0, 1].

        Raises:
            UsageError: when it is no picture, or not of the size of those before.
        """
        if self.seen % self._every == 0:
            frame = as_frame(picture, self._most_pixels)
            if self._frames and frame.shape != self._frames[0].shape:
                raise UsageError(f"a frame of {frame.shape} after one of {self._frames[0].shape}")
            self._frames.append(frame)
            if len(self._frames) > self._most_frames:
                self._frames = self._frames[::2]
                self._every *= 2
        self.seen += 1

    def sheet(self) -> SpriteSheet:
        """Put the frames into one picture.

        Raises:
            UsageError: when there is no frame.
        """
        if not self._frames:
            raise UsageError("no frame was drawn")
        count, (height, width, _) = len(self._frames), self._frames[0].shape
        columns = min(_COLUMNS, count)
        pixels = np.zeros((math.ceil(count / columns) * height, columns * width, 3), np.uint8)
        for number, frame in enumerate(self._frames):
            top, left = (number // columns) * height, (number % columns) * width
            pixels[top : top + height, left : left + width] = frame
        return SpriteSheet(pixels, columns, count, width, height, self._every)


def as_frame(picture: ArrayLike, most_pixels: int) -> NDArray[np.uint8]:
    """Give a picture in colour, of a size that a page needs.

    Args:
        picture: shape (height, width, 3) or (height, width); uint8, or numbers in [0, 1].
        most_pixels: of the longer side; each pixel of a larger one is the mean of several.

    Returns:
        Shape (height, width, 3), uint8.

    Raises:
        UsageError: when it is no picture.
    """
    array: NDArray[Any] = np.asarray(picture)
    if array.ndim == 2:
        array = np.repeat(array[..., None], 3, axis=2)
    if array.ndim != 3 or array.shape[2] not in (3, 4) or 0 in array.shape:
        raise UsageError(f"the environment drew an array of shape {array.shape}, no picture")
    array = array[..., :3]
    if array.dtype.kind == "f":
        array = np.clip(array, 0.0, 1.0) * 255.0
    factor = math.ceil(max(array.shape[:2]) / most_pixels)
    if factor > 1:
        height, width = (size // factor for size in array.shape[:2])
        cut = array[: height * factor, : width * factor].astype(np.float32)
        array = cut.reshape(height, factor, width, factor, 3).mean(axis=(1, 3))
    return np.asarray(array.round() if array.dtype.kind == "f" else array).astype(np.uint8)


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """Write a picture as PNG (W3C, 2003): each line unfiltered.

    Args:
        pixels: shape (height, width, 3), uint8; neither side is 0.
    """
    height, width, _ = pixels.shape
    lines = np.zeros((height, 1 + 3 * width), np.uint8)  # 0 before each line: no filter
    lines[:, 1:] = pixels.reshape(height, 3 * width)
    header = struct.pack(">IIBBBBB", width, height, 8, _RGB, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), 3)), (b"IEND", b""))
    return _PNG + b"".join(_chunk(name, data) for name, data in chunks)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
