"""Files of tensors: written whole or not at all, read without executing anything.

Such a file is one of ``torch.save`` with a format number around the state. Reading it can
construct tensors and plain Python values and nothing else. PyTorch is loaded when one is written or
read, so that whoever only may do so needs no second more to start.
"""

from __future__ import annotations

import contextlib
import io
import os
import secrets
import zipfile
from pathlib import Path
from typing import Any

from zdqn.errors import FileError, MismatchError, UsageError

FORMAT = 2
"""Number of the format that is written and read; see `zdqn.records.checkpoints`."""

_PLAIN = (str, int, float, bool, type(None))


def write_state(path: Path, state: dict[str, Any]) -> None:
    """Write a state, so that the file is there whole or as it was before, even after a crash.

    Args:
        path: the file, replaced if it exists; only its owner may read it.
        state: tensors, str, int, float, bool and None in dicts, lists and tuples.

    Raises:
        UsageError: if the state holds something that could not be read back.
        FileError: if it cannot be written; nothing is left behind then.
    """
    import torch

    _check_plain(state, "state")
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, "state": state}, buffer)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        _write_durably(temporary, buffer.getbuffer())
        temporary.replace(path)
        _sync_directory(path.parent)
    except OSError as error:
        raise FileError(f"cannot write checkpoint {path}: {error.strerror or error}.") from error
    finally:
        # After a successful rename there is nothing under this name.
        with contextlib.suppress(OSError):
            temporary.unlink()


def read_state(path: Path) -> dict[str, Any]:
    """Read a state; tensors come to the CPU.

    Args:
        path: the file.

    Returns:
        The state that was saved.

    Raises:
        FileError: if the file cannot be read, is damaged, or is no checkpoint of zdqn.
        MismatchError: if a newer zdqn wrote it.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FileError(f"cannot read checkpoint {path}: {error.strerror or error}.") from error
    document = _decode(path, content)
    if not isinstance(document, dict) or not isinstance(document.get("format"), int):
        raise FileError(f"{path} is a PyTorch file, but no checkpoint of zdqn.")
    if document["format"] > FORMAT:
        raise MismatchError(
            f"checkpoint {path} has format {document['format']}; this zdqn reads format "
            f"{FORMAT}. Read it with the zdqn that wrote it, or a newer one."
        )
    if document["format"] < FORMAT:
        raise MismatchError(
            f"checkpoint {path} has the older format {document['format']}; this zdqn reads format "
            f"{FORMAT}. Read it with the zdqn that wrote it."
        )
    if not isinstance(document.get("state"), dict):
        raise FileError(f"checkpoint {path} holds no state.")
    return dict(document["state"])


def _check_plain(value: Any, where: str) -> None:
    """Refuse what could be written but not read back with ``weights_only``."""
    # Exact types: NumPy's float64 is a float too, and would be refused on reading.
    if type(value) in (dict, list, tuple):
        items = value.items() if type(value) is dict else enumerate(value)
        for key, item in items:
            _check_plain(key, f"a key of {where}")
            _check_plain(item, f"{where}[{key!r}]")
    elif type(value) not in _PLAIN and not _is_tensor(value):
        raise UsageError(
            f"{where} is a {type(value).__name__}, which a checkpoint cannot hold: it holds "
            "tensors, str, int, float, bool and None in dicts, lists and tuples."
        )


def _is_tensor(value: Any) -> bool:
    import torch

    return type(value) is torch.Tensor


def _write_durably(path: Path, content: memoryview) -> None:
    """Write a new file, readable by its owner only, and wait until it is on the disk."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_directory(path: Path) -> None:
    """Wait until a rename in a folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _decode(path: Path, content: bytes) -> Any:
    """Check the archive's own checksums, which PyTorch does not, and read it."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            damaged = archive.testzip()
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError) as error:
        raise FileError(f"{path} is no checkpoint, or was cut short: {error}.") from error
    if damaged is not None:
        raise FileError(f"checkpoint {path} is damaged: the checksum of {damaged} is wrong.")
    import torch

    try:
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:
        # PyTorch's text is left out: it goes on to advise loading the file without safety.
        raise FileError(
            f"{path} was refused: it holds something other than tensors and plain values, and "
            "reading that could run a program. zdqn never writes such a file."
        ) from error
