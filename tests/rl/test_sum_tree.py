from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zdqn.errors import UsageError
from zdqn.rl.sum_tree import SumTree

CAPACITIES = (1, 2, 3, 7, 8, 100)


def naive_find(values, cumulative):
    return np.searchsorted(np.cumsum(values), cumulative, side="right")


@given(
    capacity=st.sampled_from(CAPACITIES),
    seed=st.integers(0, 2**32 - 1),
    operations=st.integers(1, 8),
)
def test_it_agrees_with_a_plain_array(capacity, seed, operations):
    rng = np.random.default_rng(seed)
    tree, values = SumTree(capacity), np.zeros(capacity)
    for _ in range(operations):
        # Whole numbers have exact sums in whatever order they are added.
        count = int(rng.integers(0, capacity + 1))
        new = rng.integers(0, 4, count).astype(float)
        if rng.random() < 0.5:
            indices = rng.integers(0, capacity, count)
            tree.set(indices, new)
            for index, value in zip(indices, new, strict=True):
                values[index] = value
        else:
            start = int(rng.integers(0, capacity - count + 1))
            tree.set_range(start, new)
            values[start : start + count] = new
        tree.check_valid()
        assert tree.total == values.sum()
        np.testing.assert_array_equal(tree.get(np.arange(capacity)), values)
        if tree.total > 0:
            cumulative = np.concatenate([rng.random(50) * tree.total, np.arange(tree.total)])
            np.testing.assert_array_equal(tree.find(cumulative), naive_find(values, cumulative))


@given(seed=st.integers(0, 2**32 - 1), capacity=st.sampled_from(CAPACITIES))
def test_it_never_finds_an_empty_leaf(seed, capacity):
    rng = np.random.default_rng(seed)
    values = 10.0 ** rng.uniform(-300, 300, capacity) * (rng.random(capacity) < 0.3)
    values[rng.integers(0, capacity)] = 0.1
    tree = SumTree(capacity)
    tree.set_range(0, values)
    sums = np.cumsum(values)
    edges = np.concatenate([[0.0, -1.0, tree.total, 2 * tree.total], sums])
    edges = np.concatenate([edges, np.nextafter(edges, 0), np.nextafter(edges, np.inf)])
    found = tree.find(np.concatenate([edges, rng.random(100) * tree.total]))
    assert (tree.get(found) > 0).all()


@given(
    capacity=st.sampled_from((*CAPACITIES, 5_000)),
    seed=st.integers(0, 2**32 - 1),
    count=st.sampled_from((0, 1, 2047, 2048, 9_000)),
)
def test_numbers_in_ascending_order_find_the_same(capacity, seed, count):
    rng = np.random.default_rng(seed)
    tree = SumTree(capacity)
    values = rng.integers(0, 4, capacity) * (rng.random(capacity) < rng.random())
    tree.set_range(0, values)  # whole numbers: sums are exact
    cumulative = np.sort(np.floor(rng.random(count) * (2 * tree.total + 2)) / 2)
    np.testing.assert_array_equal(tree.find_ascending(cumulative), tree.find(cumulative))


@given(seed=st.integers(0, 2**32 - 1), capacity=st.sampled_from((*CAPACITIES, 3_000)))
def test_many_ascending_numbers_find_leaves_that_hold_them_and_never_an_empty_one(seed, capacity):
    rng = np.random.default_rng(seed)
    values = 10.0 ** rng.uniform(-8, 8, capacity) * (rng.random(capacity) < 0.3)
    values[rng.integers(0, capacity)] = 0.1
    tree = SumTree(capacity)
    tree.set_range(0, values)
    ends = np.cumsum(values)
    edges = np.concatenate([ends, [tree.total, np.nextafter(tree.total, np.inf), 2 * tree.total]])
    edges = np.concatenate([edges, np.nextafter(edges, 0), rng.random(4_000) * tree.total])
    cumulative = np.sort(edges)
    found = tree.find_ascending(cumulative)
    assert (tree.get(found) > 0).all()
    assert (np.diff(found) >= 0).all()
    error = 1e-14 * tree.total
    within = np.minimum(cumulative, tree.total)
    assert (within >= ends[found] - values[found] - error).all()
    assert (within <= ends[found] + error).all()


