"""Proportional prioritization: from TD errors to priorities, and from priorities to draws."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zdqn.errors import UsageError
from zdqn.rl.replay_arrays import Allocator, allocate_in_ram
from zdqn.rl.sum_tree import SumTree


class Priorities:
    """Priorities of the slots of a ring, and draws in proportion to them.

    A slot whose item has the TD error e is drawn with a chance in proportion to
    `(|e| + epsilon) ^ exponent`.

    Args:
        capacity: slots, >= 1. All start empty: they are never drawn.
        exponent: how much priorities matter (alpha), >= 0; 0 draws uniformly.
        epsilon: added to each absolute TD error so that none has chance 0, >= 0.
        allocate: makes the array of `SumTree`.

    Attributes:
        exponent: as given; what lies in the array was raised to it.
        highest: the highest priority seen so far, before the exponent; it never falls. With the
            array, all of its state.

    Reference:
        Schaul et al. 2016, arXiv:1511.05952, section 3.3, equation 1, and appendix B.2.1.
    """

    def __init__(
        self,
        capacity: int,
        *,
        exponent: float,
        epsilon: float,
        allocate: Allocator = allocate_in_ram,
    ) -> None:
        self.highest = 1.0
        self.exponent = exponent
        self._epsilon = epsilon
        self._tree = SumTree(capacity, allocate)

    @property
    def total(self) -> float:
        """Sum of all priorities, after the exponent; 0.0 if there is nothing to draw."""
        return self._tree.total

    @property
    def nbytes(self) -> int:
        """Bytes of the array."""
        return self._tree.nbytes

    def of_new(self, estimates: NDArray[np.float32]) -> NDArray[np.float64]:
        """Give what new items are to be filled in with.

        Args:
            estimates: their own absolute TD errors, shape (T,); negative for none, which makes it
                `highest`, so that each is likely to be drawn soon.

        Returns:
            Priorities after the exponent, shape (T,).

        Raises:
            UsageError: if one is NaN or infinite; nothing has changed then.
        """
        errors = estimates.astype(np.float64)
        priorities = np.where(errors < 0.0, self.highest, errors + self._epsilon)
        highest = float(priorities.max())
        if not highest < math.inf:
            raise UsageError(
                f"a new transition has the priority {highest}: it must be finite, or negative if "
                "its collector makes no estimate."
            )
        self.highest = max(self.highest, highest)
        leaves: NDArray[np.float64] = priorities**self.exponent
        return leaves

    def fill(self, start: int, priorities: NDArray[np.float64]) -> None:
        """Give neighbouring slots, from `start` on, what `of_new` has given."""
        self._tree.set_range(start, priorities)

    def empty(self, start: int, count: int) -> None:
        """Let neighbouring slots, from `start` on, be drawn no more."""
        self._tree.set_range(start, np.zeros(count))

    def raise_up(
        self, priorities: NDArray[np.floating], keys: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Add the offset that leaves no chance at 0; `update` takes what this gives.

        Args:
            priorities: how much there is to learn from each item, for Q-learning its TD error,
                shape (B,), B >= 1, of any sign.
            keys: the items, shape (B,), for the message.

        Returns:
            Their sizes with the offset, before the exponent, shape (B,), float64.

        Raises:
            UsageError: if a priority is NaN or infinite.
        """
        raised: NDArray[np.float64] = np.abs(priorities, dtype=np.float64) + self._epsilon
        if not raised.max() < math.inf:
            wrong = int(np.flatnonzero(~np.isfinite(raised))[0])
            raise UsageError(
                f"the priority {priorities[wrong]} of item {keys[wrong]} (number {wrong} of "
                f"{len(keys)}) is refused: it must be finite. Training has diverged; "
                "a smaller learning rate or gradient clipping may help."
            )
        return raised

    def update(self, slots: NDArray[np.int64], priorities: NDArray[np.float64]) -> None:
        """Give slots what `raise_up` has given; of a slot that occurs twice, the last one stays.

        Args:
            slots: shape (B,), B >= 1.
            priorities: shape (B,), before the exponent.
        """
        self._tree.set(slots, priorities**self.exponent)
        self.highest = max(self.highest, float(priorities.max()))

    def draw(
        self,
        batch_size: int,
        batches: int,
        rng: np.random.Generator,
        probabilities: NDArray[np.float64],
    ) -> NDArray[np.int64]:
        """Draw slots, with replacement; `total` must not be 0.

        The sum of all priorities is cut into `batches * batch_size` equal strata, and one slot
        drawn from each. Of `batches` neighbouring strata each batch gets one, by lot: so each batch
        is stratified too. Dealt in turn, neighbouring strata, often the same slot, would always go
        to neighbouring batches, and those be half the same.

        Args:
            batch_size: slots of a batch, >= 1.
            batches: batches to draw, >= 1.
            rng: source of the draws.
            probabilities: where to write each one's chance, shape (batches * batch_size,).

        Returns:
            Slots, shape (batches * batch_size,), one batch after the other.
        """
        count = batch_size * batches
        strata = np.arange(count) + rng.random(count)
        total = self._tree.total
        slots = self._tree.find_ascending(strata * (total / count))
        if batches > 1:
            slots = rng.permuted(slots.reshape(batch_size, batches), axis=1).T.ravel()
        np.divide(self._tree.get(slots), total, out=probabilities)
        return slots

    def state_dict(self) -> dict[str, Any]:
        """Give all that the array does not hold; see `zdqn.rl.replay_arrays`."""
        return {"highest": self.highest}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where `state_dict` was taken."""
        self.highest = state["highest"]

    def repair(self, alive: NDArray[np.bool_]) -> None:
        """Make the array one that can be drawn from, whatever is in it.

        Priorities that are too high, or none at all, become `highest`; so do zeros, which an item
        has whose priority was never written. Sums are made anew, which alters none that was right.

        Args:
            alive: which slots hold an item, shape (capacity,); the others are emptied.
        """
        leaves = self._tree.leaves()
        highest = self.highest**self.exponent
        sound = (leaves > 0.0) & (leaves <= highest * (1 + 1e-9))  # powers are rounded
        self._tree.fill(np.where(alive, np.where(sound, leaves, highest), 0.0))

    def check_valid(self, empty: NDArray[np.int64]) -> None:
        """Check the tree, and that these slots cannot be drawn; for tests."""
        self._tree.check_valid()
        assert not self._tree.get(empty).any(), "an evicted transition can still be drawn"
