"""Counting on when the memory that counts is restarted."""

from __future__ import annotations

from zdqn.wire.protocol import Progress

_SUMMED = (
    "environment_steps",
    "episodes",
    "transitions",
    "blocks",
    "blocks_lost",
    "blocks_duplicated",
    "blocks_refused",
)


class ProgressTotal:
    """Adds up what all memories of a run have counted.

    Args:
        environment_steps: where to start, from a checkpoint.
        episodes: likewise.
        transitions: likewise.

    Attributes:
        restarts: how often the memory was replaced by a new one.
    """

    def __init__(
        self, *, environment_steps: int = 0, episodes: int = 0, transitions: int = 0
    ) -> None:
        self._base = dict.fromkeys(_SUMMED, 0)
        self._base.update(
            environment_steps=environment_steps, episodes=episodes, transitions=transitions
        )
        self._latest: Progress | None = None
        self.restarts = 0

    def observe(self, progress: Progress) -> bool:
        """Take note of a memory's counters.

        Returns:
            True if they come from another memory than before.
        """
        latest = self._latest
        replaced = latest is not None and latest.session != progress.session
        if latest is not None and replaced:
            self.restarts += 1
            for key in _SUMMED:
                self._base[key] += getattr(latest, key)
        self._latest = progress
        return replaced

    def total(self, key: str) -> int:
        """Give a counter of `Progress`, over all memories."""
        return self._base[key] + (getattr(self._latest, key) if self._latest is not None else 0)

    @property
    def environment_steps(self) -> int:
        """Environment steps of all collectors."""
        return self.total("environment_steps")

    @property
    def episodes(self) -> int:
        """Episodes of all collectors."""
        return self.total("episodes")

    @property
    def transitions(self) -> int:
        """Transitions stored by all memories."""
        return self.total("transitions")
