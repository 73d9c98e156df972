import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from zdqn.data import EnvironmentSpec
from zdqn.errors import ConfigError
from zdqn.rl.networks import build_network, q_values
from zdqn.rl.weight_arrays import weights_to_arrays

VECTOR = EnvironmentSpec((4,), "float32", 2)
GREY = EnvironmentSpec((84, 84), "uint8", 4, frame_stack=4)
MINATAR = EnvironmentSpec((10, 10, 4), "bool", 6)
OPTIONS: dict[str, Any] = {
    "kind": "mlp",
    "hidden": (8, 5),
    "activation": "tanh",
    "initialization": "xavier",
    "dueling": False,
    "seed": 3,
}


def build(spec: EnvironmentSpec = VECTOR, **options: Any) -> nn.Module:
    return build_network(spec, **{**OPTIONS, **options})


def observations(spec: EnvironmentSpec, count: int = 3) -> NDArray[Any]:
    rng = np.random.default_rng(0)
    return (rng.random((count, *spec.stacked_shape)) * 200).astype(spec.dtype)


def values(network: nn.Module, array: NDArray[Any]) -> NDArray[np.float32]:
    with torch.no_grad():
        output: Tensor = network(torch.from_numpy(array))
    return output.numpy()


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("dueling", [False, True])
@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        *[
            ("mlp", EnvironmentSpec((3,), dtype, 2))
            for dtype in ("bool", "uint8", "uint16", "int64", "float16", "float32", "float64")
        ],
        ("mlp", EnvironmentSpec((3,), "float64", 1, frame_stack=4)),
        ("mlp", MINATAR),
        ("cnn", GREY),
        ("cnn", MINATAR),
        ("cnn", EnvironmentSpec((10, 10, 4), "bool", 6, frame_stack=3)),
        ("cnn", EnvironmentSpec((10, 10), "float32", 3)),
        ("cnn", EnvironmentSpec((36, 40, 3), "uint8", 3)),
        ("cnn", EnvironmentSpec((3, 36, 40), "uint8", 3)),
        ("cnn", EnvironmentSpec((3, 3), "int32", 3)),
        ("cnn", EnvironmentSpec((5, 5, 16), "float32", 3)),
    ],
)
def test_every_network_takes_the_environments_dtype_and_gives_one_float32_an_action(
    kind: str, spec: EnvironmentSpec, dueling: bool
) -> None:
    network = build(spec, kind=kind, dueling=dueling)
    output = values(network, observations(spec))
    assert output.shape == (3, spec.num_actions)
    assert output.dtype == np.float32
    assert np.isfinite(output).all()


def test_an_mlp_is_the_sums_and_tanhs_that_it_claims_to_be() -> None:
    network = build(EnvironmentSpec((2, 2), "float32", 3))
    weights = weights_to_arrays(network)
    array = observations(EnvironmentSpec((2, 2), "float32", 3))
    features = array.reshape(3, 4)
    for layer in ("hidden_0", "hidden_1"):
        features = np.tanh(features @ weights[f"{layer}.weight"].T + weights[f"{layer}.bias"])
    expected = features @ weights["head.weight"].T + weights["head.bias"]
    np.testing.assert_allclose(values(network, array), expected, rtol=1e-5)


def test_a_dueling_head_is_equation_9_of_wang_2016() -> None:
    network = build(dueling=True, hidden=())
    weights = weights_to_arrays(network)
    array = observations(VECTOR)
    value = array @ weights["head.value.weight"].T + weights["head.value.bias"]
    advantage = array @ weights["head.advantage.weight"].T + weights["head.advantage.bias"]
    expected = np.empty((3, 2))
    for row in range(3):
        mean = sum(advantage[row]) / 2
        for action in range(2):
            expected[row, action] = value[row, 0] + advantage[row, action] - mean
    np.testing.assert_allclose(values(network, array), expected, rtol=1e-5)


def test_no_hidden_layers_make_a_linear_network() -> None:
    assert count(build(hidden=())) == 4 * 2 + 2


def test_large_images_get_the_network_of_mnih_2015() -> None:
    convolutions = (4 * 64 * 32 + 32) + (32 * 16 * 64 + 64) + (64 * 9 * 64 + 64)
    network = build(GREY, kind="cnn", hidden=(512,))
    assert count(network) == convolutions + (7 * 7 * 64 * 512 + 512) + (512 * 4 + 4)


def test_small_images_get_the_network_of_young_and_tian_2019() -> None:
    network = build(MINATAR, kind="cnn", hidden=(128,))
    assert count(network) == (4 * 9 * 16 + 16) + (8 * 8 * 16 * 128 + 128) + (128 * 6 + 6)


@pytest.mark.parametrize(
    ("dtype", "bound", "high"),
    [
        ("uint8", 0, 255), ("uint8", 1, 1), ("uint8", 3, 3), ("int8", 1, 1), ("int64", 7, 7),
        ("uint16", 65535, 65535), ("bool", 0, 1), ("float32", 0, 1),
    ],
)  # fmt: skip
def test_one_picture_is_the_same_to_a_cnn_whatever_numbers_it_is_made_of(
    dtype: str, bound: int, high: int
) -> None:
    cells = np.random.default_rng(1).random((3, 5, 5)) < 0.5
    plain = values(build(EnvironmentSpec((5, 5), "float32", 2), kind="cnn"), cells.astype("f4"))
    spec = EnvironmentSpec((5, 5), dtype, 2, observation_bound=bound)
    array = cells.astype(dtype) if dtype == "bool" else (cells * high).astype(dtype)
    np.testing.assert_allclose(values(build(spec, kind="cnn"), array), plain, rtol=1e-5)


