"""What a launch writes down for its owner alone: variables of roles may be secrets."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import msgspec

from zdqn.errors import FileError
from zdqn.wire.keys.private_files import read_private, replace_private

R = TypeVar("R")


def write_private_record(path: Path, record: Any) -> None:
    """Write a record as JSON that a person can read.

    Args:
        path: of the file, replaced in one step if it is there.
        record: a dataclass of plain values, paths and structs.

    Raises:
        FileError: when it cannot be written.
    """
    text = msgspec.json.format(msgspec.json.encode(record, enc_hook=str)).decode() + "\n"
    try:
        replace_private(path, text)
    except OSError as error:
        raise FileError(f"Cannot write {path}: {error.strerror}.") from error


def read_private_record(path: Path, kind: type[R], *, missing: str) -> R:
    """Read a record.

    Args:
        path: of the file.
        kind: of the record.
        missing: what to say where there is no such file.

    Raises:
        FileError: when it is not there, or cannot be read.
        NotAllowedError: when others could have changed it.
        msgspec.MsgspecError: when it is no record of that kind.
    """
    try:
        return msgspec.json.decode(read_private(path), type=kind, dec_hook=_decode)
    except FileNotFoundError as error:
        raise FileError(missing) from error
    except OSError as error:
        raise FileError(f"Cannot read {path}: {error.strerror}.") from error


def _decode(kind: type, value: Any) -> Any:
    if kind is Path:
        return Path(value)
    raise NotImplementedError(kind)
