"""Why no transitions come, in words that name somebody; and when to wait no longer."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from zdqn.errors import PeerUnavailableError
from zdqn.wire.status import STANDSTILL_S, CollectorStatistics

_MOST_NAMED = 3


def describe_collectors(collectors: Sequence[tuple[str, CollectorStatistics]]) -> str:
    """Say who could send transitions, and who of them makes none.

    Args:
        collectors: name and last statistics of each living one.

    Returns:
        Such as ``1 collector is alive; collector-0 is stalled, with no step for 43 s: a step or
        reset of its environment has not come back``.
    """
    if not collectors:
        return "no collector is alive"
    count = len(collectors)
    alive = "1 collector is alive" if count == 1 else f"{count} collectors are alive"
    still = [
        f"{name} is stalled, with no step for {told.idle_s:.0f} s"
        for name, told in collectors
        if told.idle_s >= STANDSTILL_S
    ]
    if not still:
        return alive
    more = len(still) - _MOST_NAMED
    named = ", ".join(still[:_MOST_NAMED]) + (f", and {more} more likewise" if more > 0 else "")
    return f"{alive}; {named}: a step or reset of its environment has not come back"


class MissingData:
    """Says what the learner waits for, and gives up when nothing has come for too long.

    Args:
        give_up_after_s: seconds; 0 waits for ever.
        collectors: gives name and last statistics of each living one.
        say: told what is waited for.
        clock: gives seconds that only ever grow.
    """

    def __init__(
        self,
        give_up_after_s: float,
        *,
        collectors: Callable[[], Sequence[tuple[str, CollectorStatistics]]],
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._give_up_after_s = give_up_after_s
        self._collectors = collectors
        self._say = say
        self._clock = clock
        self._came: int | None = None
        self._came_s = 0.0

    def wait_for(self, what: str, came: int) -> None:
        """Take note that something is waited for.

        Args:
            what: such as "the memory to answer".
            came: transitions that have come so far.

        Raises:
            PeerUnavailableError: when none has come for too long.
        """
        now_s = self._clock()
        if came != self._came:
            self._came, self._came_s = came, now_s
        who = describe_collectors(self._collectors())
        self._say(f"{what}; {who}")
        waited_s = now_s - self._came_s
        if self._give_up_after_s and waited_s >= self._give_up_after_s:
            raise PeerUnavailableError(
                f"No transition has come for {waited_s:.0f} s (learner.give_up_after_s); {who}. "
                f"Start collectors, or see why they make no steps; --resume goes on from here."
            )
