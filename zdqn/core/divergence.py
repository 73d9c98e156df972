"""When learning goes wrong: what is no number ends it, values that cannot be true are warned of."""

from __future__ import annotations

import math
from typing import SupportsFloat

import numpy as np
from numpy.typing import NDArray

from zdqn.errors import RoleFailedError

_MARGIN = 2.0
"""So many times what rewards and discount allow may values be: bootstrapping overestimates."""
_SLACK = 1.0
"""And so much more: a new network's values know nothing of rewards."""
_FAR = 100.0
"""Values that are so many times too large are warned of without a look before."""
_FALLING = 0.9
_FIRST_UPDATES = 100
_EDGE = 0.05
"""Values that are so near to the end of a range, as a share of it, may be more than it can tell."""


class Divergence:
    """Looks at what updates bring.

    Args:
        learning_rate: for the advice.
        max_gradient_norm: for the advice; 0 for no limit.
        discount: gamma, in [0, 1].
        n_step: rewards in a return, >= 1.
        value_range: lowest and highest return that can be told; None for no bounds.

    Attributes:
        largest_return: magnitude of the largest n-step return to learn from, >= 0.
    """

    def __init__(
        self,
        *,
        learning_rate: float,
        max_gradient_norm: float,
        discount: float,
        n_step: int,
        value_range: tuple[float, float] | None = None,
    ) -> None:
        self._learning_rate = learning_rate
        self._max_gradient_norm = max_gradient_norm
        self._discount = discount
        self._n_step = n_step
        self._range = value_range
        self._excess = 0.0
        self._warned = False
        self.largest_return = 0.0

    def saw(self, rewards: NDArray[np.float32]) -> None:
        """Take note of n-step returns to learn from, shape (B,), B >= 1."""
        self.largest_return = max(self.largest_return, float(rewards.max()), -float(rewards.min()))

    def check_priorities(self, priorities: NDArray[np.float32], updates: int) -> None:
        """Refuse to go on with priorities that are no numbers.

        Args:
            priorities: that an update gave, shape (B,), or several, shape (K, B).
            updates: made so far, these included.

        Raises:
            RoleFailedError: if one is NaN or infinite.
        """
        if priorities.max() < math.inf and priorities.min() > -math.inf:  # NaN fails either
            return
        if priorities.ndim > 1:
            for number, row in enumerate(priorities, updates - len(priorities) + 1):
                self.check_priorities(row, number)
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

    def look(
        self,
        *,
        updates: int,
        environment_steps: int,
        q_mean: float | None,
        td_error_mean: float | None,
    ) -> str:
        """Notice values that rewards and discount cannot bring; to be called now and then.

        Those of a new network may be anywhere, but then they fall. Hence they must be too large
        without having fallen since the last look, or by far.

        Args:
            updates: made so far.
            environment_steps: of all collectors so far, >= 0.
            q_mean: mean highest value of a batch; None if the objective gives none.
            td_error_mean: mean absolute TD error of the same; None where priorities are none.

        Returns:
            A warning, the first time; "" otherwise.
        """
        if q_mean is None or self._warned:
            return ""
        allowed = self.largest_value(environment_steps)
        limit = _MARGIN * allowed + _SLACK
        before, self._excess = self._excess, max(abs(q_mean), (td_error_mean or 0) / 2) / limit
        stays = before > 0 and self._excess > max(1, _FALLING * before)
        if not stays and not (self._excess > _FAR and updates >= _FIRST_UPDATES):
            return ""
        self._warned = True
        error = f" and the mean TD error {td_error_mean:.3g}" if td_error_mean is not None else ""
        return (
            f"values have left what rewards and discount allow: after {updates:,} updates q_mean "
            f"is {q_mean:.3g}{error}, but with n-step returns of at most "
            f"{self.largest_return:.3g} and algorithm.discount = {self._discount:g} no "
            f"value is larger than {allowed:.3g}. Learning probably diverges, and goes on. "
            f"{self._advice}"
        )

    def look_at_range(self, *, updates: int, q_mean: float | None) -> str:
        """Notice values that have come to the end of what a distribution can tell.

        Args:
            updates: made so far.
            q_mean: mean highest value of a batch; None if the objective gives none.

        Returns:
            A warning, the first time; "" otherwise.
        """
        if self._range is None or q_mean is None or updates < _FIRST_UPDATES:
            return ""
        low, high = self._range
        edge = _EDGE * (high - low)
        # With no negative returns told apart, values near the low end are those of no reward.
        if q_mean < high - edge and (low >= 0 or q_mean > low + edge):
            return ""
        self._range = None
        return (
            f"values have come to the end of what algorithm.v_min = {low:g} and algorithm.v_max = "
            f"{high:g} can tell: after {updates:,} updates q_mean is {q_mean:.3g}, and every "
            f"return beyond them counts as the nearer one. Set them further apart, unless there is "
            f"none."
        )

    def largest_value(self, environment_steps: int) -> float:
        """Give the largest magnitude that an action's value can have.

        With R the largest n-step return and g = discount^n it is `R (1 - g^m) / (1 - g)`: a value
        is a sum of at most m n-step returns. A time limit is no bound to m: episodes that it cuts
        are bootstrapped.

        Args:
            environment_steps: made so far; no reward is further away than that.
        """
        discount = self._discount**self._n_step
        terms = max(1, math.ceil(environment_steps / self._n_step))
        if discount == 1:
            return self.largest_return * terms
        return float(self.largest_return * (1 - discount**terms) / (1 - discount))

    def _error(self, what: str, updates: int) -> RoleFailedError:
        return RoleFailedError(
            f"Learning diverged: after {updates:,} updates {what}. {self._advice}"
        )

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
