"""Reward clipping: games with other scores are learned with one step size."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray


def clip_rewards(rewards: NDArray[Any], limit: float) -> NDArray[Any]:
    """Bring rewards into `[-limit, limit]`.

    Those of single environment steps, before they are summed up to n-step returns: a sum may be
    larger.

    Args:
        rewards: any shape.
        limit: largest magnitude, >= 0; 0 leaves them as they are.

    Returns:
        Rewards of the same shape.

    Reference:
        Mnih et al. 2015, Nature 518, "Training details", with a limit of 1.
    """
    return rewards.clip(-limit, limit) if limit else rewards
