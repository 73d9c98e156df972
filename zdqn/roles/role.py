"""What every role is: it runs until it is stopped or done, and closes itself."""

from __future__ import annotations

from abc import abstractmethod

from zdqn.closing import Closing


class Role(Closing):
    """Something that runs until it is stopped or done, and must be closed; a context manager."""

    @abstractmethod
    def close(self) -> None:
        """Close what it holds; safe to call twice."""
