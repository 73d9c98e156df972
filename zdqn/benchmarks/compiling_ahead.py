"""Compiles updates before they are measured, and measures how long that takes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

from zdqn.benchmarks.subjects import VECTOR
from zdqn.config import Config
from zdqn.errors import ConfigError
from zdqn.roles.building import build_trainer, use_threads
from zdqn.roles.compiling.compiled_updates import CompiledUpdates
from zdqn.roles.compiling.loop_cache import LoopCache

if TYPE_CHECKING:
    from zdqn.core.trainer import Trainer


def make_trainer(config: Config, cache: LoopCache | None = None) -> tuple[Trainer, float]:
    """Make a trainer; with ``learner.compile = true`` one whose updates are compiled by now.

    Args:
        config: of the run.
        cache: where compiled updates are kept; None for the user's, where a role finds them then.

    Returns:
        The trainer, and the seconds that compiling took, or loading what was compiled before.

    Raises:
        ConfigError: if nothing can be compiled here.
    """
    use_threads(config.learner.threads)
    trainer = build_trainer(config, None, VECTOR)
    started_s = time.monotonic()
    if config.learner.compile is True:
        with CompiledUpdates(config, None, VECTOR, trainer, cache=cache) as compiled:
            compiled.begin()
            compiled.wait(lambda: False)
        if not trainer.compiled:
            raise ConfigError("updates cannot be compiled here, several in one call.")
    return trainer, time.monotonic() - started_s


def with_compile(config: Config, choice: bool) -> Config:
    """Give a configuration with another ``learner.compile``."""
    learner = msgspec.structs.replace(config.learner, compile=choice)
    return msgspec.structs.replace(config, learner=learner)
