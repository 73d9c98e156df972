"""Q-networks, built from an environment's spec.

A network takes observations of shape (B, *spec.stacked_shape) in the environment's own dtype;
casting and scaling are its business. What it gives is for its objective to read; those built here
give action values of shape (B, num_actions), float32, unless it is a distribution of returns that
is asked for. `q_values` gives those of any network.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from zdqn.data import EnvironmentSpec
from zdqn.errors import ConfigError
from zdqn.rl import dense
from zdqn.rl.distributions import Distribution, DistributionalNetwork
from zdqn.rl.layers import DuelingHead, ImageInput, MakeLinear, VectorInput
from zdqn.rl.noisy import NoisyLinear
from zdqn.rl.option_checks import check_choice, check_range
from zdqn.rl.user_networks import NetworkFactory, build_user_network
from zdqn.rl.weight_checks import describe

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
}
"""Names of activations."""

INITIALIZATIONS = ("default", "xavier", "kaiming", "orthogonal")
"""Names of initializations; see `build_network`."""

NATURE_SIDE = 36
"""Smallest side, in pixels, for the convolutions of Mnih et al. 2015."""


def build_network(
    spec: EnvironmentSpec,
    *,
    kind: str | NetworkFactory,
    hidden: Sequence[int],
    activation: str,
    initialization: str,
    dueling: bool,
    noisy_sigma: float | None = None,
    distribution: Distribution | None = None,
    seed: int,
) -> nn.Module:
    """Build a Q-network, on the CPU, the same for the same seed.

    Args:
        spec: the environment that the network is for.
        kind: ``"mlp"`` flattens the observation; ``"cnn"`` takes images (H, W) or (H, W, C),
            stacked or not: sides of 36 and more get the convolutions of Mnih et al. 2015, smaller
            ones the single 3x3 convolution of Young & Tian 2019. ``"module:factory"`` or a
            callable is called with `spec` and gives the whole network; of the options below only
            `distribution` and `seed` then have an effect.
        hidden: units of each fully connected hidden layer; empty for a linear read-out.
        activation: one of `ACTIVATIONS`, after each hidden layer and convolution.
        initialization: ``"default"`` is PyTorch's own; ``"xavier"`` is Glorot-uniform with the
            activation's gain and biases of 0.01; ``"kaiming"`` is He-uniform and ``"orthogonal"``
            orthogonal, both with that gain and biases of 0. All layers are treated alike.
        dueling: end in a value and an advantage head, each one linear layer on the last hidden
            features, in place of one linear layer.
        noisy_sigma: make all fully connected layers noisy, with sigmas that begin with this over
            the root of a layer's inputs; None makes none so.
        distribution: what the network's output means, of shape (B, num_actions, numbers); None for
            action values.
        seed: decides the weights; the global PyTorch generator is left as it was.

    Returns:
        The network; zeros have shown that its `q_values` are (B, num_actions) float32.

    Raises:
        ConfigError: if an option is unknown, the observations are no images that a ``"cnn"`` can
            take, or the user's network cannot be built or gives something else than action values.

    Reference:
        Mnih et al. 2015, Nature 518, "Model architecture"; Young & Tian 2019, arXiv:1903.03176;
        Wang et al. 2016, arXiv:1511.06581, equation 9; Fortunato et al. 2018, arXiv:1706.10295;
        Hessel et al. 2018, arXiv:1710.02298, "The Integrated Agent", for all of it together.
    """
    check_choice("activation", activation, ACTIVATIONS)
    check_choice("initialization", initialization, INITIALIZATIONS)
    if any(units < 1 for units in hidden):
        raise ConfigError(f"hidden = {list(hidden)}: every hidden layer needs 1 unit or more.")
    with torch.random.fork_rng(devices=[]):
        # Not torch.manual_seed: that would also seed the generators of every GPU.
        torch.default_generator.manual_seed(seed)
        if kind in ("mlp", "cnn"):
            begin = _mlp_input(spec) if kind == "mlp" else _cnn_input(spec, activation)
            layers, features = begin
            linear: MakeLinear = nn.Linear
            if noisy_sigma is not None:
                check_range("noisy_sigma", noisy_sigma, noisy_sigma >= 0, "0 or more")
                linear = partial(NoisyLinear, sigma=noisy_sigma)
            features = _add_hidden(layers, features, hidden, activation, linear)
            network: nn.Module = _add_head(
                layers, features, spec.num_actions, dueling, linear, distribution
            )
            _initialize(network, initialization, activation)
            if kind == "cnn":
                network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        else:
            network = build_user_network(kind, spec)
            _check_output(network, spec, kind, distribution)
    return network


def q_values(network: nn.Module, observations: Tensor) -> Tensor:
    """Give the action values of a network, whatever its forward pass gives.

    Args:
        network: if its class has a method ``q_values(observations)``, that is called: so a network
            that gives something else, such as a distribution of returns, says what an action is
            worth. Otherwise its forward pass gives the values.
        observations: shape (B, *stacked_shape), the environment's dtype.

    Returns:
        Values, shape (B, num_actions), float32.
    """
    # Of the class, not of the object: a layer that is called so is no method.
    own: Callable[[nn.Module, Tensor], Tensor] | None = getattr(type(network), "q_values", None)
    return cast(Tensor, network(observations) if own is None else own(network, observations))


def dense_view(network: nn.Module) -> dense.DenseNetwork | None:
    """Give a network's forward pass in NumPy, on the same memory.

    Args:
        network: what is loaded into it or trained later is used by both.

    Returns:
        The forward pass; None for a network of another kind than ``"mlp"``, with an activation that
        NumPy lacks, or on a GPU.
    """
    activation = dense_activation(network)
    if activation is None:
        return None
    arrays = {name: p.detach().numpy() for name, p in network.named_parameters()}
    return dense.DenseNetwork(arrays, activation)


def dense_activation(network: nn.Module) -> str | None:
    """Give the activation of a network that can be computed layer by layer from its parameters.

    Args:
        network: any.

    Returns:
        One of `zdqn.rl.dense.ACTIVATIONS`; None for a network of another kind than ``"mlp"``, with
        another activation, or on a GPU.
    """
    layers = dict(network.named_children()) if type(network) is nn.Sequential else {}
    names, modules = list(layers), list(layers.values())
    hidden = range(len(layers) // 2 - 1)
    pairs = [(f"hidden_{index}", f"hidden_activation_{index}") for index in hidden]
    if names != ["input", *(name for pair in pairs for name in pair), "head"]:
        return None
    linear, used = modules[1:-1:2], {type(module) for module in modules[2:-1:2]}
    kinds = {type(modules[0]) is VectorInput, type(modules[-1]) in (nn.Linear, DuelingHead)}
    kinds |= {type(module) is nn.Linear for module in linear}
    activation = next((name for name in dense.ACTIVATIONS if used <= {ACTIVATIONS[name]}), None)
    parameters = dict(network.named_parameters())
    fits = all(p.device.type == "cpu" and p.dtype == torch.float32 for p in parameters.values())
    biases = sum(name.endswith(".bias") for name in parameters)
    return activation if all(kinds) and fits and 2 * biases == len(parameters) else None


def _mlp_input(spec: EnvironmentSpec) -> tuple[OrderedDict[str, nn.Module], int]:
    """Give the first layers of an MLP and how many features leave them."""
    return OrderedDict(input=VectorInput()), math.prod(spec.stacked_shape)


def _cnn_input(spec: EnvironmentSpec, activation: str) -> tuple[OrderedDict[str, nn.Module], int]:
    """Give the convolutions and how many features leave them."""
    images = ImageInput(spec) if len(spec.observation_shape) in (2, 3) else None
    if images is None or min(images.shape[1:]) < 3:
        raise ConfigError(
            f'kind = "cnn" cannot take observations of shape {spec.observation_shape}: it needs '
            'images (H, W) or (H, W, C) with sides of 3 pixels or more. Use kind = "mlp", or '
            '"module:factory" for a network of your own.'
        )
    channels, height, width = images.shape
    convolutions = [(16, 3, 1)]
    if min(height, width) >= NATURE_SIDE:
        convolutions = [(32, 8, 4), (64, 4, 2), (64, 3, 1)]
    layers: OrderedDict[str, nn.Module] = OrderedDict(input=images)
    for index, (filters, kernel, stride) in enumerate(convolutions):
        layers[f"convolution_{index}"] = nn.Conv2d(channels, filters, kernel, stride)
        layers[f"convolution_activation_{index}"] = ACTIVATIONS[activation]()
        height, width = (height - kernel) // stride + 1, (width - kernel) // stride + 1
        channels = filters
    layers["flatten"] = nn.Flatten()
    return layers, channels * height * width


def _add_hidden(
    layers: OrderedDict[str, nn.Module],
    features: int,
    hidden: Sequence[int],
    activation: str,
    linear: MakeLinear,
) -> int:
    """Add hidden layers; give how many features leave them."""
    for index, units in enumerate(hidden):
        layers[f"hidden_{index}"] = linear(features, units)
        layers[f"hidden_activation_{index}"] = ACTIVATIONS[activation]()
        features = units
    return features


def _add_head(
    layers: OrderedDict[str, nn.Module],
    features: int,
    num_actions: int,
    dueling: bool,
    linear: MakeLinear,
    distribution: Distribution | None,
) -> nn.Sequential:
    """Add the head, and make a network of all layers."""
    numbers = 1 if distribution is None else distribution.numbers
    if dueling:
        layers["head"] = DuelingHead(features, num_actions, numbers, linear)
    else:
        layers["head"] = linear(features, num_actions * numbers)
    if distribution is None:
        return nn.Sequential(layers)
    return DistributionalNetwork(layers, distribution)


def _initialize(network: nn.Module, initialization: str, activation: str) -> None:
    """Draw the weights of all linear and convolution layers."""
    if initialization == "default":
        return
    # PyTorch knows no gain for elu, gelu and silu; they are close to relu where it matters.
    nonlinearity: Any = "tanh" if activation == "tanh" else "relu"
    gain = nn.init.calculate_gain(nonlinearity)
    for layer in network.modules():
        if not isinstance(layer, nn.Linear | nn.Conv2d):
            continue
        if initialization == "xavier":
            nn.init.xavier_uniform_(layer.weight, gain)
        elif initialization == "kaiming":
            nn.init.kaiming_uniform_(layer.weight, nonlinearity=nonlinearity)
        else:
            nn.init.orthogonal_(layer.weight, gain)
        if layer.bias is not None:
            nn.init.constant_(layer.bias, 0.01 if initialization == "xavier" else 0.0)


def _check_output(
    network: nn.Module,
    spec: EnvironmentSpec,
    kind: str | NetworkFactory,
    distribution: Distribution | None,
) -> None:
    """Run the user's network on zeros; in evaluation mode, so that no statistics are moved."""
    zeros = torch.from_numpy(np.zeros((2, *spec.stacked_shape), spec.dtype))
    modes = [(module, module.training) for module in network.modules()]
    try:
        with torch.no_grad():
            output: object = q_values(network.eval(), zeros)
            forward: object = None if distribution is None else network(zeros)
    except Exception as error:
        raise ConfigError(
            f"kind = {kind!r}: on observations of shape {tuple(zeros.shape)}, {spec.dtype}, the "
            f"network raised {type(error).__name__}: {error}"
        ) from error
    finally:
        for module, training in modes:
            module.training = training
    wanted = f"float32 {(2, spec.num_actions)}"
    found = describe(output) if isinstance(output, Tensor) else f"a {type(output).__name__}"
    if found != wanted:
        raise ConfigError(
            f"kind = {kind!r}: for 2 observations of {spec.describe()} the network gave {found} "
            f"and should give {wanted}, one value an action. If its forward pass gives something "
            "else, such as a distribution, give it a method q_values(observations) as well."
        )
    if distribution is not None:
        wanted = f"float32 {(2, spec.num_actions, distribution.numbers)}"
        found = describe(forward) if isinstance(forward, Tensor) else f"a {type(forward).__name__}"
        if found != wanted:
            raise ConfigError(
                f"kind = {kind!r}: for 2 observations of {spec.describe()} the network's forward "
                f"pass gave {found} and should give {wanted}, the numbers of a "
                f"{type(distribution).__name__} for each action (algorithm.distribution)."
            )
