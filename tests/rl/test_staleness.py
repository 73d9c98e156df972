"""The mean age of weights, against a list of all ages."""

import numpy as np
import pytest

from zdqn.data import WeightVersion
from zdqn.rl.staleness import Staleness


def packed(*versions: tuple[int, int]) -> np.ndarray:
    return np.array([WeightVersion(*version).pack() for version in versions], np.int64)


def test_without_a_sample_it_is_0() -> None:
    assert Staleness().mean == 0.0


def test_the_age_is_how_many_versions_lie_between() -> None:
    staleness = Staleness()
    staleness.add(packed((1, 7), (1, 10), (1, 4)), WeightVersion(1, 10))
    assert staleness.mean == 3.0  # of 3, 0 and 6


def test_it_is_the_mean_over_transitions_not_over_calls() -> None:
    staleness = Staleness()
    staleness.add(packed((1, 0)), WeightVersion(1, 8))
    staleness.add(packed((1, 8), (1, 8), (1, 8)), WeightVersion(1, 8))
    assert staleness.mean == 2.0


def test_transitions_of_another_epoch_are_left_out() -> None:
    staleness = Staleness()
    staleness.add(packed((1, 90), (2, 3), (1, 2)), WeightVersion(2, 5))
    assert staleness.mean == 2.0
    staleness.add(packed((1, 90)), WeightVersion(2, 6))
    assert staleness.mean == 2.0
    staleness.add(packed(), WeightVersion(2, 6))
    assert staleness.mean == 2.0


def test_if_all_are_of_another_epoch_it_stays_0() -> None:
    staleness = Staleness()
    staleness.add(packed((1, 3), (3, 1)), WeightVersion(2, 0))
    assert staleness.mean == 0.0


@pytest.mark.parametrize("seed", range(5))
def test_it_agrees_with_a_list_of_all_ages(seed: int) -> None:
    rng = np.random.default_rng(seed)
    staleness, ages = Staleness(), []
    for step in range(1, 50):
        current = WeightVersion(1 + step // 20, step)
        versions = [
            (int(rng.integers(1, current.learner_epoch + 1)), int(rng.integers(0, step + 1)))
            for _ in range(rng.integers(0, 9))
        ]
        staleness.add(packed(*versions), current)
        ages += [step - version for epoch, version in versions if epoch == current.learner_epoch]
        assert staleness.mean == pytest.approx(sum(ages) / len(ages) if ages else 0.0)
