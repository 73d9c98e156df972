"""Blocks that a collector keeps until a memory says that it has them."""

from __future__ import annotations

from collections import deque


class KeptBlocks:
    """A window over the sequence of a session's blocks: those that may have to be sent again.

    Args:
        most_blocks: kept at once, >= 1.
        most_bytes: of all messages together; a single one may have more.

    Attributes:
        oldest: number of the first that is kept: all before are acknowledged.
        sent: number of the first that is to be sent, or sent again, next.
        resent: blocks that were to be sent again, all in all.
    """

    def __init__(self, most_blocks: int, most_bytes: int) -> None:
        self._most_blocks, self._most_bytes = most_blocks, most_bytes
        self._messages: deque[bytes] = deque()
        self._bytes = 0
        self._reached = 0  # number after the last that was ever sent
        self.oldest = 0
        self.sent = 0
        self.resent = 0

    @property
    def end(self) -> int:
        """Number of the block that is kept next."""
        return self.oldest + len(self._messages)

    @property
    def full(self) -> bool:
        """Whether no other block may be kept."""
        return len(self._messages) >= self._most_blocks or self._bytes >= self._most_bytes

    @property
    def half_full(self) -> bool:
        """Whether it holds half of what it may, or more."""
        return 2 * len(self._messages) >= self._most_blocks or 2 * self._bytes >= self._most_bytes

    def keep(self, message: bytes) -> None:
        """Keep the next block."""
        self._messages.append(message)
        self._bytes += len(message)

    def withdraw(self) -> bool:
        """Forget the block that was kept last, if it was never sent."""
        if self._reached == self.end:
            return False
        self._bytes -= len(self._messages.pop())
        return True

    def to_send(self) -> bytes | None:
        """Give the block that is to be sent now; None if all were."""
        return self._messages[self.sent - self.oldest] if self.sent < self.end else None

    def note_sent(self) -> None:
        """Take note that it went."""
        self.resent += self.sent < self._reached
        self.sent += 1
        self._reached = max(self._reached, self.sent)

    def acknowledge(self, missing: int) -> bool:
        """Forget what the memory has.

        Args:
            missing: number of the first block that it does not have.

        Returns:
            Whether that was anything.
        """
        missing = min(missing, self._reached)
        if missing <= self.oldest:
            return False
        while self.oldest < missing:
            self._bytes -= len(self._messages.popleft())
            self.oldest += 1
        self.sent = max(self.sent, self.oldest)
        return True

    def go_back(self) -> None:
        """Send all that is kept again."""
        self.sent = self.oldest
