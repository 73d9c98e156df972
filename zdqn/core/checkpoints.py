"""Checkpoints on disk: written whole or not at all, read without executing anything.

A checkpoint is a file of ``torch.save`` with a format number around the state. Reading it can
construct tensors and plain Python values and nothing else.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import secrets
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import torch

from zdqn.errors import FileError, MismatchError, UsageError

FORMAT = 1
"""Number of the format that is written, and the newest that can be read."""

_NAME = re.compile(r"update-(\d{9,})\.pt")
_LEFTOVER = re.compile(r"\.update-\d{9,}\.pt\.[0-9a-f]{16}\.tmp")
_PLAIN = (torch.Tensor, str, int, float, bool, type(None))


class Loaded(NamedTuple):
    """A checkpoint that was found.

    Attributes:
        path: its file.
        state: what was saved.
        warnings: why newer checkpoints were passed over, one text each; mostly empty.
    """

    path: Path
    state: dict[str, Any]
    warnings: tuple[str, ...]


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint, so that the file is there whole or as it was before, even after a crash.

    Args:
        path: the file, replaced if it exists; only its owner may read it.
        state: tensors, str, int, float, bool and None in dicts, lists and tuples.

    Raises:
        UsageError: if the state holds something that could not be read back.
        FileError: if it cannot be written; nothing is left behind then.
    """
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


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint; tensors come to the CPU.

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
            f"checkpoint {path} has format {document['format']}; this zdqn reads formats up to "
            f"{FORMAT}. Read it with the zdqn that wrote it, or a newer one."
        )
    if not isinstance(document.get("state"), dict):
        raise FileError(f"checkpoint {path} holds no state.")
    return dict(document["state"])


class CheckpointDirectory:
    """The checkpoints of one run, named by their updates: ``update-000012000.pt``.

    Args:
        path: the folder; made when the first checkpoint is saved.
        keep: newest checkpoints that stay, >= 2, so that a damaged one is not the only one.

    Raises:
        UsageError: if `keep` is less than 2.
    """

    def __init__(self, path: Path, keep: int) -> None:
        if keep < 2:
            raise UsageError(f"keep = {keep}: 2 or more, as a fallback for a damaged checkpoint.")
        self.path = path
        self.keep = keep

    def save(self, state: dict[str, Any], updates: int) -> Path:
        """Write a checkpoint, and then remove those that are too old.

        Of the checkpoints up to this one the newest `keep` stay. Higher-numbered ones, from before
        a return to an earlier state, are left alone, as is every file of another name.

        Args:
            state: as for `save_checkpoint`.
            updates: updates that went into it, >= 0.

        Returns:
            The file.

        Raises:
            UsageError: if the state holds something that could not be read back.
            FileError: if it cannot be written.
        """
        file = self.path / f"update-{updates:09d}.pt"
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = error.strerror or error
            raise FileError(f"cannot make the folder {self.path}: {reason}.") from error
        save_checkpoint(file, state)
        self._prune(updates)
        return file

    def newest(self) -> Loaded:
        """Read the newest checkpoint that is whole.

        Returns:
            It, with a warning for each newer one that was not.

        Raises:
            FileError: if there is none, or none that is whole.
            MismatchError: if a newer zdqn wrote it.
        """
        warnings: list[str] = []
        for updates, file in sorted(self._numbered(), reverse=True):
            try:
                return Loaded(file, load_checkpoint(file), tuple(warnings))
            except FileError as error:
                warnings.append(f"Passed over the checkpoint at {updates} updates: {error}")
        if warnings:
            raise FileError(f"no checkpoint in {self.path} can be used. {' '.join(warnings)}")
        raise FileError(
            f"there is no checkpoint in {self.path}. Give the folder of a run that saved one, or "
            "start anew."
        )

    def _numbered(self) -> list[tuple[int, Path]]:
        try:
            files = list(self.path.iterdir())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise FileError(f"cannot read {self.path}: {error.strerror or error}.") from error
        matches = ((_NAME.fullmatch(file.name), file) for file in files)
        return [(int(match[1]), file) for match, file in matches if match]

    def _prune(self, updates: int) -> None:
        """Remove what is too old, and what a writer that was killed left half-written."""
        old = sorted(item for item in self._numbered() if item[0] <= updates)[: -self.keep]
        try:
            for _, file in old:
                file.unlink(missing_ok=True)
            for file in self.path.iterdir():
                if _LEFTOVER.fullmatch(file.name):
                    file.unlink(missing_ok=True)
        except OSError as error:
            raise FileError(
                f"cannot remove an old checkpoint: {error.filename}: {error.strerror or error}."
            ) from error


def _check_plain(value: Any, where: str) -> None:
    """Refuse what could be written but not read back with ``weights_only``."""
    # Exact types: NumPy's float64 is a float too, and would be refused on reading.
    if type(value) in (dict, list, tuple):
        items = value.items() if type(value) is dict else enumerate(value)
        for key, item in items:
            _check_plain(key, f"a key of {where}")
            _check_plain(item, f"{where}[{key!r}]")
    elif type(value) not in _PLAIN:
        raise UsageError(
            f"{where} is a {type(value).__name__}, which a checkpoint cannot hold: it holds "
            "tensors, str, int, float, bool and None in dicts, lists and tuples."
        )


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
    try:
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:
        # PyTorch's text is left out: it goes on to advise loading the file without safety.
        raise FileError(
            f"{path} was refused: it holds something other than tensors and plain values, and "
            "reading that could run a program. zdqn never writes such a file."
        ) from error
