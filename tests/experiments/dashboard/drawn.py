"""An environment that draws itself without any package."""

from typing import Any

import gymnasium
import numpy as np


class DrawnEnv(gymnasium.Env[Any, Any]):
    """Every step is worth 1 and a little brighter; it also prints, as environments do."""

    STEPS = 12
    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012 - as gymnasium has it
    observation_space = gymnasium.spaces.Box(0.0, 1.0, (2,))
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode
        self._step = 0

    def reset(self, **_: Any) -> Any:
        self._step = 0
        if self.render_mode:
            print("printed by the environment")  # noqa: T201 - that is the point
        return self._observation(), {}

    def step(self, _action: Any) -> Any:
        self._step += 1
        return self._observation(), 1.0, self._step >= self.STEPS, False, {}

    def _observation(self) -> Any:
        return np.full(2, self._step / self.STEPS, np.float32)

    def render(self) -> Any:
        return np.full((6, 8, 3), 10 * self._step, np.uint8) if self.render_mode else None
