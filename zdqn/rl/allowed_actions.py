"""Actions that are not allowed now, and the values of those that are."""

from __future__ import annotations

import torch
from torch import Tensor


def only_allowed(q_values: Tensor, allowed: Tensor | None) -> Tensor:
    """Make the values of what is not allowed so low that no maximum is one of them.

    They become the lowest finite number of the dtype. Minus infinity would do for a maximum too,
    but where nothing is allowed, at the end of an episode, a discount of 0 would make NaN of it.

    Args:
        q_values: shape (B, num_actions), a floating dtype.
        allowed: which actions may be taken, shape (B, num_actions), bool; None: all of them.

    Returns:
        Values, shape (B, num_actions), of the same dtype; `q_values` itself for None. Gradients
        reach those that are allowed.

    Raises:
        ValueError: if the shapes differ, as one of them would be broadcast.

    Reference:
        Huang and Ontañón 2022, arXiv:2006.14171, section 3, for logits of a policy.
    """
    if allowed is None:
        return q_values
    if allowed.shape != q_values.shape:
        raise ValueError(
            f"shapes do not fit together: got q_values {tuple(q_values.shape)}, allowed "
            f"{tuple(allowed.shape)}; expected both (B, A)"
        )
    return q_values.masked_fill(~allowed, torch.finfo(q_values.dtype).min)
