"""A number for each row of an array, by which a row that was torn, changed or swapped shows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from zdqn.rl.replay_arrays import Allocator

_WORDS = (np.uint64, np.uint32, np.uint16, np.uint8)
_STEP = 0x9E3779B97F4A7C15
_SALT = np.uint64(0xD6E8FEB86659FD93)


class RowChecks:
    """The checks of the rows of one array, in another array beside it.

    A row is read as unsigned words x. Its check is `sum(w * x) + salt * s`, modulo 2^64, with fixed
    odd factors w that look random, and a salt that says which row it is meant to be: of another
    row, however sound, the check does not agree. Two different rows have the same check with a
    chance of about 2^-32 or less. It is no defence against somebody who means harm.

    Args:
        name: of the array to make.
        rows: how many.
        row_bytes: of the array that is checked, >= 1.
        allocate: makes the array.

    Reference:
        Multilinear hashing: Lemire and Kaser 2014, arXiv:1202.4961.
    """

    def __init__(self, name: str, rows: int, row_bytes: int, allocate: Allocator) -> None:
        self._word = next(w for w in _WORDS if row_bytes % np.dtype(w).itemsize == 0)
        self._factors = _factors(row_bytes // np.dtype(self._word).itemsize)
        self._checks = allocate(name, (rows,), np.dtype(np.uint64))

    @property
    def nbytes(self) -> int:
        """Bytes of the array."""
        return self._checks.nbytes

    def write(self, slots: slice, rows: NDArray[Any], salts: NDArray[np.uint64]) -> None:
        """Keep the checks of neighbouring rows.

        Args:
            slots: their places.
            rows: what was written there, C-contiguous, R of them.
            salts: which rows these are meant to be, shape (R,).
        """
        self._checks[slots] = self._compute(rows, salts)

    def agree(
        self, slots: slice, rows: NDArray[Any], salts: NDArray[np.uint64]
    ) -> NDArray[np.bool_]:
        """Say of neighbouring rows whether they are what was written, and where it was meant.

        Args:
            slots: their places.
            rows: what is there now, C-contiguous, R of them.
            salts: which rows they should be, shape (R,).

        Returns:
            One for each row, shape (R,).
        """
        agree: NDArray[np.bool_] = self._checks[slots] == self._compute(rows, salts)
        return agree

    def _compute(self, rows: NDArray[Any], salts: NDArray[np.uint64]) -> NDArray[np.uint64]:
        words: NDArray[Any] = rows.reshape(len(rows), -1).view(self._word)
        sums: NDArray[np.uint64] = np.einsum("ij,j->i", words, self._factors)
        sums += (salts + np.uint64(1)) * _SALT  # + 1: rows of zeros that nobody wrote do not agree
        return sums


def _factors(count: int) -> NDArray[np.uint64]:
    """Make odd numbers that are the same for ever (SplitMix64), as files outlive versions."""
    z = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(_STEP)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (z ^ (z >> np.uint64(31))) | np.uint64(1)