@given(seed=st.integers(0, 2**32 - 1), capacity=st.sampled_from((1, 2, 33, 1000)))
def test_however_many_leaves_are_set_each_sum_is_that_of_its_children(seed, capacity):
    rng = np.random.default_rng(seed)
    tree, other = SumTree(capacity), SumTree(capacity)
    for count in (1, 2, 3, 8, 31, 250, 999):
        indices = rng.integers(0, capacity, count)
        values = rng.lognormal(sigma=5, size=count)
        tree.set(indices, values)
        for index, value in zip(indices.tolist(), values.tolist(), strict=True):
            other.set_range(index, [value])
        tree.check_valid()
        assert tree.total == other.total


def test_a_lonely_leaf_is_always_found():
    for index in range(5):
        tree = SumTree(5)
        tree.set([index], [1e-320])
        assert tree.find([0.0, 1e-320, 1.0, -1.0]).tolist() == [index] * 4


def test_the_last_value_of_an_index_stays():
    tree = SumTree(4)
    tree.set([1, 2, 1, 1], [5.0, 1.0, 6.0, 7.0])
    assert tree.get([1, 2]).tolist() == [7.0, 1.0]
    assert tree.total == 8.0


def test_an_empty_tree_and_empty_arguments():
    tree = SumTree(3)
    assert tree.total == 0.0
    tree.set(np.array([], np.int64), [])
    tree.set_range(3, [])
    assert tree.find([]).shape == (0,)
    assert tree.find([0.0]).tolist() == [0]
    assert tree.nbytes == 8 * 8


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0])
def test_it_refuses_what_is_no_weight(value):
    tree = SumTree(5)
    tree.set_range(0, np.ones(5))
    with pytest.raises(UsageError, match=rf"value {value} for leaf 3"):
        tree.set([0, 3], [2.0, value])
    with pytest.raises(UsageError, match=rf"value {value} for leaf 3"):
        tree.set_range(2, [2.0, value])
    assert tree.get(np.arange(5)).tolist() == [1.0] * 5
    tree.check_valid()


@pytest.mark.parametrize("index", [-1, 5, 7, 8, 2**40])
def test_it_refuses_leaves_that_it_does_not_have(index):
    tree = SumTree(5)
    with pytest.raises(UsageError, match=f"leaf {index} is not in"):
        tree.set([0, index], [1.0, 1.0])
    with pytest.raises(UsageError, match=f"leaf {index} is not in"):
        tree.get([index])
    with pytest.raises(UsageError, match="not all in"):
        tree.set_range(index, [1.0])
    assert tree.total == 0.0


def test_errors_do_not_pile_up():
    rng = np.random.default_rng(0)
    tree, values = SumTree(64), np.zeros(64)
    for _ in range(2000):
        indices, new = rng.integers(0, 64, 8), 10.0 ** rng.uniform(-12, 12, 8)
        tree.set(indices, new)
        values[indices] = new
    assert tree.total == pytest.approx(values.sum(), rel=1e-14)
    tree.set_range(0, np.zeros(64))
    assert tree.total == 0.0


def test_all_of_its_state_is_the_array_that_the_allocator_made():
    made: dict[str, Any] = {}

    def allocate(name, shape, dtype):
        return made.setdefault(name, np.zeros(shape, dtype))

    tree = SumTree(5, allocate)
    tree.set([0, 4, 2], [1.0, 2.5, 3.0])
    assert list(made) == ["sum_tree"]
    assert made["sum_tree"].nbytes == tree.nbytes
    other = SumTree(5, allocate)
    other.check_valid()
    assert other.total == 6.5
    other.set_range(4, [0.0])
    assert tree.total == 4.0
    assert tree.find([3.9]).tolist() == other.find([3.9]).tolist() == [2]
