"""The parts of Q-networks that PyTorch does not have: input stages and the dueling head."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias, cast

import torch
from torch import Tensor, nn

from zdqn.data import EnvironmentSpec

MakeLinear: TypeAlias = Callable[[int, int], nn.Linear]
"""Makes a fully connected layer for numbers of inputs and outputs."""


class DuelingHead(nn.Module):
    """Combine a state value and advantages: `V + A - mean_a A`.

    Args:
        features: inputs, F.
        num_actions: A.
        numbers: that are given for each action, each combined on its own; 1 for a value.
        linear: makes both heads.

    Reference:
        Wang et al. 2016, arXiv:1511.06581, equation 9; Hessel et al. 2018, arXiv:1710.02298, "The
        Integrated Agent", for distributions.
    """

    def __init__(
        self,
        features: int,
        num_actions: int,
        numbers: int = 1,
        linear: MakeLinear = nn.Linear,
    ) -> None:
        super().__init__()
        self.numbers = numbers
        self.value = linear(features, numbers)
        self.advantage = linear(features, num_actions * numbers)

    def forward(self, features: Tensor) -> Tensor:
        """Give action values, shape (B, num_actions * numbers), of features (B, F)."""
        value, advantage = self.value(features), self.advantage(features)
        if self.numbers > 1:
            value, advantage = value[:, None], advantage.unflatten(1, (-1, self.numbers))
        combined = value + advantage - advantage.mean(1, keepdim=True)
        return cast(Tensor, combined if self.numbers == 1 else combined.flatten(1))


class VectorInput(nn.Module):
    """Flatten observations of any shape and dtype to (B, F) float32."""

    def forward(self, observations: Tensor) -> Tensor:
        """Give the observations as (B, F) float32, unscaled."""
        return observations.flatten(1).to(torch.float32)


class ImageInput(nn.Module):
    """Turn image observations into (B, channels, H, W) float32, integers scaled to [-1, 1].

    They are divided by the largest magnitude that their space allows: 255 for most uint8 images, 1
    for planes of zeros and ones.

    The channels of a frame with three axes are the last one, unless the first is the shortest of
    the three: some environments put their channels first.
    """

    def __init__(self, spec: EnvironmentSpec) -> None:
        super().__init__()
        frame = spec.observation_shape
        self.scale = spec.observation_scale
        self.channels_last = len(frame) == 3 and frame[0] >= min(frame[1:])
        self.frames_shape = (spec.frame_stack, *frame)
        height, width = frame[:2] if self.channels_last or len(frame) == 2 else frame[1:]
        self.shape = (math.prod(self.frames_shape) // (height * width), height, width)

    def forward(self, observations: Tensor) -> Tensor:
        """Give the observations as (B, channels, H, W) float32."""
        frames = observations.reshape(-1, *self.frames_shape)
        if self.channels_last:
            frames = frames.movedim(-1, 2)
        # a pixel's channels side by side: convolutions are a fifth faster on large images
        images = frames.reshape(-1, *self.shape).to(memory_format=torch.channels_last)
        images = images.to(torch.float32)
        return images if self.scale == 1.0 else images * self.scale
