"""Adam, twice: as PyTorch's fused kernel, and written out for graphs that are compiled."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from zdqn.rl.option_checks import check_range


@dataclass(frozen=True)
class AdamSettings:
    """How Adam steps.

    Args:
        learning_rate: step size, >= 0.
        beta1: decay of the first moment, in [0, 1).
        beta2: decay of the second moment, in [0, 1).
        eps: added to the root of the second moment, > 0.

    Raises:
        ConfigError: if a number is out of range.

    Reference:
        Kingma & Ba 2015, arXiv:1412.6980, algorithm 1.
    """

    learning_rate: float
    beta1: float
    beta2: float
    eps: float

    def __post_init__(self) -> None:
        rate, beta1, beta2 = self.learning_rate, self.beta1, self.beta2
        check_range("learning_rate", rate, rate >= 0, "0 or more")
        check_range("adam_beta1", beta1, 0 <= beta1 < 1, "in [0, 1)")
        check_range("adam_beta2", beta2, 0 <= beta2 < 1, "in [0, 1)")
        check_range("adam_eps", self.eps, self.eps > 0, "above 0")


class Moments(NamedTuple):
    """Running means of gradients and of their squares, by parameter; changed in place."""

    first: dict[str, Tensor]
    second: dict[str, Tensor]

    @classmethod
    def zeros(cls, parameters: Mapping[str, Tensor]) -> Moments:
        """Make those of before the first step."""
        first, second = (
            {name: torch.zeros_like(tensor) for name, tensor in parameters.items()}
            for _ in range(2)
        )
        return cls(first, second)


class Adam(ABC):
    """A way to make Adam's step."""

    @abstractmethod
    def corrections(self, steps: int) -> tuple[Tensor, ...]:
        """Give what a step needs to know of its number.

        Args:
            steps: made so far, >= 0.

        Returns:
            For `apply`.
        """

    @abstractmethod
    def apply(
        self,
        parameters: dict[str, Tensor],
        moments: Moments,
        gradients: dict[str, Tensor],
        divisor: Tensor | None,
        corrections: tuple[Tensor, ...],
    ) -> None:
        """Make one step.

        Args:
            parameters: changed in place, outside of autograd.
            moments: of the same names, changed in place.
            gradients: of the same names and shapes; may be written to.
            divisor: shape (), what gradients are divided by first; None for 1.
            corrections: from the method of this name.
        """

    def resume(self, steps: int) -> None:  # noqa: B027 - only one of the two counts
        """Go on after so many steps."""


class FusedAdam(Adam):
    """One kernel for all parameters.

    Args:
        settings: how to step.
        parameters: those that there will be.
    """

    def __init__(self, settings: AdamSettings, parameters: Mapping[str, Tensor]) -> None:
        self._settings = settings
        self._convolves = any(tensor.ndim > 2 for tensor in parameters.values())
        first = next(iter(parameters.values()))
        self._steps = torch.zeros((), device=first.device)  # made so far

    def corrections(self, steps: int) -> tuple[Tensor, ...]:
        """Give nothing: the kernel counts."""
        return ()

    def apply(
        self,
        parameters: dict[str, Tensor],
        moments: Moments,
        gradients: dict[str, Tensor],
        divisor: Tensor | None,
        corrections: tuple[Tensor, ...],
    ) -> None:
        """Make one step."""
        self._steps += 1
        # Called by torch.optim.adam too, once it has sorted tensors by device: more work than this.
        torch._fused_adam_(
            list(parameters.values()),
            self._laid_out_alike(gradients, parameters),
            list(moments.first.values()),
            list(moments.second.values()),
            [],
            [self._steps] * len(parameters),
            grad_scale=divisor,
            amsgrad=False,
            maximize=False,
            weight_decay=0.0,
            beta1=self._settings.beta1,
            beta2=self._settings.beta2,
            lr=self._settings.learning_rate,
            eps=self._settings.eps,
        )

    def resume(self, steps: int) -> None:
        """Go on after so many steps."""
        self._steps.fill_(steps)

    def _laid_out_alike(
        self, gradients: dict[str, Tensor], parameters: dict[str, Tensor]
    ) -> list[Tensor]:
        """Lay gradients out in memory as their parameters: the kernel goes through both in order.

        Those of a convolution lie as its images do, whatever its weights do.
        """
        if not self._convolves:
            return [gradients[name] for name in parameters]
        return [
            gradients[name]
            if gradients[name].stride() == parameter.stride()
            else torch.empty_like(parameter).copy_(gradients[name])
            for name, parameter in parameters.items()
        ]


class WrittenAdam(Adam):
    """Operations that a compiler can merge with each other.

    Args:
        settings: how to step.
        device: where the parameters are.
    """

    def __init__(self, settings: AdamSettings, device: torch.device) -> None:
        self._settings = settings
        self._device = device

    def corrections(self, steps: int) -> tuple[Tensor, ...]:
        """Give step size and scale of the root, with the next step's bias corrections, shape ().

        Outside of the graph, which would compute the powers again for each few weights; and in
        double precision, since in single precision 1 - 0.999^t has but four good digits when t is
        small.
        """
        return tuple(each[0] for each in self.corrections_of(steps, 1))

    def corrections_of(self, steps: int, count: int) -> tuple[Tensor, ...]:
        """Give those of the next `count` steps, shape (count,) each."""
        settings = self._settings
        numbers = np.arange(steps + 1, steps + count + 1, dtype=np.float64)
        sizes = settings.learning_rate / (1 - settings.beta1**numbers)
        scales = 1 / np.sqrt(1 - settings.beta2**numbers)
        return tuple(
            torch.from_numpy(each.astype(np.float32)).to(self._device) for each in (sizes, scales)
        )

    def apply(
        self,
        parameters: dict[str, Tensor],
        moments: Moments,
        gradients: dict[str, Tensor],
        divisor: Tensor | None,
        corrections: tuple[Tensor, ...],
    ) -> None:
        """Make one step."""
        settings = self._settings
        step_size, root_scale = corrections
        for name, parameter in parameters.items():
            gradient = gradients[name] if divisor is None else gradients[name] / divisor
            first, second = moments.first[name], moments.second[name]
            first.lerp_(gradient, 1 - settings.beta1)
            second.mul_(settings.beta2).addcmul_(gradient, gradient, value=1 - settings.beta2)
            denominator = second.sqrt() * root_scale + settings.eps
            parameter.sub_(step_size * first / denominator)
