"""Q-networks built from an environment's spec, and their weights as NumPy arrays.

Every network takes observations of shape (B, *spec.stacked_shape) in the environment's own dtype
and gives action values of shape (B, num_actions), float32; casting and scaling are its business.
"""

from __future__ import annotations

import importlib
import math
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from zdqn.data import EnvironmentSpec
from zdqn.errors import ConfigError, did_you_mean
from zdqn.rl import dense
from zdqn.rl.weights import check_finite, check_schema, describe

NetworkFactory = Callable[[EnvironmentSpec], nn.Module]
"""Builds a network for a spec: how a user brings an architecture of their own."""

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
    seed: int,
) -> nn.Module:
    """Build a Q-network, on the CPU, the same for the same seed.

    Args:
        spec: the environment that the network is for.
        kind: ``"mlp"`` flattens the observation; ``"cnn"`` takes images (H, W) or (H, W, C),
            stacked or not: sides of 36 and more get the convolutions of Mnih et al. 2015, smaller
            ones the single 3x3 convolution of Young & Tian 2019. ``"module:factory"`` or a
            callable is called with `spec` and gives the whole network; the options below except
            `seed` then have no effect.
        hidden: units of each fully connected hidden layer; empty for a linear read-out.
        activation: one of `ACTIVATIONS`, after each hidden layer and convolution.
        initialization: ``"default"`` is PyTorch's own; ``"xavier"`` is Glorot-uniform with the
            activation's gain and biases of 0.01; ``"kaiming"`` is He-uniform and ``"orthogonal"``
            orthogonal, both with that gain and biases of 0. All layers are treated alike.
        dueling: end in a value and an advantage head, each one linear layer on the last hidden
            features, in place of one linear layer.
        seed: decides the weights; the global PyTorch generator is left as it was.

    Returns:
        The network; a forward pass on zeros has shown that it gives (B, num_actions) float32.

    Raises:
        ConfigError: if an option is unknown, the observations are no images that a ``"cnn"`` can
            take, or the user's network cannot be built or gives something else than action values.

    Reference:
        Mnih et al. 2015, Nature 518, "Model architecture"; Young & Tian 2019, arXiv:1903.03176;
        Wang et al. 2016, arXiv:1511.06581, equation 9.
    """
    check_choice("activation", activation, ACTIVATIONS)
    check_choice("initialization", initialization, INITIALIZATIONS)
    if any(units < 1 for units in hidden):
        raise ConfigError(f"hidden = {list(hidden)}: every hidden layer needs 1 unit or more.")
    with torch.random.fork_rng(devices=[]):
        # Not torch.manual_seed: that would also seed the generators of every GPU.
        torch.default_generator.manual_seed(seed)
        if kind in ("mlp", "cnn"):
            layers = _mlp_input(spec) if kind == "mlp" else _cnn_input(spec, activation)
            network: nn.Module = _finish(layers, spec, hidden, activation, dueling)
            _initialize(network, initialization, activation)
            if kind == "cnn":
                network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        else:
            network = _build_custom(kind, spec)
            _check_output(network, spec, kind)
    return network


class DuelingHead(nn.Module):
    """Combine a state value and advantages: `V + A - mean_a A`.

    Reference:
        Wang et al. 2016, arXiv:1511.06581, equation 9.
    """

    def __init__(self, features: int, num_actions: int) -> None:
        super().__init__()
        self.value = nn.Linear(features, 1)
        self.advantage = nn.Linear(features, num_actions)

    def forward(self, features: Tensor) -> Tensor:
        """Give action values, shape (B, num_actions), of features (B, F)."""
        advantage = self.advantage(features)
        return cast(Tensor, self.value(features) + advantage - advantage.mean(1, keepdim=True))


class VectorInput(nn.Module):
    """Flatten observations of any shape and dtype to (B, F) float32."""

    def forward(self, observations: Tensor) -> Tensor:
        """Give the observations as (B, F) float32, unscaled."""
        return observations.flatten(1).to(torch.float32)


class ImageInput(nn.Module):
    """Turn image observations into (B, channels, H, W) float32; uint8 is scaled to [0, 1].

    The channels of a frame with three axes are the last one, unless the first is the shortest of
    the three: some environments put their channels first.
    """

    def __init__(self, spec: EnvironmentSpec) -> None:
        super().__init__()
        frame = spec.observation_shape
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
        if images.dtype == torch.uint8:
            return images.to(torch.float32) * (1.0 / 255.0)
        return images.to(torch.float32)


