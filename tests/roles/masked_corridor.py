"""A corridor in which not everything is allowed everywhere, and what its actions are worth."""

from typing import Any

import gymnasium
import numpy as np

ON, STAY, OTHER = range(3)
MASKS = np.array(
    [
        [True, False, False],
        [True, True, False],
        [False, True, True],
        [True, False, False],
        [False, False, False],  # the end, after which nothing is done
    ]
)
"""What is allowed at each place; OTHER goes on too, but does not exist at most of them."""
DISCOUNT = 0.9


class MaskedCorridor(gymnasium.Env):
    """Each step costs 1 until the end is reached; what is not allowed breaks it."""

    metadata = {"render_modes": ["human", "rgb_array"], "render_fps": 10}  # noqa: RUF012 - gymnasium's
    observation_space = gymnasium.spaces.Box(0, 1, (5,), np.float32)
    action_space = gymnasium.spaces.Discrete(3)

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode
        self.place = 0

    def render(self) -> Any:
        return np.full((4, 4, 3), 10 * self.place, np.uint8)

    def _tell(self) -> tuple[Any, dict[str, Any]]:
        return np.eye(5, dtype=np.float32)[self.place], {
            "action_mask": MASKS[self.place].astype(np.int8)
        }

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.place = 0
        return self._tell()

    def step(self, action: Any) -> Any:
        if not MASKS[self.place, action]:
            raise RuntimeError(f"action {action} is not allowed at place {self.place}")
        self.place += action != STAY
        observation, info = self._tell()
        return observation, -1.0, self.place == 4, False, info


def true_values() -> np.ndarray[Any, Any]:
    """Give Q of each place and action by value iteration; NaN where it is not allowed."""
    values = np.full((5, 3), np.nan)
    best = np.zeros(5)
    for _ in range(200):
        for place in range(4):
            for action in np.flatnonzero(MASKS[place]):
                values[place, action] = -1 + DISCOUNT * best[place + (action != STAY)]
        best[:4] = np.nanmax(values[:4], axis=1)
    return values
