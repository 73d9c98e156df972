"""How often each transition is sampled: the arithmetic that holds back the faster side."""

from __future__ import annotations

import math
from typing import Any

from zdqn.errors import ConfigError, MismatchError

_SLACK = 1e-3  # sampled transitions; hides rounding in counts of up to about 1e12


class SamplesPerInsertLimiter:
    """Keep `samples / inserts` near a ratio by holding back whichever side is ahead.

    The first `min_size` inserts only fill the replay. From then on::

        error = (inserts - min_size) * ratio - samples

    is how many samples are owed to the learner. It is kept in `[-window / 2, +window / 2]`:

    - a batch of B may be sampled if that leaves `error - B >= -window / 2`;
    - a block of C transitions is wanted if that leaves `error + C * ratio <= window / 2`.

    Both sides are refused if `window / 2 - C * ratio < error < B - window / 2`. There is no such
    error if and only if `window >= B + C * ratio`, which is hence the smallest window that cannot
    lock both sides. A larger one lets either side pause for longer before the other notices.

    One block may overshoot the upper end: the one with which the replay reaches `min_size`, of
    which the surplus counts (less than `C * ratio`).

    Transitions that were imported fill the replay as any, and count for no `error`: nobody owes
    samples for what was not collected for this run. Where some were, `min_size` stands for all
    that came for free: the first inserts, up to it, and the imported ones.

    Args:
        ratio: wished samples per insert, >= 0; 0 limits neither side, beyond `min_size`.
        min_size: transitions to insert before the first sample, >= 0.
        window: width of the range for `error`, in samples.
        batch_size: B, transitions in a sampled batch, >= 1.
        block_transitions: C, most transitions in an inserted block, >= 1.

    Raises:
        ConfigError: if a number is negative, or the window too small.

    Reference:
        The idea is that of the rate limiters of Reverb: Cassirer et al. 2021, arXiv:2102.04736.
    """

    def __init__(
        self,
        ratio: float,
        *,
        min_size: int,
        window: float,
        batch_size: int,
        block_transitions: int,
    ) -> None:
        _check_not_negative("replay.samples_per_insert", ratio)
        _check_not_negative("replay.min_size", min_size)
        _check_not_negative("replay.samples_per_insert_window", window)
        smallest = self.smallest_window(ratio, batch_size, block_transitions)
        if ratio > 0 and window < smallest - _SLACK:
            raise ConfigError(
                f"replay.samples_per_insert_window = {window} is too small: with batches of "
                f"{batch_size}, blocks of {block_transitions} and {ratio} samples per insert, the "
                "collectors and the learner would wait for each other for ever. The smallest that "
                f"works is {math.ceil(smallest)}; 0 chooses one."
            )
        self.ratio = ratio
        self.min_size = min_size
        self.window = window
        self.inserts = 0
        """Transitions inserted so far."""
        self.samples = 0
        """Transitions sampled so far."""
        self._free = 0
        """Inserts for which no samples are owed: the first `min_size`, and imported ones."""
        self._block_transitions = block_transitions

    @staticmethod
    def smallest_window(ratio: float, batch_size: int, block_transitions: int) -> float:
        """Give the smallest window with which the two sides never wait for each other.

        Args:
            ratio: samples per insert, >= 0.
            batch_size: transitions in a sampled batch, >= 1.
            block_transitions: most transitions in an inserted block, >= 1.

        Returns:
            `batch_size + ratio * block_transitions`, in samples.
        """
        return batch_size + ratio * block_transitions

    @property
    def error(self) -> float:
        """Samples owed to the learner; negative if it is ahead."""
        return self._counted_inserts * self.ratio - self.samples

    @property
    def achieved(self) -> float:
        """Samples per insert so far, without the first `min_size` inserts; 0.0 before those."""
        counted = self._counted_inserts
        return self.samples / counted if counted else 0.0

    def wants_inserts(self) -> bool:
        """Say whether the next block is welcome now."""
        return self.wanted_blocks(1) == 1

    def wanted_blocks(self, most: int) -> int:
        """Say how many blocks are welcome now, however large each of them is.

        Args:
            most: the most to tell, >= 1.

        Returns:
            A number in [0, most].
        """
        if self.ratio == 0:
            return most
        missing = self.min_size - self.inserts
        if missing > 0:
            return min(most, max(1, missing // self._block_transitions))
        room = self.window / 2 + _SLACK - self.error
        return max(0, min(most, math.floor(room / (self._block_transitions * self.ratio))))

    def allowed_batches(self, size: int, batch_size: int, batches: int) -> int:
        """Say how many batches may be sampled now.

        Args:
            size: transitions that the replay holds. A replay that was full enough once may have
                evicted some since; as this is no reason to stop, `inserts` opens the gate too.
            batch_size: transitions in each, >= 1.
            batches: how many are wanted, >= 0.

        Returns:
            A number in [0, batches].
        """
        if size == 0 or max(size, self.inserts) < self.min_size:
            return 0
        if self.ratio == 0:
            return batches
        room = self.error + self.window / 2 + _SLACK
        return max(0, min(batches, math.floor(room / batch_size)))

    def check_batch_size(self, batch_size: int) -> None:
        """Refuse a batch that the window can never let through.

        Raises:
            MismatchError: if `batch_size` is larger than the one that the window was made for.
        """
        smallest = self.smallest_window(self.ratio, batch_size, self._block_transitions)
        if self.ratio > 0 and smallest > self.window + _SLACK:
            raise MismatchError(
                f"batches of {batch_size} do not fit a window of {self.window:g} samples (with "
                f"blocks of {self._block_transitions} and replay.samples_per_insert = "
                f"{self.ratio:g} they need {math.ceil(smallest)}): collectors and learner would "
                "wait for each other for ever. Start memory and learner with the same "
                "configuration."
            )

    def inserted(self, count: int, imported: int = 0) -> None:
        """Count transitions as inserted.

        Args:
            count: all of them.
            imported: how many of them are imported; they count as inserted before the others.
        """
        filling = max(0, self.min_size - self.inserts - imported)
        self._free += imported + min(count - imported, filling)
        self.inserts += count

    def forgive(self, count: int) -> None:
        """Owe no samples for `count` of the transitions that are counted as inserted."""
        self._free = min(self._free + count, self.inserts)

    def sampled(self, count: int) -> None:
        """Count `count` transitions as sampled; a negative one takes back what reached nobody."""
        self.samples += count

    def state_dict(self) -> dict[str, Any]:
        """Give its counts: all that a limiter made alike must know to go on."""
        return {"inserts": self.inserts, "samples": self.samples, "free": self._free}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where `state_dict` was taken."""
        self.inserts, self.samples = state["inserts"], state["samples"]
        self._free = state.get("free", 0)

    @property
    def _counted_inserts(self) -> int:
        return self.inserts - max(self._free, min(self.inserts, self.min_size))


def _check_not_negative(name: str, value: float) -> None:
    if not 0 <= value < math.inf:
        raise ConfigError(f"{name} = {value} is out of range: it must be finite and at least 0.")
