"""A binary tree of sums: draw a leaf with a chance in proportion to its value, in O(log n)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zdqn.errors import UsageError
from zdqn.rl.replay_arrays import Allocator, allocate_in_ram

_MANY = 2048
"""Numbers from which on `SumTree.find_ascending` does not begin at the root."""
_FOUND_A_NODE = 8
"""Of them, for each node of the row in which it begins; measured."""


class SumTree:
    """Values of `capacity` leaves and the sums over them, in one float64 array.

    Node 1 is the root and node i has the children 2i and 2i + 1. The leaves are the last row,
    padded with zeros to a power of two, so that all of them are equally deep. Each sum is always
    made anew from its two children, hence rounding errors do not add up over time.

    Args:
        capacity: number of leaves, >= 1. All start at zero.
        allocate: makes the array, ``sum_tree``, which is all of its state.

    Reference:
        Schaul et al. 2016, arXiv:1511.05952, appendix B.2.1.
    """

    def __init__(self, capacity: int, allocate: Allocator = allocate_in_ram) -> None:
        self.capacity = capacity
        self._depth = (capacity - 1).bit_length()
        self._first_leaf = 1 << self._depth
        self._nodes = allocate("sum_tree", (2 * self._first_leaf,), np.dtype(np.float64))
        self._scalars = self._nodes.data  # reads one number several times faster

    @property
    def total(self) -> float:
        """The sum of all leaves."""
        return float(self._scalars[1])

    @property
    def nbytes(self) -> int:
        """Bytes of the array."""
        return self._nodes.nbytes

    def get(self, indices: ArrayLike) -> NDArray[np.float64]:
        """Give the values of some leaves.

        Args:
            indices: leaves, any shape, each in [0, capacity).

        Returns:
            Their values, the same shape, float64.
        """
        values: NDArray[np.float64] = self._nodes[self._leaf_nodes(indices)]
        return values

    def set(self, indices: ArrayLike, values: ArrayLike) -> None:
        """Set the values of some leaves; of an index that occurs twice, the last value stays.

        Args:
            indices: leaves, shape (B,), each in [0, capacity).
            values: shape (B,), finite and >= 0.

        Raises:
            UsageError: if a value is NaN, infinite or negative, or an index is out of range;
                nothing has changed then.
        """
        nodes = self._leaf_nodes(indices)
        if len(nodes) == 0:
            return
        numbers = np.asarray(values, np.float64)
        _check_values(numbers, nodes - self._first_leaf)
        self._nodes[nodes] = numbers
        pairs = self._nodes.reshape(-1, 2)
        # A row that has few nodes for each leaf set is added up as a whole: neighbours are quicker
        # read than looked up. It makes the sums of the other nodes anew too, from what they were.
        whole = min(self._depth, (4 * len(nodes)).bit_length() - 1)
        for _ in range(self._depth - whole):
            # Two nodes with one parent compute the same sum twice: cheaper than np.unique.
            nodes >>= 1
            children = pairs.take(nodes, axis=0)
            self._nodes[nodes] = children[:, 0] + children[:, 1]
        left, right = pairs[:, 0], pairs[:, 1]
        end = 1 << whole
        while end > 1:
            first = end >> 1
            np.add(left[first:end], right[first:end], out=self._nodes[first:end])
            end = first

    def set_range(self, start: int, values: ArrayLike) -> None:
        """Set the values of neighbouring leaves; much faster than `set` with their indices.

        Args:
            start: the first leaf; the last is `start + len(values) - 1` < capacity.
            values: shape (B,), finite and >= 0.

        Raises:
            UsageError: if a value is NaN, infinite or negative, or the range leaves the tree;
                nothing has changed then.
        """
        numbers = np.asarray(values, np.float64)
        count = len(numbers)
        if count == 0:
            return
        if start < 0 or start + count > self.capacity:
            raise UsageError(
                f"leaves {start} to {start + count - 1} are not all in a sum tree of capacity "
                f"{self.capacity}; indices start at 0."
            )
        _check_values(numbers, range(start, start + count))
        first = self._first_leaf + start
        last = first + count - 1
        self._nodes[first : last + 1] = numbers
        while first < last:
            first, last = first >> 1, last >> 1
            children = self._nodes[2 * first : 2 * last + 2]
            np.add(children[::2], children[1::2], out=self._nodes[first : last + 1])
        scalars = self._scalars
        while first > 1:
            first >>= 1
            scalars[first] = scalars[2 * first] + scalars[2 * first + 1]

    def leaves(self) -> NDArray[np.float64]:
        """Give a copy of all values, shape (capacity,)."""
        return self._nodes[self._first_leaf : self._first_leaf + self.capacity].copy()

    def fill(self, values: NDArray[np.float64]) -> None:
        """Set the values of all leaves, shape (capacity,), whatever the array holds."""
        self._nodes.fill(0.0)
        self.set_range(0, values)

    def find(self, cumulative: ArrayLike) -> NDArray[np.int64]:
        """Find the leaves at which the running sum of the values first exceeds some numbers.

        Args:
            cumulative: numbers in [0, total), shape (B,). One at or beyond an end, as rounding may
                make it, finds a leaf near that end.

        Returns:
            Leaves, shape (B,), int64; never one of value zero, unless all are zero.
        """
        rest = np.maximum(cumulative, 0.0, dtype=np.float64)
        return self._descend(np.ones(rest.shape, np.int64), rest, self._depth)

    def find_ascending(self, cumulative: NDArray[np.float64]) -> NDArray[np.int64]:
        """Find the same as `find`, up to a rounding error, where the numbers never fall.

        Quicker for thousands: where they lie in a row of the middle is one search for all, and no
        row above it is looked at.

        Args:
            cumulative: numbers >= 0 in ascending order, shape (B,).

        Returns:
            Leaves, shape (B,), int64; never one of value zero, unless all are zero.
        """
        count = len(cumulative)
        row = min(self._depth, (count // _FOUND_A_NODE).bit_length() - 1)
        if count < _MANY or self.total == 0.0:
            return self.find(cumulative)
        sums = self._nodes[1 << row : 2 << row]
        filled = np.flatnonzero(sums)  # no number, however rounded, leads into an empty node
        ends = np.cumsum(sums[filled])
        firsts = cumulative.searchsorted(ends[:-1])
        counts = np.diff(firsts, prepend=0, append=count)
        begins = np.concatenate(([0.0], ends[:-1]))
        return self._descend(
            np.repeat(filled + (1 << row), counts),
            cumulative - np.repeat(begins, counts),
            self._depth - row,
        )

    def _descend(
        self, nodes: NDArray[np.int64], rest: NDArray[np.float64], rows: int
    ) -> NDArray[np.int64]:
        """Go down to the leaves; `nodes` and `rest`, the numbers within them, are overwritten."""
        pairs = self._nodes.reshape(-1, 2)
        for _ in range(rows):
            children = pairs.take(nodes, axis=0)
            left = children[:, 0]
            # An empty right side can only be reached by a rounding error: stay off it. An empty
            # left side never holds a number >= 0, so the leaf we arrive at is not empty.
            goes_right = (rest >= left) & (children[:, 1] > 0.0)
            rest -= left * goes_right
            nodes += nodes
            nodes += goes_right
        nodes -= self._first_leaf
        return nodes

    def check_valid(self) -> None:
        """Check that every sum is that of its children; for tests."""
        inner = self._nodes[1 : self._first_leaf]
        children = self._nodes[2:].reshape(-1, 2)
        assert np.array_equal(inner, children[:, 0] + children[:, 1]), "a sum is out of date"
        leaves = self._nodes[self._first_leaf :]
        assert (leaves >= 0.0).all(), "a leaf is negative or not a number"
        assert not leaves[self.capacity :].any(), "a leaf beyond the capacity is not zero"

    def _leaf_nodes(self, indices: ArrayLike) -> NDArray[np.int64]:
        leaves = np.asarray(indices, np.int64)
        # Seen as unsigned, a negative index is a huge one: one comparison for both ends.
        if leaves.size and leaves.view(np.uint64).max() >= self.capacity:
            wrong = leaves[(leaves < 0) | (leaves >= self.capacity)][0]
            raise UsageError(
                f"leaf {wrong} is not in a sum tree of capacity {self.capacity}; indices go from 0 "
                f"to {self.capacity - 1}."
            )
        return leaves + self._first_leaf


def _check_values(values: NDArray[np.float64], indices: Sequence[int] | NDArray[np.int64]) -> None:
    if values.min() >= 0.0 and values.max() < math.inf:  # NaN fails the first comparison
        return
    wrong = int(np.flatnonzero(~((values >= 0.0) & (values < math.inf)))[0])
    raise UsageError(
        f"the value {values[wrong]} for leaf {indices[wrong]} of a sum tree is refused: it must be "
        "finite and >= 0. A NaN or infinite TD error usually means that training has diverged."
    )
