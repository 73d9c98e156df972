"""Noisy networks: layers whose weights are random, and learn how random they are.

With p inputs x and q outputs, a noisy layer computes

    y = (W + S * (f(e_out) f(e_in)^T)) x + b + s * f(e_out),    f(e) = sign(e) sqrt(|e|)

where e_in, of p, and e_out, of q independent normal numbers are the noise, `*` multiplies element
by element, and W, b (the means), S and s (the sigmas) are learned. Where noise does not help, the
sigmas fall. What is computed here is the same, with no matrix of noise:

    y = W x + b + f(e_out) * (S (f(e_in) * x) + s)

A network without noise, as it is built, acts by its means. `Noise` gives it some.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

_DRAWN_AT_ONCE = 64


class NoisyLinear(nn.Linear):
    """A fully connected layer with factorized noise.

    Parameters are those of ``nn.Linear``, which are the means, and ``weight_sigma`` and
    ``bias_sigma`` of the same shapes. The noise is no part of the weights: it neither travels nor
    is saved.

    Args:
        in_features: p.
        out_features: q.
        sigma: sigmas begin with `sigma / sqrt(p)`, >= 0.

    Reference:
        Fortunato et al. 2018, arXiv:1706.10295, equations 9 to 11 and section 3.2.
    """

    noise_in: Tensor | None
    noise_out: Tensor | None

    def __init__(self, in_features: int, out_features: int, sigma: float) -> None:
        super().__init__(in_features, out_features)
        start = sigma / math.sqrt(in_features)
        self.weight_sigma = nn.Parameter(torch.full_like(self.weight, start))
        self.bias_sigma = nn.Parameter(torch.full_like(self.bias, start))
        self.silence()

    def silence(self) -> None:
        """Take the noise away."""
        self.register_buffer("noise_in", None, persistent=False)
        self.register_buffer("noise_out", None, persistent=False)

    def make_noisy(self) -> None:
        """Make room for noise of its own, zeros yet."""
        self.noise_in = self.weight.new_zeros(self.in_features)
        self.noise_out = self.weight.new_zeros(self.out_features)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name that PyTorch has
        """Give y, shape (B, q), of x, shape (B, p)."""
        means = super().forward(input)
        if self.noise_in is None or self.noise_out is None:
            return means
        deviations = functional.linear(input * self.noise_in, self.weight_sigma, self.bias_sigma)
        return means + self.noise_out * deviations


class Noise:
    """The noise of all noisy layers of a network, numbered.

    A number always gives the same noise, whatever was drawn before: a training that goes on from
    a checkpoint draws what it would have drawn.

    Args:
        network: on its device, with noisy layers, which get room for noise of their own.
        seed: decides the noise; numbers >= 0.
    """

    def __init__(self, network: nn.Module, seed: Sequence[int]) -> None:
        self._seed = tuple(seed)
        for layer in noisy_layers(network):
            layer.make_noisy()
        self._places = list(noise_of(network).values())
        self._sizes = [len(place) for place in self._places]
        self._device = self._places[0].device
        self._newest: tuple[int, Tensor] | None = None

    def use(self, number: int) -> None:
        """Write a number's noise into the layers, >= 0."""
        chunk, row = divmod(number, _DRAWN_AT_ONCE)
        rows = torch.split(self._draw(chunk)[row], self._sizes)
        for place, noise in zip(self._places, rows, strict=True):
            place.copy_(noise)

    def of_numbers(self, first: int, count: int) -> list[Tensor]:
        """Give the noise of some numbers, for each of `noise_of` with `count` rows."""
        chunks = range(first // _DRAWN_AT_ONCE, (first + count - 1) // _DRAWN_AT_ONCE + 1)
        drawn = torch.cat([self._draw(chunk) for chunk in chunks])
        begin = first % _DRAWN_AT_ONCE
        columns = torch.split(drawn[begin : begin + count], self._sizes, 1)
        return [column.contiguous() for column in columns]

    def _draw(self, chunk: int) -> Tensor:
        """Draw the noise of many numbers; one by one it would take longer than a small layer."""
        if self._newest is None or self._newest[0] != chunk:
            rng = np.random.default_rng((*self._seed, chunk))
            normal = rng.standard_normal((_DRAWN_AT_ONCE, sum(self._sizes)), np.float32)
            scaled = np.copysign(np.sqrt(np.abs(normal)), normal)
            self._newest = chunk, torch.from_numpy(scaled).to(self._device)
        return self._newest[1]


def noisy_layers(network: nn.Module) -> list[NoisyLinear]:
    """Give the noisy layers of a network, in its own order; none for most."""
    return [layer for layer in network.modules() if isinstance(layer, NoisyLinear)]


def noise_of(network: nn.Module) -> dict[str, Tensor]:
    """Give the tensors that hold the noise of a network, by their names; none where it has none."""
    return {
        f"{name}.{key}".removeprefix("."): tensor
        for name, layer in network.named_modules()
        if isinstance(layer, NoisyLinear)
        for key, tensor in (("noise_in", layer.noise_in), ("noise_out", layer.noise_out))
        if tensor is not None
    }
