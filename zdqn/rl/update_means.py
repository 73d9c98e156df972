"""What updates saw, as means over many of them: one update of a small batch says little."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

    from zdqn.rl.update_rule import Update

_ADDED_AT_ONCE = 64


class MeanUpdate(NamedTuple):
    """Means over updates; None where there is no number.

    Attributes:
        loss: of the losses.
        td_error_mean: of all priorities, which are absolute TD errors.
        q_mean: of the objective's metric of this name; None if it has none.
        gradient_norm: of the norms before clipping.
    """

    loss: float | None = None
    td_error_mean: float | None = None
    q_mean: float | None = None
    gradient_norm: float | None = None


class UpdateMeans:
    """Adds up what updates saw, on their device, many at a time.

    Nothing is read before `take`: an update does not wait for the one before it. Adding up 64 at a
    time makes a few calls of 250, and no more than 64 updates are kept.
    """

    def __init__(self) -> None:
        self._waiting: list[Update] = []
        self._sums: Tensor | None = None
        self._count = 0
        self._taken = MeanUpdate()

    def add(self, updates: Sequence[Update]) -> None:
        """Take note of updates; all have batches of one size and metrics of the same names."""
        from zdqn.rl.update_rule import Updates  # here, as only who has updates needs torch

        parts = updates.parts if isinstance(updates, Updates) else updates
        if self._waiting and parts and self._waiting[0].loss.ndim != parts[0].loss.ndim:
            self._add_up()  # those of a call that made many lie otherwise
        self._waiting += parts
        if len(self._waiting) >= _ADDED_AT_ONCE:
            self._add_up()

    def take(self) -> MeanUpdate:
        """Give the means over the updates since the last call; what it gave, if there were none.

        Reading them may wait for the device. One number that is not finite leaves no mean.
        """
        if self._waiting:
            self._add_up()
        if self._sums is None:
            return self._taken
        loss, norm, td_error, *q = (self._sums / self._count).tolist()
        self._sums, self._count = None, 0
        numbers = (_finite(loss), _finite(td_error), _finite(q[0]) if q else None, _finite(norm))
        self._taken = MeanUpdate(*numbers)
        return self._taken

    def _add_up(self) -> None:
        import torch  # here, as who only keeps records of others' updates needs none

        waiting, self._waiting = self._waiting, []
        columns = [
            [update.loss for update in waiting],
            [update.gradient_norm for update in waiting],
            [update.priorities for update in waiting],
            [q for update in waiting if (q := update.metrics.get("q_mean")) is not None],
        ]
        with torch.no_grad():
            # One number for an update, or several of a call that made many.
            together = [
                torch.cat(column) if column[0].ndim else torch.stack(column)
                for column in columns
                if column
            ]
            count = len(together[0])
            # Wide means: of a float32's 7 digits the sum of 100,000 updates would leave 2.
            sums = torch.stack([each.mean(dtype=torch.float64) for each in together]) * count
            self._sums = sums if self._sums is None else self._sums + sums
        self._count += count


def _finite(number: float) -> float | None:
    return number if abs(number) < float("inf") else None  # NaN is not smaller either
