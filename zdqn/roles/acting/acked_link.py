"""A transitions link that loses nothing: blocks go again until the memory has them."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from typing import Protocol

from zdqn.core.kept_blocks import KeptBlocks
from zdqn.roles.acting.arrivals_inquiry import ArrivalsInquiry
from zdqn.roles.acting.block_window import SLICE_MS, WAIT_MS, Lead
from zdqn.wire.memory_messages import Arrivals
from zdqn.wire.quiet_log import QuietLog

logger = logging.getLogger("zdqn.collector")

MOST_BLOCKS = 1_024
MOST_BYTES = 64 * 1024**2
_LOOK_EVERY_S = 0.005
"""To look for an answer, or for a connection that ended, takes as long as to send a block."""
_ASK_EVERY_S = 1.0
_PATIENCE_S = 5.0
_MOST_PATIENCE_S = 60.0
_HELD_BACK = 10
"""As many times is a memory waited for that does not read all the time."""
_LEAST_PAUSE_MS, _MOST_PAUSE_MS = 100, 2_000
"""After a connection that broke before anything came over it; the next may break as soon."""
_SAY_AFTER_S = 10.0


class WatchedSender(Protocol):
    """Carries messages, such as a `zdqn.wire.transition_sockets.TransitionSender`, watched."""

    def send(self, message: bytes, give_up: Callable[[], bool]) -> bool:
        """Send, waiting for room until `give_up`; False if it gave up and sent nothing."""

    def broke(self) -> bool:
        """Whether a connection has ended since this was asked last."""

    def reopen(self) -> None:
        """Forget what was not sent so far, and connect anew."""


class AckedLink:
    """Sends each block until the memory says that it has it: stored, or refused for good.

    It keeps them in a window, and waits when that is full. Blocks go again, from the first that is
    missing on, when a connection has ended or another memory answers; both are asked for what is
    missing before, so that a memory that is not there is sent nothing over and over. It goes over a
    new connection: what still waits in the old one would come twice. A memory that says that one is
    missing before others, or answers and says for long that nothing comes, is sent all again too,
    each time after twice as long as before.

    Args:
        sender: carries messages.
        inquiry: asks the memory.
        paced: whether few may be on their way, as `BlockWindow` has it; else as many as are kept.
        most_blocks: kept at once, >= 1.
        most_bytes: of them.
        clock: seconds that never go back.

    """

    def __init__(
        self,
        sender: WatchedSender,
        inquiry: ArrivalsInquiry,
        *,
        paced: bool,
        most_blocks: int = MOST_BLOCKS,
        most_bytes: int = MOST_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sender = sender
        self._inquiry = inquiry
        self._lead = Lead() if paced else None
        self._clock = clock
        self._complaints = QuietLog(logger, clock=clock)
        self._kept = KeptBlocks(most_blocks, most_bytes)
        self._memory: int | None = None
        self._broken = False
        self._answered_s = self._moved_s = clock()
        self._went_back_s = self._looked_s = -math.inf
        self._patience_s = _PATIENCE_S
        self._pause_ms = 0
        self._held_back = False
        self._waits_since_s: float | None = None

    @property
    def heard(self) -> int:
        """Blocks that are acknowledged."""
        return self._kept.oldest

    @property
    def unacknowledged(self) -> int:
        """Blocks that are kept."""
        return self._kept.end - self._kept.oldest

    @property
    def resent(self) -> int:
        """Blocks that went again, all in all."""
        return self._kept.resent

    @property
    def waits_s(self) -> float:
        """For how long it waits now for acknowledgements; not for a memory that holds it back."""
        since_s = self._waits_since_s
        return 0.0 if since_s is None or self._held_back else self._clock() - since_s

    # --- sending ----------------------------------------------------------------------------------

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
        must_wait = self._must_wait()
        if must_wait or self._clock() - self._looked_s >= _LOOK_EVERY_S:
            self._look(0)
            must_wait = self._must_wait()
        if not must_wait:
            return True
        self._waits_since_s = self._clock()
        given_up = False
        while self._must_wait() and not given_up:
            self._ask()
            given_up = not self._look(SLICE_MS, waited=True) and give_up()
            self._send_kept(give_up)
            self._say()
        self._waits_since_s = None
        return not given_up

    def _must_wait(self) -> bool:
        kept, lead = self._kept, self._lead
        return (
            self._broken
            or kept.full
            or kept.sent < kept.end
            or (lead is not None and kept.end - kept.oldest >= lead.blocks)
        )

    def send(self, message: bytes, give_up: Callable[[], bool]) -> bool:
        """Keep a block, and send it, waiting for room; see `BlockSender`."""
        kept = self._kept
        if kept.oldest == kept.end:
            self._moved_s = self._clock()  # from now on something is missing
        kept.keep(message)
        only_this = not self._broken and kept.sent == kept.end - 1
        if only_this and self._sender.send(message, lambda: give_up() or self._breaks()):
            kept.note_sent()
            return True
        while not self._send_kept(give_up):
            if give_up():
                return not kept.withdraw()
            self._ask()
            self._look(SLICE_MS)
        return True

    def note_sent(self, sent: int) -> None:
        """Take note that a block went, and ask for it early enough."""
        if self._lead is not None:
            many = 2 * self.unacknowledged >= self._lead.blocks
        else:
            many = self._kept.half_full
        if many or self._clock() - self._answered_s >= _ASK_EVERY_S:
            self._ask()

    def finish(self, give_up: Callable[[], bool]) -> int:
        """Wait until everything is acknowledged, and give how many blocks are not.

        Args:
            give_up: asked every tenth of a second.
        """
        while self.unacknowledged and not give_up():
            self._send_kept(give_up)
            self._ask(all_of_them=True)
            self._look(SLICE_MS)
        return self.unacknowledged

    def _send_kept(self, give_up: Callable[[], bool]) -> bool:
        """Send what has not been sent (again); False if that ended early."""
        kept = self._kept

        def over() -> bool:
            return give_up() or self._breaks()

        while (message := kept.to_send()) is not None:
            if self._breaks() or not self._sender.send(message, over):
                return False
            kept.note_sent()
        return True

    # --- what the memory says ---------------------------------------------------------------------

    def _breaks(self) -> bool:
        """Whether a connection has ended and it is not known yet what was lost with it."""
        if self._sender.broke():
            self._broken = True
            self._inquiry.forget()  # what was asked before says nothing of it
        return self._broken

    def _ask(self, *, all_of_them: bool = False) -> None:
        kept = self._kept
        if all_of_them:
            enough = kept.end
        elif self._lead is not None:
            enough = self._lead.enough(kept.end, kept.oldest)
        else:
            enough = kept.oldest + (self.unacknowledged + 1) // 2
        wait_ms = self._pause_ms if self._broken else WAIT_MS
        self._inquiry.ask(min(enough, kept.end), wait_ms=wait_ms, oldest=kept.oldest)

    def _look(self, timeout_ms: float, *, waited: bool = False) -> bool:
        """Take an answer, if there is one."""
        self._looked_s = self._clock()
        if self._breaks():
            self._ask()
        answer = self._inquiry.answer(timeout_ms)
        if answer is None:
            return False
        now_s = self._answered_s = self._clock()
        another = answer.session != self._memory and self._memory is not None
        self._memory, self._held_back = answer.session, answer.held_back
        if self._kept.acknowledge(answer.heard) or not self.unacknowledged:
            self._moved_s, self._patience_s, self._pause_ms = now_s, _PATIENCE_S, 0
        if self._lead is not None:
            self._lead.take(answer, waited=waited)
        if another or self._broken or self._is_stuck(answer, now_s):
            self._go_back(now_s)
        return True

    def _is_stuck(self, answer: Arrivals, now_s: float) -> bool:
        """Whether the first block that the memory misses does not come, though nothing broke.

        A large block may take its time on a narrow link, and a memory that holds collectors back
        not read it; and what was in an old connection may come after what went again, as a gap.
        """
        since_s = self._went_back_s if answer.gap else max(self._moved_s, self._went_back_s)
        patience_s = self._patience_s * (_HELD_BACK if answer.held_back else 1)
        if not self.unacknowledged or now_s - since_s < patience_s:
            return False
        self._patience_s = min(2 * self._patience_s, _MOST_PATIENCE_S)
        return True

    def _go_back(self, now_s: float) -> None:
        self._sender.reopen()
        self._broken = False
        self._went_back_s = now_s
        self._pause_ms = min(max(2 * self._pause_ms, _LEAST_PAUSE_MS), _MOST_PAUSE_MS)
        self._kept.go_back()
        if self.unacknowledged:
            self._complaints.say(
                logging.INFO,
                "again",
                "sending %d blocks to the memory at %s again, from number %d on",
                self.unacknowledged,
                self._inquiry.address,
                self._kept.oldest,
            )

    def _say(self) -> None:
        waited_s = self.waits_s
        if waited_s >= _SAY_AFTER_S:
            self._complaints.say(
                logging.INFO,
                "waits",
                "waiting for the memory at %s to acknowledge %d blocks (%.0f s)",
                self._inquiry.address,
                self.unacknowledged,
                waited_s,
            )
