"""Numbers that change over a run, or from one collector to the next."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zdqn.errors import ConfigError


@dataclass(frozen=True)
class LinearSchedule:
    """A straight line from one value to another, which then stays.

    Attributes:
        initial: value at step 0.
        final: value from step `duration` on.
        duration: steps in between, >= 0; with 0 the value is `final` at once.

    Raises:
        ConfigError: if `duration` is negative.
    """

    initial: float
    final: float
    duration: int

    def __post_init__(self) -> None:
        if self.duration < 0:
            raise ConfigError(
                f"a schedule of duration {self.duration} cannot be: it must be at least 0 "
                "(0 means the final value at once)."
            )

    def __call__(self, step: int) -> float:
        """Give the value after `step` >= 0 steps, of whatever the schedule counts."""
        if step >= self.duration:
            return self.final
        return self.initial + (self.final - self.initial) * (step / self.duration)


def ladder_epsilons(count: int, *, base: float, exponent: float) -> NDArray[np.float64]:
    """Spread exploration over several actors: `base ^ (1 + exponent * i / (count - 1))`.

    Args:
        count: actors, >= 1; one alone gets `base`.
        base: epsilon of the most curious actor, i = 0; in [0, 1].
        exponent: how much more careful the last one is, >= 0; 0 treats all alike.

    Returns:
        Epsilons, shape (count,), float64, falling.

    Raises:
        ConfigError: if there is no actor.

    Reference:
        Horgan et al. 2018, arXiv:1803.00933, section 4.1 (base 0.4, exponent 7).
    """
    if count < 1:
        raise ConfigError(f"{count} actors cannot share a ladder of epsilons: give at least 1.")
    return base ** (1.0 + exponent * np.arange(count) / max(count - 1, 1))
