"""Bytes a stored transition of stacked frames takes on the wire and in RAM."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from zdqn.benchmarks.measuring import Effort, Figure, Goal, Result, Say
from zdqn.benchmarks.subjects import IMAGE, Writer, seed_config
from zdqn.config import Config
from zdqn.core.rollout import Rollout
from zdqn.data import EnvironmentSpec
from zdqn.roles.building import build_environments
from zdqn.roles.building_replay import build_broker
from zdqn.wire import block_payload, codec

GOAL = Goal(1.2 * IMAGE.frame_bytes, at_most=True)

_EPISODE_STEPS = 500
_CAPACITY = 50_000
_BLOCKS = 100
_QUICK_BLOCKS = 10


class NoisyFrames(gymnasium.Env[NDArray[np.uint8], np.int64]):
    """Shows one 84x84 frame of noise after another, in episodes of 500 steps."""

    observation_space = gymnasium.spaces.Box(0, 255, IMAGE.observation_shape, np.uint8)
    action_space: gymnasium.spaces.Space[np.int64] = gymnasium.spaces.Discrete(IMAGE.num_actions)

    def __init__(self) -> None:
        self._steps = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.uint8], dict[str, Any]]:
        """Begin an episode."""
        super().reset(seed=seed)
        self._steps = 0
        return self._frame(), {}

    def step(self, action: np.int64) -> tuple[NDArray[np.uint8], float, bool, bool, dict[str, Any]]:
        """Show the next frame."""
        self._steps += 1
        return self._frame(), 0.0, self._steps == _EPISODE_STEPS, False, {}

    def _frame(self) -> NDArray[np.uint8]:
        return self.np_random.integers(0, 256, IMAGE.observation_shape, np.uint8)


def measure(effort: Effort, say: Say) -> Result:
    """Collect with four frames stacked and three-step returns, and count bytes.

    Args:
        effort: only `quick` matters: nothing here depends on time.
        say: told what is going on.
    """
    say("frames: collecting")
    result = Result()
    blocks = _QUICK_BLOCKS if effort.quick else _BLOCKS
    sizes = (32,) if effort.quick else (32, 64, 128)
    for transitions in sizes:
        result.add(*_measure_blocks(transitions, blocks, GOAL if transitions == 32 else None))
    return result


def _measure_blocks(block_transitions: int, blocks: int, goal: Goal | None) -> list[Figure]:
    config = seed_config(
        "environment.max_episode_steps=1000",
        "environment.frame_stack=4",
        "algorithm.n_step=3",
        f"replay.capacity={_CAPACITY}",
        "replay.min_size=1",
        f"collector.block_transitions={block_transitions}",
    )
    spec, messages = _collect(config, blocks)
    broker = build_broker(config, session=1)
    broker.store.make_room(spec)
    for message in messages:
        broker.intake.insert(message)
    wire_bytes = sum(map(len, messages)) / broker.store.limiter.inserts
    block = block_payload.read_block(codec.decode(messages[-1]), spec)
    while broker.store.limiter.inserts < 1.5 * _CAPACITY:  # what a full ring really holds
        broker.store.insert(block)
    ram_bytes = broker.store.nbytes / broker.store.size
    bound = (float(spec.frame_bytes),)
    name = f"frames.blocks_of_{block_transitions}"
    return [
        Figure(f"{name}.wire", "bytes/transition", (wire_bytes,), bound, goal),
        Figure(f"{name}.ram", "bytes/transition", (ram_bytes,), bound, goal),
    ]


def _collect(config: Config, blocks: int) -> tuple[EnvironmentSpec, list[bytes]]:
    """Collect as a collector does, and give its messages."""
    environments, spec = build_environments(config, NoisyFrames, count=1, vectorization="sync")
    rollout = Rollout(
        environments,
        spec,
        n_step=config.algorithm.n_step,
        discount=config.algorithm.discount,
        block_transitions=config.collector.block_transitions,
        seed=0,
        label="bench",
    )
    writer = Writer(spec)
    messages: list[bytes] = []
    while len(messages) < blocks:
        while not rollout.full:
            rollout.step(np.zeros(1, np.int64), 0)
        block = rollout.take_block()
        if block is not None:
            messages += writer.write(block, 1)
    rollout.close()
    return spec, messages
