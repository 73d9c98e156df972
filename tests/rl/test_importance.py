import numpy as np
import pytest

from zdqn.errors import UsageError
from zdqn.rl.importance import importance_weights


@pytest.mark.parametrize("size", [3, 1000])
@pytest.mark.parametrize("exponent", [0.0, 0.4, 1.0])
def test_the_size_of_the_replay_cancels(size, exponent):
    chances = np.array([0.5, 0.25, 0.01, 0.01])
    raw = np.array([(1 / (size * chance)) ** exponent for chance in chances])
    weights = importance_weights(chances, exponent)
    np.testing.assert_allclose(weights, raw / raw.max(), rtol=1e-6)
    assert weights.dtype == np.float32
    assert weights.shape == (4,)


def test_exponent_zero_and_equal_chances_change_nothing():
    assert importance_weights(np.array([0.9, 1e-9]), 0.0).tolist() == [1.0, 1.0]
    assert importance_weights(np.full(3, 0.2), 1.0).tolist() == [1.0] * 3
    assert importance_weights(np.ones(1), 0.7).tolist() == [1.0]
    assert importance_weights(np.empty(0), 0.7).shape == (0,)


@pytest.mark.parametrize("chance", [0.0, -0.1, float("nan"), float("inf")])
def test_impossible_chances_are_refused(chance):
    with pytest.raises(UsageError, match=rf"number 1 of 2 is {chance}"):
        importance_weights(np.array([0.5, chance]), 0.5)
