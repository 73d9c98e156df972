"""Checkpoints: one typed format for every kind of run, with one writer and one reader.

A file of ``checkpoints/`` holds all that training needs to go on; ``best.pt`` holds a network and
what is needed to use it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from zdqn.config import Config, from_dict, to_dict
from zdqn.core.agenda import Counters
from zdqn.data import EnvironmentSpec
from zdqn.errors import FileError, MismatchError, ProtocolError, UsageError
from zdqn.records.checkpoint_files import read_state, write_state
from zdqn.wire.protocol import Spec

if TYPE_CHECKING:
    from torch import Tensor

_LEAST_KEPT = 2
_NAME = re.compile(r"update-(\d{9,})\.pt")
_LEFTOVER = re.compile(r"\.update-\d{9,}\.pt\.[0-9a-f]{16}\.tmp")


@dataclass(frozen=True)
class TrainingState:
    """What training needs to go on, besides the network.

    Attributes:
        trainer: networks, optimizer and count of updates; see `zdqn.core.trainer`.
        totals: what the run's memories have counted; see `zdqn.records.totals`.
        metrics: time and evaluations so far; see `zdqn.records.metrics`.
        snapshots: taken so far.
        version: of the weights that were published last; -1 if none were.
    """

    trainer: dict[str, Any]
    totals: dict[str, Any]
    metrics: dict[str, Any]
    snapshots: int
    version: int


@dataclass(frozen=True)
class Checkpoint:
    """A network, what it is for, and how far training had come.

    Attributes:
        config: of the run.
        spec: of its environment.
        online: the online network's tensors by name, on the CPU.
        counters: how far training had come.
        training: what is needed to go on; None in ``best.pt``.
        evaluation_return: mean return of the evaluation that it is kept for, or None.
    """

    config: Config
    spec: EnvironmentSpec
    online: Mapping[str, Tensor]
    counters: Counters
    training: TrainingState | None = None
    evaluation_return: float | None = None


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, so that the file is there whole or as it was before, even after a crash.

    Args:
        path: the file, replaced if it exists; only its owner may read it.
        checkpoint: what to save.

    Raises:
        FileError: if it cannot be written; nothing is left behind then.
    """
    training = checkpoint.training
    state = {
        "config": to_dict(checkpoint.config),
        "spec": asdict(checkpoint.spec),
        "online": dict(checkpoint.online),
        "counters": checkpoint.counters._asdict(),
        "training": None if training is None else dict(vars(training)),
        "evaluation_return": checkpoint.evaluation_return,
    }
    write_state(path, state)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint; tensors come to the CPU.

    Args:
        path: the file.

    Raises:
        FileError: if the file cannot be read, is damaged, or is no checkpoint of zdqn.
        MismatchError: if another version of zdqn wrote it, or a part of it is missing.
    """
    state = read_state(path)
    spec = _read_spec(path, state)
    try:
        training = state["training"]
        return Checkpoint(
            config=from_dict(state["config"], source=str(path)),
            spec=spec,
            online=dict(state["online"]),
            counters=Counters(**state["counters"]),
            training=None if training is None else TrainingState(**training),
            evaluation_return=state["evaluation_return"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise MismatchError(
            f"{path} holds no checkpoint that this zdqn can read ({type(error).__name__}: "
            f"{error}). Use the zdqn that wrote it, or another checkpoint."
        ) from error


def _read_spec(path: Path, state: Mapping[str, Any]) -> EnvironmentSpec:
    try:
        return msgspec.convert(state.get("spec"), Spec).read()
    except (msgspec.ValidationError, ProtocolError) as error:
        raise MismatchError(
            f"the spec of the environment in {path} is {state.get('spec')!r}, which this zdqn "
            f"cannot read. Use the zdqn that wrote it, or another checkpoint."
        ) from error


class Loaded(NamedTuple):
    """A checkpoint that was found.

    Attributes:
        path: its file.
        checkpoint: what was saved.
        training: what of it is needed to go on.
        warnings: why newer checkpoints were passed over, one text each; mostly empty.
    """

    path: Path
    checkpoint: Checkpoint
    training: TrainingState
    warnings: tuple[str, ...]


class CheckpointDirectory:
    """The checkpoints of one run, named by their updates: ``update-000012000.pt``.

    Args:
        path: the folder; made when the first checkpoint is saved.
        keep: newest checkpoints that stay when one is saved, >= 2, so that a damaged one is not the
            only one.

    Raises:
        UsageError: if `keep` is less than 2.
    """

    def __init__(self, path: Path, keep: int = _LEAST_KEPT) -> None:
        if keep < _LEAST_KEPT:
            raise UsageError(f"keep = {keep}: 2 or more, as a fallback for a damaged checkpoint.")
        self.path = path
        self.keep = keep

    def save(self, checkpoint: Checkpoint) -> Path:
        """Write a checkpoint, and then remove those that are too old.

        Of the checkpoints up to this one the newest `keep` stay. Higher-numbered ones, from before
        a return to an earlier state, are left alone, as is every file of another name.

        Args:
            checkpoint: what to save.

        Returns:
            The file.

        Raises:
            FileError: if it cannot be written.
        """
        updates = checkpoint.counters.updates
        file = self.path / f"update-{updates:09d}.pt"
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            reason = error.strerror or error
            raise FileError(f"cannot make the folder {self.path}: {reason}.") from error
        save_checkpoint(file, checkpoint)
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
                checkpoint = load_checkpoint(file)
            except FileError as error:
                warnings.append(f"Passed over the checkpoint at {updates:,} updates: {error}")
                continue
            if checkpoint.training is None:
                raise MismatchError(
                    f"{file} holds a network only, and training cannot go on from it. Remove it "
                    f"from {self.path}: such a file is to be used alone."
                )
            return Loaded(file, checkpoint, checkpoint.training, tuple(warnings))
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