def test_integers_of_images_are_scaled_for_a_cnn_and_floats_are_not() -> None:
    integers, floats = (EnvironmentSpec((5, 5), dtype, 2) for dtype in ("uint8", "float32"))
    array = observations(integers)
    scaled = values(build(floats, kind="cnn"), array.astype(np.float32) / 255)
    np.testing.assert_allclose(values(build(integers, kind="cnn"), array), scaled, rtol=1e-5)
    unscaled = values(build(floats, kind="mlp"), array.astype(np.float32))
    np.testing.assert_array_equal(values(build(integers, kind="mlp"), array), unscaled)


def test_channels_may_come_first() -> None:
    last = EnvironmentSpec((6, 7, 2), "float32", 2)
    first = EnvironmentSpec((2, 6, 7), "float32", 2)
    array = observations(last)
    moved = np.ascontiguousarray(np.moveaxis(array, -1, 1))
    expected = values(build(last, kind="cnn"), array)
    np.testing.assert_array_equal(values(build(first, kind="cnn"), moved), expected)


@pytest.mark.parametrize("shape", [(4,), (2, 2, 2, 2), (2, 9), (2, 30, 1)])
def test_a_cnn_refuses_what_is_no_image_and_names_the_ways_out(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="cnn") as caught:
        build(EnvironmentSpec(shape, "float32", 2), kind="cnn")
    for part in (str(shape), '"mlp"', "module:factory"):
        assert part in str(caught.value)


@pytest.mark.parametrize("kind", ["mlp", "cnn"])
def test_each_activation_and_initialization_gives_another_network(kind: str) -> None:
    array = observations(MINATAR)
    outputs = [
        values(build(MINATAR, kind=kind, activation=activation), array).tobytes()
        for activation in ("relu", "tanh", "elu", "gelu", "silu")
    ] + [
        values(build(MINATAR, kind=kind, initialization=initialization), array).tobytes()
        for initialization in ("default", "kaiming", "orthogonal")
    ]
    assert len(set(outputs)) == len(outputs)


@pytest.mark.parametrize(("activation", "gain"), [("tanh", 5 / 3), ("relu", math.sqrt(2))])
def test_initializations_draw_what_their_names_say(activation: str, gain: float) -> None:
    def weight(initialization: str, bias: float) -> NDArray[Any]:
        network = build(hidden=(300,), activation=activation, initialization=initialization)
        arrays = weights_to_arrays(network)
        assert (arrays["hidden_0.bias"] == np.float32(bias)).all()
        assert (arrays["head.bias"] == np.float32(bias)).all()
        return arrays["hidden_0.weight"]

    glorot = gain * math.sqrt(6 / (300 + 4))
    assert 0.95 * glorot < np.abs(weight("xavier", 0.01)).max() <= glorot
    he = gain * math.sqrt(3 / 4)
    assert 0.95 * he < np.abs(weight("kaiming", 0.0)).max() <= he * (1 + 1e-6)
    columns = weight("orthogonal", 0.0)
    np.testing.assert_allclose(columns.T @ columns, gain**2 * np.eye(4), atol=1e-5)


def test_the_seed_decides_the_weights_and_the_global_generator_does_not_notice() -> None:
    torch.manual_seed(11)
    first = weights_to_arrays(build(seed=3))
    after = torch.rand(4)
    torch.manual_seed(11)
    assert torch.equal(torch.rand(4), after)
    torch.manual_seed(12)
    again, other = weights_to_arrays(build(seed=3)), weights_to_arrays(build(seed=4))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["head.weight"], other["head.weight"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"activation": "tahn"}, 'activation = "tahn".*"tanh"'),
        ({"initialization": "he"}, 'initialization = "he".*kaiming'),
        ({"hidden": (64, 0)}, r"hidden = \[64, 0\]"),
    ],
)
def test_what_cannot_be_built_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(**options)


def test_a_networks_action_values_are_its_forward_pass_unless_it_says_otherwise() -> None:
    class Distribution(nn.Linear):
        """Two actions of three equally likely returns each."""

        def forward(self, features: Tensor) -> Tensor:
            numbers: Tensor = super().forward(features)
            return numbers.reshape(-1, 2, 3)

        def q_values(self, features: Tensor) -> Tensor:
            returns: Tensor = self(features)
            return returns.mean(2)

    class Named(nn.Module):
        """A layer that is called q_values is no method."""

        def __init__(self) -> None:
            super().__init__()
            self.hidden, self.q_values = nn.Linear(4, 7), nn.Linear(7, 2)

        def forward(self, features: Tensor) -> Tensor:
            values: Tensor = self.q_values(self.hidden(features))
            return values

    features = torch.from_numpy(observations(VECTOR))
    for network in (build(), Named()):
        assert torch.equal(q_values(network, features), network(features))
    network = Distribution(4, 6)
    assert network(features).shape == (3, 2, 3)
    assert torch.equal(q_values(network, features), network(features).mean(2))
