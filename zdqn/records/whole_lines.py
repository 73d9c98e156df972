"""Files that grow at their end: what is appended is there whole, or not at all."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from zdqn.errors import FileError

_TAIL_BYTES = 4096


def csv_line(values: Iterable[Any]) -> str:
    """Write values as a line of CSV, with its end; None is empty."""
    text = io.StringIO()
    csv.writer(text).writerow(values)
    return text.getvalue()


def append_line(path: Path, line: str, *, header: str = "") -> None:
    """Append a line, whole or not at all; the first line of the file is the header.

    A line that a process which was killed has left unfinished is cut off.

    Args:
        path: of the file; made if it is missing.
        line: with its end.
        header: with its end.

    Raises:
        FileError: when it cannot be written; the file is what it was then.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            size = _end_of_whole_lines(descriptor)
            os.ftruncate(descriptor, size)
            write_whole(descriptor, ((header if size == 0 else "") + line).encode(), size)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise unwritable(path, error) from error


def write_whole(descriptor: int, data: bytes, size: int) -> None:
    """Append to a file; what cannot be written whole is taken back.

    Args:
        descriptor: of the file, opened for appending.
        data: to be appended.
        size: of the file so far, in bytes.

    Raises:
        OSError: when it cannot be written; the file has its size then.
    """
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    except OSError:
        with suppress(OSError):
            os.ftruncate(descriptor, size)
        raise


def unwritable(path: Path, error: OSError) -> FileError:
    """Say that a file cannot be written."""
    return FileError(f"Cannot write {path}: {error.strerror}.")


def _end_of_whole_lines(descriptor: int) -> int:
    """Give the size of a file up to its last end of a line."""
    end = os.fstat(descriptor).st_size
    while end:
        start = max(end - _TAIL_BYTES, 0)
        newline = os.pread(descriptor, end - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0
