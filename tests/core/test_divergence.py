"""What is no number ends learning, with the update, what it was, and the way out."""

import math

import numpy as np
import pytest
import torch

from zdqn.core.divergence import Divergence
from zdqn.errors import RoleFailedError


def make(
    *, max_gradient_norm: float = 0.0, discount: float = 0.9, n_step: int = 1, largest: float = 0.0
) -> Divergence:
    divergence = Divergence(
        learning_rate=0.25, max_gradient_norm=max_gradient_norm, discount=discount, n_step=n_step
    )
    divergence.saw(np.array([0.0, -largest], np.float32))
    return divergence


def look(divergence: Divergence, *values: float, td_error: float = 0.0) -> list[bool]:
    """Whether each row of metrics is warned of."""
    return [
        divergence.look(
            updates=1_000 * row, environment_steps=10**6, q_mean=value, td_error_mean=td_error
        )
        != ""
        for row, value in enumerate(values, 1)
    ]


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


@pytest.mark.parametrize(
    ("discount", "n_step", "steps", "expected"),
    [(0.9, 1, 10**6, 50.0), (0.9, 3, 10**6, 5 / (1 - 0.729)), (0.0, 1, 10, 5.0), (1.0, 3, 8, 15.0),
     (0.5, 1, 2, 7.5), (0.5, 1, 0, 5.0)],
)  # fmt: skip
def test_no_value_is_larger_than_the_discounted_sum_of_the_largest_returns(
    discount: float, n_step: int, steps: int, expected: float
) -> None:
    divergence = make(discount=discount, n_step=n_step, largest=5.0)
    assert divergence.largest_value(steps) == pytest.approx(expected)


def test_values_that_are_possible_or_nearly_so_are_not_warned_of() -> None:
    assert not any(look(make(largest=1.0), 0.0, 10.0, -10.0, 20.9, 20.9, -20.9, 20.9))


@pytest.mark.parametrize("sign", [1, -1])
def test_values_that_are_not_are_warned_of_once(sign: int) -> None:
    values = [sign * value for value in (9.0, 25.0, 40.0, 80.0, 1e9)]
    assert look(make(largest=1.0), *values) == [False, True, False, False, False]


def test_values_that_go_back_to_what_is_possible_are_not_warned_of() -> None:
    """As those of a new network, which knows nothing of rewards."""
    assert not any(look(make(largest=1.0), 1_500.0, 1_000.0, 300.0, 30.0, 20.0, 20.5, 20.0, 20.5))


def test_values_that_are_far_off_are_warned_of_at_once() -> None:
    assert look(make(largest=1.0), 2_500.0) == [True]
    divergence = make(largest=1.0)
    arguments = {"environment_steps": 10**6, "q_mean": 2_500.0, "td_error_mean": 1.0}
    assert divergence.look(updates=3, **arguments) == "", "a new network's"  # type: ignore[arg-type]


def test_errors_that_explode_are_warned_of_though_values_cancel_out() -> None:
    assert look(make(largest=1.0), 0.0, 0.0, 0.0, td_error=50.0) == [False, True, False]
    assert not any(look(make(largest=1.0), 0.0, 0.0, 0.0, td_error=20.0))


def test_the_warning_has_the_numbers_and_the_way_out() -> None:
    text = make(largest=2.0, discount=0.99).look(
        updates=700, environment_steps=10**6, q_mean=2.3e7, td_error_mean=512.0
    )
    for part in ("700 updates", "2.3e+07", "512", "at most 2", "0.99", "larger than 200",
                 "algorithm.learning_rate (0.25)"):  # fmt: skip
        assert part in text


def test_priorities_that_are_no_errors_are_not_judged() -> None:
    arguments = {"updates": 10**6, "environment_steps": 10**6, "td_error_mean": None}
    divergence = make(largest=1.0)
    assert divergence.look(q_mean=1.0, **arguments) == ""  # type: ignore[arg-type]
    text = divergence.look(q_mean=1e9, **arguments)  # type: ignore[arg-type]
    assert "q_mean is 1e+09, but with" in text
    assert "TD error" not in text


@pytest.mark.parametrize(
    ("value_range", "q_mean", "told"),
    [
        ((-10.0, 10.0), 8.9, False), ((-10.0, 10.0), 9.1, True), ((-10.0, 10.0), -8.9, False),
        ((-10.0, 10.0), -9.1, True), ((0.0, 100.0), 0.0, False), ((0.0, 100.0), 96.0, True),
        (None, 1e9, False),
    ],
)  # fmt: skip
def test_values_at_the_end_of_their_range_are_warned_of_once(
    value_range: tuple[float, float] | None, q_mean: float, told: bool
) -> None:
    divergence = Divergence(
        learning_rate=0.1, max_gradient_norm=0.0, discount=0.9, n_step=1, value_range=value_range
    )
    assert divergence.look_at_range(updates=3, q_mean=q_mean) == "", "a new network's"
    assert divergence.look_at_range(updates=1_000, q_mean=None) == ""
    text = divergence.look_at_range(updates=1_000, q_mean=q_mean)
    assert bool(text) is told
    assert divergence.look_at_range(updates=1_000, q_mean=q_mean) == ""
    if told and value_range is not None:
        for part in (f"v_min = {value_range[0]:g}", f"v_max = {value_range[1]:g}", "further apart"):
            assert part in text


def test_an_objective_without_values_is_not_judged() -> None:
    arguments = {"updates": 10**6, "environment_steps": 10**6, "td_error_mean": 1e30}
    assert make().look(q_mean=None, **arguments) == ""  # type: ignore[arg-type]
