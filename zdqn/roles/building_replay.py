"""From configuration to the replay; apart from `building`, so that a memory needs no torch."""

from __future__ import annotations

from collections.abc import Callable

from zdqn.config import Config
from zdqn.core.broker import MemoryBroker
from zdqn.core.intake import name_by_number
from zdqn.core.store import TransitionStore
from zdqn.rl.replay_arrays import Allocator, allocate_in_ram


def build_store(
    config: Config, *, allocate: Allocator = allocate_in_ram, kept: bool = False
) -> TransitionStore:
    """Build the replay with its limiter as configured.

    Args:
        config: its ``replay`` section is used, and what the limiter's window depends on.
        allocate: makes the arrays.
        kept: whether they will be opened again.

    Raises:
        ConfigError: when the limiter's window is too small.
    """
    replay = config.replay
    return TransitionStore(
        capacity=replay.capacity,
        prioritized=replay.kind == "prioritized",
        priority_exponent=replay.priority_exponent,
        priority_epsilon=replay.priority_epsilon,
        min_size=replay.min_size,
        samples_per_insert=replay.samples_per_insert,
        samples_per_insert_window=config.samples_per_insert_window,
        batch_size=config.algorithm.batch_size,
        block_transitions=config.collector.block_transitions,
        usual_frames_per_transition=config.usual_frames_per_transition,
        most_frames_per_transition=config.most_frames_per_transition,
        seed=config.run.seed,
        allocate=allocate,
        kept=kept,
        sparing=kept or replay.storage == "disk",
    )


def build_broker(
    config: Config,
    *,
    session: int,
    name_of: Callable[[int], str] = name_by_number,
    allocate: Allocator = allocate_in_ram,
    kept: bool = False,
) -> MemoryBroker:
    """Build the memory's decisions as configured.

    Args:
        config: see `build_store`.
        session: random number of this start of the memory.
        name_of: session to what its collector is called in messages.
        allocate: makes the arrays of the replay.
        kept: whether they will be opened again.

    Raises:
        ConfigError: when the limiter's window is too small.
    """
    store = build_store(config, allocate=allocate, kept=kept)
    n_step = config.algorithm.n_step
    return MemoryBroker(store, session=session, n_step=n_step, name_of=name_of)
