"""When learning goes wrong: a loss or priority that is no number ends it, with advice."""

from __future__ import annotations

import math
from typing import SupportsFloat

import numpy as np
from numpy.typing import NDArray

from zdqn.errors import RoleFailedError


class Divergence:
    """Looks at what updates bring.

    Args:
        learning_rate: for the advice.
        max_gradient_norm: for the advice; 0 for no limit.

    Attributes:
        largest_return: magnitude of the largest n-step return to learn from, >= 0.
    """

    def __init__(self, *, learning_rate: float, max_gradient_norm: float) -> None:
        self._learning_rate = learning_rate
        self._max_gradient_norm = max_gradient_norm
        self.largest_return = 0.0

    def saw(self, rewards: NDArray[np.float32]) -> None:
        """Take note of n-step returns to learn from, shape (B,), B >= 1."""
        self.largest_return = max(self.largest_return, float(rewards.max()), -float(rewards.min()))

    def check_priorities(self, priorities: NDArray[np.float32], updates: int) -> None:
        """Refuse to go on with priorities that are no numbers.

        Args:
            priorities: that an update gave, shape (B,).
            updates: made so far, this one included.

        Raises:
            RoleFailedError: if one is NaN or infinite.
        """
        if priorities.max() < math.inf and priorities.min() > -math.inf:  # NaN fails either
            return
        wrong = priorities[~np.isfinite(priorities)]
        raise self._error(
            f"{len(wrong)} of the {len(priorities)} priorities of a batch are no finite "
            f"numbers (the first is {wrong[0]:g})",
            updates,
        )

    def check_loss(self, loss: SupportsFloat, updates: int) -> None:
        """Refuse to go on with a loss that is no number.

        Args:
            loss: of the newest update; reading it may wait for a GPU.
            updates: made so far, this one included.

        Raises:
            RoleFailedError: if it is NaN or infinite.
        """
        value = float(loss)
        if not math.isfinite(value):
            raise self._error(f"the loss is no finite number any more ({value:g})", updates)

    def _error(self, what: str, updates: int) -> RoleFailedError:
        return RoleFailedError(f"Learning diverged: after {updates} updates {what}. {self._advice}")

    @property
    def _advice(self) -> str:
        norm = self._max_gradient_norm
        clipping = f"lower algorithm.max_gradient_norm ({norm:g})"
        if norm == 0:
            clipping = "set algorithm.max_gradient_norm (such as 10)"
        return (
            f"Lower algorithm.learning_rate ({self._learning_rate:g}), {clipping}, and check that "
            f"rewards are not too large: the largest n-step return so far was "
            f"{self.largest_return:g}."
        )
