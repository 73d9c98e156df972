"""What is measured: environments' specs, blocks of transitions, and the seed's settings."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from zdqn.config import Config, load_config
from zdqn.data import Block, EnvironmentSpec
from zdqn.wire import block_payload
from zdqn.wire.membership import new_session
from zdqn.wire.memory_messages import BlockHeader

VECTOR = EnvironmentSpec((4,), "float32", 2)
"""CartPole's."""
IMAGE = EnvironmentSpec((84, 84), "uint8", 6)
"""One frame of an Atari game, preprocessed as usual."""
FLOAT_IMAGE = EnvironmentSpec((84, 84), "float32", 6)
"""The same as a wrapper makes it that scales pixels."""
STACKED = EnvironmentSpec((84, 84), "uint8", 6, 4)
"""Four such frames in each observation."""

MOST_TRANSITIONS = 128
"""In one block of these benchmarks."""

SEED_SETTINGS = (
    "environment.id=CartPole-v1",
    "environment.max_episode_steps=200",
    "network.hidden=[256, 64]",
    "network.activation=tanh",
    "network.initialization=xavier",
    "algorithm.batch_size=32",
    "algorithm.learning_rate=3e-4",
    "algorithm.target_update_period_updates=200",
    "learner.device=cpu",
    "learner.compile=false",
)
"""The network and the algorithm of the project's seed, on a CartPole that does not sleep."""

MEMORY_SETTINGS = (
    f"collector.block_transitions={MOST_TRANSITIONS}",
    "replay.min_size=1",
    "links.dead_after_s=1e6",
)
"""For a memory whose clients come and go without a word."""


def seed_config(*overrides: str) -> Config:
    """Give the seed's settings with some `section.key=value` changed."""
    return load_config(None, (*SEED_SETTINGS, *overrides))


def memory_config(*overrides: str) -> Config:
    """Give the seed's settings for a memory that is measured on its own."""
    return seed_config(*MEMORY_SETTINGS, *overrides)


def make_block(spec: EnvironmentSpec, transitions: int, rng: np.random.Generator) -> Block:
    """Make a block as one environment would: neighbouring frames, each stored once.

    Args:
        spec: of the environment.
        transitions: in the block, >= 1.
        rng: source of everything in it.
    """
    stack = spec.frame_stack
    count = transitions + stack
    frames = rng.integers(0, 255, (count, *spec.observation_shape)).astype(spec.dtype)
    records = np.zeros(transitions, spec.record_dtype)
    rows = np.arange(transitions)[:, None] + np.arange(stack)
    records["observation"] = rows
    records["next_observation"] = rows + 1
    records["action"] = rng.integers(0, spec.num_actions, transitions)
    records["reward"] = rng.normal(size=transitions)
    records["discount"] = 0.99
    records["priority"] = -1.0
    return Block(frames, records)


class Writer:
    """Writes the messages of one collector, numbered as it would.

    Args:
        spec: of its environment.
        acked: whether they are sent until they are acknowledged.

    Attributes:
        session: of the collector.
    """

    def __init__(self, spec: EnvironmentSpec, *, acked: bool = False) -> None:
        self._spec = spec
        self._acked = acked
        self.session = new_session()
        self._sequence = 0
        self._environment_steps = 0

    def write(self, block: Block, count: int) -> Iterator[bytes]:
        """Write a block `count` times, each as a new one."""
        for _ in range(count):
            self._environment_steps += len(block)
            header = BlockHeader(
                session=self.session,
                sequence=self._sequence,
                origin=self._spec.digest,
                frames=len(block.frames),
                transitions=len(block),
                environment_steps=self._environment_steps,
                episodes=0,
                acked=self._acked,
            )
            self._sequence += 1
            yield block_payload.encode_block(header, block)
