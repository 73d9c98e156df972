import math

import pytest
import torch

from zdqn.rl.allowed_actions import only_allowed

VALUES = torch.tensor([[1.0, 5.0, 3.0], [-2.0, -1.0, -9.0]])
ALLOWED = torch.tensor([[True, False, True], [False, False, True]])


def test_what_is_not_allowed_is_no_maximum_and_the_rest_stays() -> None:
    values = only_allowed(VALUES, ALLOWED)
    assert values.amax(1).tolist() == [3.0, -9.0]
    assert values.argmax(1).tolist() == [2, 2]
    assert values[ALLOWED].tolist() == VALUES[ALLOWED].tolist()
    assert values.dtype == VALUES.dtype


def test_without_a_mask_nothing_is_done() -> None:
    assert only_allowed(VALUES, None) is VALUES


def test_where_nothing_is_allowed_a_discount_of_0_leaves_the_reward() -> None:
    values = only_allowed(VALUES, torch.zeros_like(ALLOWED))
    targets = torch.tensor([4.0, -3.0]) + torch.zeros(2) * values.amax(1)
    assert targets.tolist() == [4.0, -3.0]
    assert math.isfinite(values.min().item())
    assert torch.softmax(values, 1).isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_no_number_of_the_dtype_is_lower(dtype: torch.dtype) -> None:
    lowest = torch.finfo(dtype).min
    values = torch.tensor([[lowest, 0.0]], dtype=dtype)
    masked = only_allowed(values, torch.tensor([[True, False]]))
    assert masked.dtype == dtype
    assert masked.tolist() == [[lowest, lowest]]
    assert masked.argmax(1).tolist() == [0]


def test_gradients_reach_what_is_allowed_alone() -> None:
    values = VALUES.clone().requires_grad_()
    only_allowed(values, ALLOWED).sum().backward()
    assert values.grad is not None
    assert values.grad.tolist() == ALLOWED.float().tolist()


def test_a_mask_that_would_be_broadcast_is_refused() -> None:
    with pytest.raises(ValueError, match=r"q_values \(2, 3\), allowed \(3,\)"):
        only_allowed(VALUES, torch.ones(3, dtype=torch.bool))
