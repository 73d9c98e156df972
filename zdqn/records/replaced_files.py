"""Files that are replaced in one step: readers see all of the new one, or the old one."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from zdqn.records.whole_lines import unwritable


def replace_text(path: Path, text: str) -> None:
    """Write a file, or put it in the place of the one that is there; nothing is synced to the disk.

    Args:
        path: of the file; its folder must be there.
        text: all of it.

    Raises:
        FileError: when it cannot be written; what was there is there still, and nothing besides.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink()
        raise unwritable(path, error) from error
