"""Counting on when the memory that counts is restarted."""

from __future__ import annotations

from typing import Any

import msgspec

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

    Attributes:
        restarts: how often the memory was replaced by a new one.
    """

    def __init__(self) -> None:
        self._base = dict.fromkeys(_SUMMED, 0)
        self._latest: Progress | None = None
        self.restarts = 0

    def state_dict(self) -> dict[str, Any]:
        """Give all that a later start of the learner must know, as plain values."""
        latest = msgspec.structs.asdict(self._latest) if self._latest is not None else None
        return {"base": dict(self._base), "latest": latest, "restarts": self.restarts}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Count on from where `state_dict` was taken; the memory may be the same, or another."""
        self._base = dict(state["base"])
        self._latest = Progress(**state["latest"]) if state["latest"] is not None else None
        self.restarts = state["restarts"]

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