def dense_view(network: nn.Module) -> dense.DenseNetwork | None:
    """Give a network's forward pass in NumPy, on the same memory.

    Args:
        network: what is loaded into it or trained later is used by both.

    Returns:
        The forward pass; None for a network of another kind than ``"mlp"``, with an activation that
        NumPy lacks, or on a GPU.
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
    if activation is None or not (all(kinds) and fits and 2 * biases == len(parameters)):
        return None
    arrays = {name: parameter.detach().numpy() for name, parameter in parameters.items()}
    return dense.DenseNetwork(arrays, activation)


def weights_to_arrays(module: nn.Module) -> dict[str, NDArray[Any]]:
    """Copy a module's parameters and buffers.

    Args:
        module: on any device.

    Returns:
        Arrays by name, in the module's order, that later updates of the module do not change.
        Some may be of shape (), such as the counter of a batch normalization.
    """
    tensors = _tensors(module)
    return {name: tensor.to("cpu", copy=True).numpy() for name, tensor in tensors.items()}


def load_arrays(module: nn.Module, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Overwrite a module's parameters and buffers, in place and outside of autograd.

    Args:
        module: keeps its tensors, so that whatever holds them sees the new weights.
        arrays: as given by `weights_to_arrays`; may be read-only.

    Raises:
        MismatchError: if names, shapes or dtypes differ from the module's, or a value is not
            finite; nothing has been changed then.
    """
    tensors = _tensors(module)
    check_schema("weights", tensors, arrays)
    check_finite(arrays)
    for name, tensor in tensors.items():
        tensor.copy_(tensor_view(arrays[name]))


def check_choice(parameter: str, value: str, known: Sequence[str] | Mapping[str, object]) -> None:
    """Require a known name.

    Args:
        parameter: what the value is for.
        value: the name.
        known: the names there are.

    Raises:
        ConfigError: if it is another.
    """
    if value not in known:
        raise ConfigError(f'{parameter} = "{value}" is unknown. {did_you_mean(value, known)}')


def tensor_view(array: NDArray[Any]) -> Tensor:
    """Make a tensor that shares the array's memory, even where that is read-only.

    PyTorch has no read-only tensors and warns; whoever calls this promises not to write.

    Args:
        array: any dtype that PyTorch knows; kept alive by the tensor.

    Returns:
        The tensor, on the CPU, to be read only.
    """
    if not array.flags.writeable:
        # The same memory under another flag; the new array's base holds on to the old one.
        interface = dict(array.__array_interface__)
        interface["data"] = (interface["data"][0], False)
        array = np.asarray(SimpleNamespace(__array_interface__=interface, owner=array))
    return torch.from_numpy(array)


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


def _finish(
    start: tuple[OrderedDict[str, nn.Module], int],
    spec: EnvironmentSpec,
    hidden: Sequence[int],
    activation: str,
    dueling: bool,
) -> nn.Sequential:
    """Add hidden layers and the head."""
    layers, features = start
    for index, units in enumerate(hidden):
        layers[f"hidden_{index}"] = nn.Linear(features, units)
        layers[f"hidden_activation_{index}"] = ACTIVATIONS[activation]()
        features = units
    head = DuelingHead if dueling else nn.Linear
    layers["head"] = head(features, spec.num_actions)
    return nn.Sequential(layers)


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


def _build_custom(kind: str | NetworkFactory, spec: EnvironmentSpec) -> nn.Module:
    """Call the user's factory."""
    factory = _find_factory(kind) if isinstance(kind, str) else kind
    if not callable(factory):
        raise ConfigError(f"kind = {kind!r}: {type(factory).__name__} cannot be called.")
    try:
        network: object = factory(spec)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise ConfigError(
            f"kind = {kind!r}: the factory, called with the EnvironmentSpec, raised {reason}"
        ) from error
    if not isinstance(network, nn.Module):
        raise ConfigError(
            f"kind = {kind!r}: the factory returned a {type(network).__name__}; "
            "it must return a torch.nn.Module."
        )
    return network


def _find_factory(kind: str) -> NetworkFactory:
    """Import what ``module:factory`` names."""
    module_name, colon, name = kind.partition(":")
    if not (module_name and colon and name):
        hint = did_you_mean(kind, ("mlp", "cnn"))
        raise ConfigError(
            f'kind = "{kind}" is no network. {hint} A network of your own is named '
            '"module:factory", such as "my_networks:build".'
        )
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and f"{module_name}.".startswith(
            f"{error.name}."
        ):
            raise ConfigError(
                f'kind = "{kind}": there is no module "{error.name}". Install it, or put its '
                "folder on PYTHONPATH."
            ) from error
        reason = f"{type(error).__name__}: {error}"
        raise ConfigError(f'kind = "{kind}": importing {module_name} raised {reason}') from error
    try:
        return cast(NetworkFactory, getattr(module, name))
    except AttributeError as error:
        public = [known for known in vars(module) if not known.startswith("_")]
        hint = did_you_mean(name, public)
        raise ConfigError(f'kind = "{kind}": {module_name} has no "{name}". {hint}') from error


def _check_output(network: nn.Module, spec: EnvironmentSpec, kind: str | NetworkFactory) -> None:
    """Run the user's network on zeros; in evaluation mode, so that no statistics are moved."""
    zeros = torch.from_numpy(np.zeros((2, *spec.stacked_shape), spec.dtype))
    modes = [(module, module.training) for module in network.modules()]
    try:
        with torch.no_grad():
            output = network.eval()(zeros)
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
            f"and should give {wanted}, one value an action."
        )


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    """Give the module's own tensors, detached, by name."""
    state: dict[str, Any] = module.state_dict()
    return {name: value for name, value in state.items() if isinstance(value, Tensor)}
