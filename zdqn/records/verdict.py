"""Who is the bottleneck, in words, from measured waiting times on every side."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, fields

from zdqn.wire.status import CollectorStatistics, MemoryStatistics

_MOSTLY = 0.5
_OFTEN = 0.2
_BUSY = 0.7
"""Share of its time from which the memory counts as the limit; the rest is looking for work."""


@dataclass(frozen=True)
class Times:
    """Seconds, added up since some moment; two of them can be subtracted.

    Attributes:
        wall_s: that have passed for the learner.
        learner_waiting_s: the learner waited for batches.
        memory_inserting_s: the memory stored blocks.
        memory_sampling_s: the memory gathered and sent batches.
        memory_holding_s: the memory held collectors back to keep samples_per_insert.
        collectors_s: all collectors lived, added up.
        collectors_blocked_s: of that, blocked when sending.
        collectors_asking_s: of that, waiting for the model server's actions.
    """

    wall_s: float = 0.0
    learner_waiting_s: float = 0.0
    memory_inserting_s: float = 0.0
    memory_sampling_s: float = 0.0
    memory_holding_s: float = 0.0
    collectors_s: float = 0.0
    collectors_blocked_s: float = 0.0
    collectors_asking_s: float = 0.0

    def since(self, earlier: Times) -> Times:
        """Give what has been added since `earlier`; what was reset counts from zero."""
        differences = {}
        for field in fields(self):
            now, then = getattr(self, field.name), getattr(earlier, field.name)
            differences[field.name] = now - then if now >= then else now
        return Times(**differences)

    def share(self, name: str, of: str = "wall_s") -> float:
        """Give one of the times as a share of another, in [0, 1]."""
        whole = getattr(self, of)
        return min(max(getattr(self, name) / whole, 0.0), 1.0) if whole > 0 else 0.0


def read_times(
    wall_s: float,
    learner_waiting_s: float,
    memory: MemoryStatistics,
    collectors: Sequence[CollectorStatistics],
) -> Times:
    """Put together what each side has measured of itself.

    Args:
        wall_s: since the learner began to train.
        learner_waiting_s: of it, waiting for batches.
        memory: its statistics.
        collectors: theirs.
    """
    return Times(
        wall_s=wall_s,
        learner_waiting_s=learner_waiting_s,
        memory_inserting_s=memory.inserting_s,
        memory_sampling_s=memory.sampling_s,
        memory_holding_s=memory.holding_inserts_back_s,
        collectors_s=sum(collector.collecting_s for collector in collectors),
        collectors_blocked_s=sum(collector.blocked_s for collector in collectors),
        collectors_asking_s=sum(collector.asking_s for collector in collectors),
    )


def name_bottleneck(times: Times) -> str:
    """Say in a sentence which side limits the run, and what the others do meanwhile.

    Args:
        times: measured over a while.

    Returns:
        A sentence that begins with "learner-bound", "memory-bound", "action-bound", "ratio-bound",
        "link-bound" or "collector-bound"; "" when nothing was measured yet.
    """
    if times.wall_s <= 0:
        return ""
    waiting = times.share("learner_waiting_s")
    holding = times.share("memory_holding_s")
    blocked = times.share("collectors_blocked_s", "collectors_s")
    asking = times.share("collectors_asking_s", "collectors_s")
    inserting, sampling = times.share("memory_inserting_s"), times.share("memory_sampling_s")
    busy = min(inserting + sampling, 1.0)
    if waiting < _OFTEN:
        verdict = f"learner-bound: it computes {_percent(1 - waiting)} of the time"
        if holding >= _OFTEN:
            return f"{verdict}; collectors are held back by samples_per_insert"
        return f"{verdict}; collectors run {'free' if blocked < _OFTEN else 'into a full link'}"
    learner = f"the learner waits {_percent(waiting)} of the time"
    if busy >= _BUSY:
        return (
            f"memory-bound: it is busy {_percent(busy)} of the time (storing {_percent(inserting)},"
            f" sampling {_percent(sampling)}); {learner}"
        )
    if asking >= _MOSTLY:
        return (
            f"action-bound: collectors wait {_percent(asking)} of their time for actions of the "
            f"model server; {learner}"
        )
    if blocked >= _MOSTLY and holding >= _OFTEN:
        return (
            f"ratio-bound: collectors are blocked {_percent(blocked)} of their time, as "
            f"samples_per_insert holds them back, and yet {learner}: each waits for the other's "
            f"turn. A larger replay.samples_per_insert_window lets both go further ahead"
        )
    if blocked >= _MOSTLY:
        return (
            f"link-bound: collectors wait {_percent(blocked)} of their time to send, while the "
            f"memory is busy only {_percent(busy)}; {learner}"
        )
    collectors = f"collectors are blocked {_percent(blocked)} of their time"
    return f"collector-bound: {learner} for data; {collectors}"


class BottleneckWatch:
    """Names the bottleneck of the last few looks, and of all of them.

    Args:
        looks: how many it looks back.
    """

    def __init__(self, looks: int) -> None:
        self._began = Times()
        self._recent: deque[Times] = deque([Times()], maxlen=looks)

    def begin(self, times: Times) -> None:
        """Take note of when training begins."""
        self._began = times

    def look(self, times: Times) -> str:
        """Take note of what was measured so far, and name the bottleneck of late."""
        self._recent.append(times)
        return name_bottleneck(times.since(self._recent[0]))

    def overall(self, times: Times) -> str:
        """Name the bottleneck since `begin`."""
        return name_bottleneck(times.since(self._began))


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
