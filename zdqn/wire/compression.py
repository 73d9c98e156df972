"""Lossless compression of the frames of a block. Its packages are loaded when they are needed."""

from __future__ import annotations

import importlib
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from zdqn.errors import ConfigError, ProtocolError

Compression: TypeAlias = Literal["none", "lz4", "zstd"]
"""``lz4`` is one LZ4 block without a size in front, ``zstd`` one frame that tells its own size."""

MAX_PLAIN_BYTES = 256 * 1024**2
"""Largest frame table that is decompressed; as much as a whole message may be without it."""

_MODULES = {"lz4": "lz4.block", "zstd": "zstandard"}
_ZSTD_LEVEL = 1


def check_compression(compression: Compression) -> None:
    """Make sure that a compression can be used here.

    Raises:
        ConfigError: when its package is not installed.
    """
    if compression != "none":
        _load(compression)


def available() -> tuple[Compression, ...]:
    """Give the compressions whose packages are installed."""
    found: list[Compression] = []
    for compression in ("lz4", "zstd"):
        try:
            _load(compression)
        except ConfigError:
            continue
        found.append(compression)
    return tuple(found)


def compress(frames: NDArray[Any], compression: Compression) -> NDArray[np.uint8]:
    """Compress a frame table.

    Args:
        frames: of any shape and dtype.
        compression: not "none".

    Returns:
        What travels, shape (bytes,).

    Raises:
        ConfigError: when the package is not installed.
    """
    module = _load(compression)
    plain = np.ascontiguousarray(frames).reshape(-1).view(np.uint8)
    if compression == "lz4":
        packed = module.compress(plain, store_size=False)
    else:
        packed = module.ZstdCompressor(_ZSTD_LEVEL).compress(plain)
    return np.frombuffer(packed, np.uint8)


def decompress(packed: NDArray[np.uint8], compression: Compression, size: int) -> bytes:
    """Undo `compress`, and refuse whatever does not give exactly `size` bytes.

    Args:
        packed: what came, shape (bytes,).
        compression: not "none".
        size: bytes that it must give, at most `MAX_PLAIN_BYTES`; room is never made for more.

    Returns:
        The bytes of the frame table.

    Raises:
        ProtocolError: when it is damaged or of another size, or this side lacks the package.
    """
    try:
        module = _load(compression)
    except ConfigError as error:
        raise ProtocolError(f"a block that this side cannot read: {error}") from error
    if size > MAX_PLAIN_BYTES:
        raise ProtocolError(
            f"a block's {compression} frames claim to be of {size} bytes; at most "
            f"{MAX_PLAIN_BYTES} may be"
        )
    failure = module.LZ4BlockError if compression == "lz4" else module.ZstdError
    try:
        if compression == "lz4":
            plain: bytes = module.decompress(packed, uncompressed_size=size)
        else:
            # The library makes as much room as a frame says that it needs: look at that first.
            told = module.frame_content_size(packed)
            if told < 0:
                raise ProtocolError("a block's zstd frames do not tell their size, as they must")
            _check_size(told, compression, size)
            plain = module.ZstdDecompressor().decompress(packed, allow_extra_data=False)
    except failure as error:
        raise ProtocolError(
            f"a block's {compression} frames cannot be decompressed to {size} bytes: {error}"
        ) from error
    _check_size(len(plain), compression, size)
    return plain


def _check_size(found: int, compression: str, size: int) -> None:
    if found != size:
        raise ProtocolError(
            f"a block's {compression} frames hold {found} bytes where its header and the agreed "
            f"shapes imply {size}"
        )


def _load(compression: str) -> Any:
    try:
        return importlib.import_module(_MODULES[compression])
    except ImportError as error:
        raise ConfigError(
            f'collector.compression = "{compression}" needs a package that cannot be imported: '
            f'{error}. Install it on both ends (pip install "zdqn[compression]"), or set '
            'collector.compression = "none".'
        ) from error
