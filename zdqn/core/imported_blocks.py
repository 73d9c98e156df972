"""From episodes that somebody else has made, elsewhere and earlier, to blocks of transitions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from zdqn.core.accumulator import Accumulator
from zdqn.data import Block, EnvironmentSpec, LoggedEpisode


class ImportedBlocks:
    """Makes of logged steps the transitions that a collector would have made of them.

    They were chosen by no weights of this run (version 0), have no priority of their own, and count
    as nobody's environment steps: neither epsilon nor a limit of the run follows from them.

    ::

        blocks = ImportedBlocks(episodes, spec, n_step=3, discount=0.99, block_transitions=256)
        while blocks.fill():
            send(blocks.take_block())

    Args:
        episodes: of single frames, checked.
        spec: of the environment.
        n_step: rewards in a return, >= 1.
        discount: gamma of one environment step, in [0, 1].
        block_transitions: most transitions in a block, >= 1.
        reward_clip: largest magnitude that a step's reward counts, >= 0; 0 for no limit.

    Attributes:
        environment_steps: 0, for who sends the blocks.
        episodes: 0, likewise.
        steps: taken so far.
        over: whether there are no more.
    """

    environment_steps = 0
    episodes = 0

    def __init__(
        self,
        episodes: Iterable[LoggedEpisode],
        spec: EnvironmentSpec,
        *,
        n_step: int,
        discount: float,
        block_transitions: int,
        reward_clip: float = 0.0,
    ) -> None:
        self._accumulator = Accumulator(
            spec,
            environments=1,
            n_step=n_step,
            discount=discount,
            block_transitions=block_transitions,
            reward_clip=reward_clip,
        )
        self.steps = 0
        self.over = False
        self._full = self._go_through(episodes)

    def fill(self) -> bool:
        """Take steps until a block is full, or there are none; whether anything is to be taken."""
        if not self.full and not self.over:
            self.over = next(self._full, False) is False
        return self.pending > 0

    @property
    def pending(self) -> int:
        """Transitions that are ready and not taken yet."""
        return self._accumulator.pending

    @property
    def full(self) -> bool:
        """Whether a block is to be taken before anything else."""
        return self._accumulator.full

    def take_block(self) -> Block | None:
        """Give ready transitions, as many as a block holds; None if there are none."""
        return self._accumulator.take_block()

    def _go_through(self, episodes: Iterable[LoggedEpisode]) -> Iterator[None]:
        """Take all steps in order, and stop whenever a block is full."""
        accumulator = self._accumulator
        for episode in episodes:
            observations, rewards = episode.observations, episode.rewards.astype(np.float64)
            last = len(episode) - 1
            accumulator.begin(0, observations[0])
            for step, action in enumerate(episode.actions):
                ends = step == last
                accumulator.step(
                    0,
                    action,
                    rewards[step],
                    observations[step + 1],
                    ends and episode.terminated,
                    ends and not episode.terminated,
                    0,
                )
                self.steps += 1
                if accumulator.full:
                    yield
