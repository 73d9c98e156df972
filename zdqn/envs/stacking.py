"""Frame stacking: the newest frames of each environment, as one observation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from zdqn.data import EnvironmentSpec

_ROOM = 8


class FrameStacker:
    """The stacked observations of N environments, kept in step with them.

    The first frame of an episode is repeated until the stack is full, so that no stack mixes two
    episodes. The newest frames lie side by side in a longer buffer along which the stack slides:
    a step writes one frame for each environment and only every `7 S` steps moves the others.

    Reference:
        Mnih et al. 2015, Nature 518, section "Preprocessing" (m = 4 most recent frames).
    """

    def __init__(self, spec: EnvironmentSpec, frames: NDArray[Any]) -> None:
        """Begin with the first frames of an episode in every environment.

        Args:
            spec: shape, dtype and stack of an observation.
            frames: shape (N, *spec.observation_shape).
        """
        self._stack = spec.frame_stack
        slots = 1 if self._stack == 1 else _ROOM * self._stack
        self._buffer = np.empty((len(frames), slots, *spec.observation_shape), spec.dtype)
        self._position = 0
        self._buffer[:, : self._stack] = frames[:, None]

    @property
    def observations(self) -> NDArray[Any]:
        """Observations, shape (N, *spec.stacked_shape), oldest frame first.

        A view: its contents change with later calls of `push`.
        """
        if self._stack == 1:
            return self._buffer[:, 0]
        return self._buffer[:, self._position : self._position + self._stack]

    def push(self, frames: NDArray[Any], starting: NDArray[np.bool_] | None = None) -> None:
        """Take in the newest frame of each environment.

        Args:
            frames: shape (N, *spec.observation_shape).
            starting: whether each frame is the first of an episode, shape (N,); None: none is.
        """
        if self._stack == 1:
            self._buffer[:, 0] = frames
            return
        older = self._stack - 1
        self._position += 1
        if self._position + older == self._buffer.shape[1]:
            self._buffer[:, :older] = self._buffer[:, self._position :]
            self._position = 0
        newest = self._position + older
        self._buffer[:, newest] = frames
        if starting is not None:
            self._buffer[starting, self._position : newest] = frames[starting, None]
