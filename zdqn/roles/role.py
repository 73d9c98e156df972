"""What every role is: it runs until it is stopped or done, and closes itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Role(ABC):
    """Something that runs until it is stopped or done, and must be closed; a context manager."""

    @abstractmethod
    def close(self) -> None:
        """Close what it holds; safe to call twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
