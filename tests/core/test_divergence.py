"""What is no number ends learning, with the update, what it was, and the way out."""

import math

import numpy as np
import pytest
import torch

from zdqn.core.divergence import Divergence
from zdqn.errors import RoleFailedError


def make(learning_rate: float = 0.25, max_gradient_norm: float = 0.0) -> Divergence:
    return Divergence(learning_rate=learning_rate, max_gradient_norm=max_gradient_norm)


@pytest.mark.parametrize("loss", [0.0, 1e30])
def test_a_finite_loss_is_one(loss: float) -> None:
    make().check_loss(loss, 7)


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_none_is_refused_with_the_learning_rate(loss: float) -> None:
    with pytest.raises(RoleFailedError, match=r"after 7 updates.*loss.*learning_rate \(0\.25\)"):
        make().check_loss(torch.tensor(loss), 7)


@pytest.mark.parametrize("largest", [0.0, 3.0, 3e38])
def test_finite_priorities_are_some_however_large(largest: float) -> None:
    make().check_priorities(np.array([0.0, largest, -largest], np.float32), 7)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("others", [0.0, 3e38])
def test_a_priority_that_is_none_is_refused_wherever_it_stands(value: float, others: float) -> None:
    for place in range(3):
        priorities = np.full(3, others, np.float32)
        priorities[place] = value
        expected = rf"after 7 updates 1 of the 3 priorities.*the first is {value:g}"
        with pytest.raises(RoleFailedError, match=expected):
            make().check_priorities(priorities, 7)


@pytest.mark.parametrize(
    ("norm", "advice"),
    [(0.0, r"set algorithm.max_gradient_norm"), (5.0, r"lower algorithm.max_gradient_norm \(5\)")],
)
def test_the_advice_knows_the_configuration_and_the_rewards(norm: float, advice: str) -> None:
    divergence = make(max_gradient_norm=norm)
    divergence.saw(np.array([1.0, -40.0], np.float32))
    divergence.saw(np.array([3.0], np.float32))
    with pytest.raises(RoleFailedError, match=rf"{advice}.*return so far was 40"):
        divergence.check_loss(math.nan, 1)
