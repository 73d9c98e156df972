"""How action values follow from the weights of a network, in words that need no PyTorch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import nn

    from zdqn.rl.distributions import Distribution


class LayerDescription(NamedTuple):
    """One step from an observation to action values; ``docs/protocol.md`` has the formulae.

    Attributes:
        op: "flatten", "image", "convolution", "linear", "noisy_linear", "dueling", "noisy_dueling",
            "categorical" or "quantiles".
        name: what the names of its parameters begin with.
        activation: one of `zdqn.rl.networks.ACTIVATIONS`, applied to what it gives; "" for none.
        stride: of a convolution, in both directions.
        scale: by which an image is multiplied.
        channels_last: whether they are the last axis of a frame of three.
        numbers: given for each action, by a distribution.
        v_min: lowest value of a categorical one.
        v_max: highest.
    """

    op: str
    name: str = ""
    activation: str = ""
    stride: int = 1
    scale: float = 1.0
    channels_last: bool = False
    numbers: int = 1
    v_min: float = 0.0
    v_max: float = 0.0


def describe_layers(network: nn.Module) -> tuple[LayerDescription, ...]:
    """Describe a network that `zdqn.rl.networks.build_network` has built.

    Args:
        network: any.

    Returns:
        Its layers in order; none for a network of the user's own, which only its code knows.
    """
    from torch import nn

    from zdqn.rl.distributions import DistributionalNetwork

    if type(network) not in (nn.Sequential, DistributionalNetwork):
        return ()
    try:
        layers = tuple(_describe(dict(network.named_children())))
        if isinstance(network, DistributionalNetwork):
            layers = (*layers, _describe_distribution(network.distribution))
    except _UnknownLayerError:
        return ()
    return layers


def _describe_distribution(distribution: Distribution) -> LayerDescription:
    from zdqn.rl.categorical import Categorical
    from zdqn.rl.quantiles import Quantiles

    if isinstance(distribution, Categorical):
        return LayerDescription(
            "categorical",
            numbers=distribution.numbers,
            v_min=distribution.v_min,
            v_max=distribution.v_max,
        )
    if isinstance(distribution, Quantiles):
        return LayerDescription("quantiles", numbers=distribution.numbers)
    raise _UnknownLayerError


class _UnknownLayerError(Exception):
    """A layer is of a kind that is not described."""


def _describe(layers: dict[str, nn.Module]) -> Iterator[LayerDescription]:
    from torch import nn

    from zdqn.rl.layers import DuelingHead, ImageInput, VectorInput
    from zdqn.rl.networks import ACTIVATIONS
    from zdqn.rl.noisy import NoisyLinear

    names = {kind: name for name, kind in ACTIVATIONS.items()}
    waiting: LayerDescription | None = None  # for an activation, if one follows
    for name, layer in layers.items():
        if type(layer) in names and waiting is not None:
            yield waiting._replace(activation=names[type(layer)])
            waiting = None
            continue
        if waiting is not None:
            yield waiting
            waiting = None
        if type(layer) is VectorInput or type(layer) is nn.Flatten:
            yield LayerDescription("flatten")
        elif type(layer) is ImageInput:
            yield LayerDescription("image", scale=layer.scale, channels_last=layer.channels_last)
        elif type(layer) is nn.Conv2d:
            waiting = LayerDescription("convolution", name, stride=layer.stride[0])
        elif type(layer) in (nn.Linear, NoisyLinear):
            waiting = LayerDescription(f"{_noisy(layer)}linear", name)
        elif type(layer) is DuelingHead:
            yield LayerDescription(f"{_noisy(layer.value)}dueling", name)
        else:
            raise _UnknownLayerError
    if waiting is not None:
        yield waiting


def _noisy(layer: nn.Module) -> str:
    from zdqn.rl.noisy import NoisyLinear

    return "noisy_" if type(layer) is NoisyLinear else ""
