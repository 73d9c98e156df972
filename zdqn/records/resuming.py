"""Going on with a run: its newest checkpoint, and whether a configuration can go on from it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, overload

from zdqn.config import FUNCTION_KEYS, Config, flatten
from zdqn.config.explaining import show_value
from zdqn.core.agenda import Agenda, Limits, Periods
from zdqn.errors import ConfigError, MismatchError, ZdqnError
from zdqn.records.checkpoints import Checkpoint, CheckpointDirectory, TrainingState, load_checkpoint
from zdqn.records.run_claim import is_same_directory
from zdqn.records.run_files import RunFiles

logger = logging.getLogger("zdqn.learner")

_FITS = (
    "network.kind",
    "network.hidden",
    "network.dueling",
    "network.noisy",
    "algorithm.distribution",
    "environment.frame_stack",
)
"""Keys that give the network its shape: its weights fit no other."""
_NUMBERS = {"categorical": "algorithm.atoms", "quantile": "algorithm.quantiles"}
"""Likewise, for each distribution."""
_MEANING = ("environment", "network", "algorithm", "replay", "exploration")
_MEANING_KEYS = ("evaluator.episodes", "evaluator.epsilon")
_WHERE_AND_HOW = ("run", "launch", "links", "memory")
_WHERE_AND_HOW_KEYS = ("learner.bind",)
"""Keys that do not say what is trained."""


@dataclass(frozen=True)
class Resumption:
    """What a run goes on from.

    Attributes:
        checkpoint: its newest.
        training: what of it is needed to go on.
        best: its best network, whose score is that of later ones to beat; None if there is none,
            or if the environment has changed, so that scores cannot be compared.
        path: the checkpoint's file.
    """

    checkpoint: Checkpoint
    training: TrainingState
    best: Checkpoint | None
    path: Path


@overload
def load_resumption(
    resume: Path, config: Config, limits: Limits, *, into: Path, quiet: bool = ...
) -> Resumption: ...


@overload
def load_resumption(
    resume: Path | None, config: Config, limits: Limits, *, into: Path, quiet: bool = ...
) -> Resumption | None: ...


def load_resumption(
    resume: Path | None, config: Config, limits: Limits, *, into: Path, quiet: bool = False
) -> Resumption | None:
    """Read what a run is to go on from, and refuse what cannot go on; nothing is written.

    What goes on otherwise than it was is logged.

    Args:
        resume: run directory; None begins anew, with nothing to read.
        config: to go on with.
        limits: those of `config`.
        into: where the files go; another folder begins a run of its own.
        quiet: log nothing, for one who only wants to know whether it is refused.

    Raises:
        FileError: when there is no checkpoint that can be read.
        MismatchError: when the configuration is for another network, or in the same folder for
            another environment.
        ConfigError: when an end condition is met already.
    """
    if resume is None:
        return None
    loaded = CheckpointDirectory(RunFiles(resume).checkpoints).newest()
    changed = _changed(loaded.checkpoint.config, config)
    moved = [
        key
        for key, values in changed.items()
        if key.startswith("environment.") and not _is_function(key, values)
    ]
    _check_fits(resume, changed, config.algorithm.distribution)
    if moved and is_same_directory(resume, into):
        raise MismatchError(
            f"The run in {resume} is of another environment: {_list(changed, moved)}. Its scores "
            f"could not be compared with those to come. Give its own values, or --run-dir, for a "
            f"run of its own that starts from this network."
        )
    _check_not_over(resume, loaded.checkpoint, loaded.training, limits)
    if not quiet:
        for warning in loaded.warnings:
            logger.warning("%s", warning)
        _say(changed)
    best = None if moved or quiet else _best_of(resume)
    return Resumption(loaded.checkpoint, loaded.training, best, loaded.path)


def _changed(before: Config, now: Config) -> dict[str, tuple[Any, Any]]:
    """Give the keys with another value, each with both; those about processes are left out."""
    ours, theirs = flatten(now), flatten(before)
    return {
        key: (theirs.get(key), ours.get(key))
        for key in {**theirs, **ours}
        if theirs.get(key) != ours.get(key)
        and key.split(".")[0] not in _WHERE_AND_HOW
        and key not in _WHERE_AND_HOW_KEYS
    }


def _is_function(key: str, values: tuple[Any, Any]) -> bool:
    """Whether a function has taken the place of a function; that may be the same, written anew."""
    return key in FUNCTION_KEYS and None not in values


def _check_fits(resume: Path, changed: dict[str, tuple[Any, Any]], distribution: str) -> None:
    shapes = (*_FITS, _NUMBERS.get(distribution))
    misfits = [
        key
        for key, values in changed.items()
        if key in shapes or (key == "network.function" and not _is_function(key, values))
    ]
    if misfits:
        raise MismatchError(
            f"The weights of the run in {resume} do not fit the network of this configuration: "
            f"{_list(changed, misfits)}. Give the run's own values (zdqn run --resume {resume} "
            f"without CONFIG takes them), and the function that made the network, if one did."
        )


def _check_not_over(
    resume: Path, checkpoint: Checkpoint, training: TrainingState, limits: Limits
) -> None:
    wall_s, counters = float(training.metrics["wall_s"]), checkpoint.counters
    limit = Agenda(Periods(), limits).end(wall_s, counters)
    if not limit:
        return
    reached = wall_s if limit == "wall_s" else counters._asdict()[limit]
    raise ConfigError(
        f"The run in {resume} is past its end: stop.{limit} is {asdict(limits)[limit]:g}, and it "
        f"has reached {reached:g}. There is nothing to go on with, and nothing was changed. Raise "
        f"it with --set stop.{limit}=..., which counts from the run's beginning."
    )


def _say(changed: dict[str, tuple[Any, Any]]) -> None:
    for key, (before, now) in changed.items():
        meaning = key.split(".")[0] in _MEANING or key in _MEANING_KEYS
        logger.log(
            logging.WARNING if meaning else logging.INFO,
            "%s was %s until now and is %s from here on%s",
            key,
            _value(before),
            _value(now),
            " (this changes what is learned)" if meaning else "",
        )


def _best_of(resume: Path) -> Checkpoint | None:
    path = RunFiles(resume).best
    if not path.exists():
        return None
    try:
        return load_checkpoint(path)
    except ZdqnError as error:
        logger.warning("%s The next evaluation counts as the best.", error)
        return None


def _list(changed: dict[str, tuple[Any, Any]], keys: Sequence[str]) -> str:
    return "; ".join(
        f"{key} was {_value(changed[key][0])} and is {_value(changed[key][1])} now" for key in keys
    )


def _value(value: Any) -> str:
    return "absent" if value is None else show_value(value)
