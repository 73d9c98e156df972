"""Blocks that are sent until they are acknowledged: which of them a memory may store now.

Between a collector that sends again and a memory that dies, a block may come twice, or before one
that was lost on the way. Each session is stored in order, from the first block that is missing.
"""

from __future__ import annotations

from collections.abc import Iterable

from zdqn.core.block_counts import BlockCounts, Counts
from zdqn.core.ledger import Ledger
from zdqn.wire.memory_messages import BlockHeader

_MOST_SESSIONS = 10_000
"""Of those that are not in the ledger; of more, those heard of longest ago are forgotten."""
_MOST_GONE = 100_000
"""Blocks that one session can have lost with an earlier end of the memory that came back."""


class BlockOrder:
    """Knows the next block of every session.

    Args:
        ledger: of the blocks that came.
        counts: bounds what sessions can have sent.

    Attributes:
        early: blocks dropped because one before them is missing; they come again.
    """

    def __init__(self, ledger: Ledger, counts: BlockCounts) -> None:
        self._ledger = ledger
        self._counts = counts
        self._begins: dict[int, int] = {}  # of sessions of which no block was stored
        self._came_back: set[int] = set()
        self._early_of: dict[int, int] = {}
        self.early = 0

    def next_of(self, session: int) -> int:
        """Give the number of the first block of a session that is missing."""
        account = self._ledger.accounts.get(session)
        return self._begins.get(session, 0) if account is None else account.heard

    def early_of(self, session: int) -> int:
        """Count the blocks of a session that came too early; rises, and may begin anew."""
        return self._early_of.get(session, 0)

    def take(self, session: int, sequence: int) -> bool:
        """Say whether a block is the next of its session; one that is not is dropped, and counted.

        Args:
            session: of the collector.
            sequence: number of the block.
        """
        missing = self.next_of(session)
        if sequence < missing:
            self._ledger.duplicated += 1
        elif sequence > missing:
            self.early += 1
            _keep(self._early_of, session, self.early_of(session) + 1)
        return sequence == missing

    def follow(self, headers: Iterable[BlockHeader]) -> dict[int, Counts] | None:
        """Say what sessions have counted with some blocks; None if not all of them may be stored.

        Args:
            headers: of the blocks, in the order in which they came.

        Raises:
            ProtocolError: when one counts what it cannot have counted.
        """
        counted: dict[int, Counts] = {}
        following: dict[int, int] = {}
        for header in headers:
            session, sequence = header.session, header.sequence
            if header.acked:
                missing = following.get(session)
                if sequence != (self.next_of(session) if missing is None else missing):
                    return None
                following[session] = sequence + 1
            counts = self._counts.follow(header, counted.get(session))
            if counts is None:
                return None  # it came before
            counted[session] = counts
        return counted

    def pass_over(self, session: int, sequence: int) -> None:
        """Go on behind a block that came and was refused, so that it does not come again."""
        if not self._ledger.pass_over(session, sequence):
            _keep(self._begins, session, sequence + 1)

    def begin_at(self, session: int, oldest: int) -> int:
        """Wait for no block that its collector has no more.

        An earlier memory had those, or this one before it died, as far as they are not among what
        it came back with. These are lost; what nobody can have sent is not counted.

        Args:
            session: of the collector.
            oldest: number of the first block that it still keeps.

        Returns:
            How many blocks are lost.
        """
        missing = self.next_of(session)
        if session in self._came_back:
            believed = self.believed_sent(session, oldest)
            self._came_back.discard(session)
        else:
            believed = self._counts.believed_sent(session, oldest)
        if oldest <= missing:
            return 0
        if oldest <= believed and session in self._ledger.accounts:
            self._counts.forget(session)
            return self._ledger.skip(session, oldest)
        self._ledger.forget(session)
        _keep(self._begins, session, oldest)
        return 0

    def believed_sent(self, session: int, blocks_sent: int) -> int:
        """Say how many blocks a session can have sent that an earlier start has heard of.

        Args:
            session: of the collector.
            blocks_sent: what it said.
        """
        if session not in self._came_back:
            return blocks_sent
        return min(blocks_sent, self.next_of(session) + _MOST_GONE)

    def come_back(self, sessions: Iterable[int]) -> None:
        """Take note of sessions of which an earlier start may have had more than is there."""
        self._came_back = set(sessions)


def _keep(numbers: dict[int, int], session: int, number: int) -> None:
    numbers.pop(session, None)
    numbers[session] = number
    while len(numbers) > _MOST_SESSIONS:
        del numbers[next(iter(numbers))]
