"""How far a collector may run ahead of the memory: blocks on their way, few by default."""

from __future__ import annotations

from collections.abc import Callable

from zdqn.roles.acting.arrivals_inquiry import ArrivalsInquiry
from zdqn.wire.memory_messages import Arrivals

WAIT_MS = 1_000
SLICE_MS = 100
_MOST = 64
_FREELY = 4
"""Answers in a row, each waited for by an idle collector, after which more may be on their way."""


class Lead:
    """How many blocks may be on their way, by what the memory answers.

    Attributes:
        blocks: that may be on their way now.
    """

    def __init__(self) -> None:
        self._freely = 0
        self.blocks = 1

    def take(self, answer: Arrivals, *, waited: bool) -> None:
        """Take note of an answer, and whether a collector waited for it that had nothing to do."""
        self._freely = self._freely + 1 if waited and not answer.held_back else 0
        if answer.held_back:
            self.blocks = 1
        elif self._freely >= _FREELY:
            self._freely = 0
            self.blocks = min(2 * self.blocks, _MOST)

    def enough(self, sent: int, heard: int) -> int:
        """Give how many blocks must have come until it is worth an answer."""
        half = heard + (self.blocks + 1) // 2
        return max(half, sent - self.blocks + 1)  # fewer may be on their way than before


class BlockWindow:
    """Keeps a collector from sending more than the memory soon reads.

    Queues and kernel buffers between the two hold thousands of small transitions. As long as
    `replay.samples_per_insert` holds collectors back, all of it is full, and what is learned from
    was collected by a policy that is that much older. So the collector asks what has come, and
    sends the next block only when few are on their way: one, while the memory holds it back. Where
    the memory never does, and the collector waits all the same, as on a link with a long way, more
    and more are allowed.

    Args:
        inquiry: asks the memory.

    Attributes:
        heard: blocks that are not on their way any more: they have come, or are lost.
    """

    def __init__(self, inquiry: ArrivalsInquiry) -> None:
        self._inquiry = inquiry
        self._memory: int | None = None
        self._lead = Lead()
        self.heard = 0

    @property
    def blocks(self) -> int:
        """Blocks that may be on their way now."""
        return self._lead.blocks

    def wait(self, sent: int, give_up: Callable[[], bool]) -> bool:
        """Wait until one more block may go.

        Args:
            sent: blocks that went so far.
            give_up: asked every tenth of a second.

        Returns:
            False if `give_up` said so first.

        Raises:
            MismatchError: when the memory refuses to answer.
        """
        self._look(sent, 0)
        while sent - self.heard >= self.blocks:
            self._ask(sent)
            if not self._look(sent, SLICE_MS, waited=True) and give_up():
                return False
        return True

    def note_sent(self, sent: int) -> None:
        """Take note that a block went, and ask for it early enough."""
        if sent - self.heard >= (self.blocks + 1) // 2:
            self._ask(sent)

    def _ask(self, sent: int) -> None:
        self._inquiry.ask(self._lead.enough(sent, self.heard), wait_ms=WAIT_MS)

    def _look(self, sent: int, timeout_ms: float, *, waited: bool = False) -> bool:
        """Take an answer, if there is one."""
        answer = self._inquiry.answer(timeout_ms)
        if answer is None:
            return False
        another = answer.session != self._memory and self._memory is not None
        nothing_comes = answer.heard <= self.heard and not answer.held_back
        self._memory = answer.session
        # what went to a memory that died, or over a connection that broke, never comes
        self.heard = sent if another or nothing_comes else max(self.heard, answer.heard)
        self._lead.take(answer, waited=waited)
        return True
