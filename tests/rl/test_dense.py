"""NumPy's forward pass against PyTorch's, which is the definition."""

from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from zdqn.data import EnvironmentSpec
from zdqn.errors import MismatchError
from zdqn.rl import networks
from zdqn.rl.dense import ACTIVATIONS, MOST_MULTIPLICATIONS, DenseNetwork
from zdqn.rl.layers import VectorInput
from zdqn.rl.networks import build_network, dense_view
from zdqn.rl.weight_arrays import load_arrays, weights_to_arrays

VECTOR = EnvironmentSpec((4,), "float32", 3)


def build(spec: EnvironmentSpec = VECTOR, **options: Any) -> nn.Module:
    settings: dict[str, Any] = {
        "kind": "mlp",
        "hidden": (32, 16),
        "activation": "relu",
        "initialization": "default",
        "dueling": False,
        "seed": 0,
    }
    return build_network(spec, **(settings | options))


def observations(spec: EnvironmentSpec, count: int) -> np.ndarray[Any, Any]:
    values = np.random.default_rng(1).normal(size=(count, *spec.stacked_shape)) * 50
    return values.astype(spec.dtype)


def by_torch(network: nn.Module, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    with torch.inference_mode():
        result: np.ndarray[Any, Any] = network(torch.from_numpy(array)).numpy()
    return result


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("hidden", [(), (8,), (32, 16)])
@pytest.mark.parametrize("dueling", [False, True])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_values_are_those_of_pytorch(
    activation: str, dueling: bool, hidden: tuple[int, ...], count: int
) -> None:
    network = build(activation=activation, dueling=dueling, hidden=hidden)
    forward = dense_view(network)
    assert forward is not None
    array = observations(VECTOR, count)
    values = forward(array)
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, by_torch(network, array), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64", "int64", "bool"])
def test_every_dtype_and_shape_is_flattened_and_left_as_it_was(dtype: str) -> None:
    spec = EnvironmentSpec((2, 3), dtype, 2, frame_stack=2)
    network = build(spec)
    array = np.abs(observations(spec, 2))
    array.flags.writeable = False
    before = array.copy()
    forward = dense_view(network)
    assert forward is not None
    np.testing.assert_allclose(forward(array), by_torch(network, before), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(array, before)


def test_weights_that_are_loaded_or_trained_are_used_at_once() -> None:
    network, array = build(), observations(VECTOR, 2)
    forward = dense_view(network)
    assert forward is not None
    load_arrays(network, weights_to_arrays(build(seed=1)))
    np.testing.assert_allclose(forward(array), by_torch(build(seed=1), array), rtol=1e-4)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.1)
    network(torch.from_numpy(array)).sum().backward()
    optimizer.step()
    np.testing.assert_allclose(forward(array), by_torch(network, array), rtol=1e-4)


def test_a_value_that_is_no_number_stays_none() -> None:
    forward = dense_view(build())
    assert forward is not None
    assert np.isnan(forward(np.full((1, 4), np.nan, np.float32))).all()


@pytest.mark.parametrize("activation", sorted(set(networks.ACTIVATIONS) - set(ACTIVATIONS)))
def test_activations_that_numpy_lacks_are_left_to_pytorch(activation: str) -> None:
    assert dense_view(build(activation=activation)) is None


def test_networks_of_another_kind_are_left_to_pytorch() -> None:
    assert dense_view(build(EnvironmentSpec((10, 10), "uint8", 2), kind="cnn")) is None
    assert dense_view(nn.Linear(4, 2)) is None
    assert dense_view(nn.Sequential(nn.Flatten(), nn.Linear(4, 2))) is None


@pytest.mark.parametrize(
    "layers",
    [
        {"norm": nn.LayerNorm(4), "head": nn.Linear(4, 2)},
        {"head": nn.Linear(4, 2, bias=False)},
        {"head": nn.Sequential(nn.Linear(4, 2))},
        {"head": nn.Linear(4, 2).double()},
        {"hidden_0": nn.Linear(4, 4), "head": nn.Linear(4, 2)},
        {"hidden_0": nn.Linear(4, 4), "hidden_activation_0": nn.GELU(), "head": nn.Linear(4, 2)},
        {},
    ],
    ids=["norm", "no bias", "nested", "double", "no activation", "gelu", "no head"],
)
def test_a_network_that_only_looks_like_ours_is_left_to_pytorch(layers: Any) -> None:
    assert dense_view(nn.Sequential(OrderedDict(input=VectorInput(), **layers))) is None


@pytest.mark.parametrize(("units", "rows"), [(64, MOST_MULTIPLICATIONS // 64**2), (1024, 0)])
def test_large_networks_take_fewer_rows(units: int, rows: int) -> None:
    forward = dense_view(build(hidden=(units, units)))
    assert forward is not None
    assert forward.most_rows == rows


@pytest.mark.parametrize("hidden", [(), (8,), (32, 16)])
@pytest.mark.parametrize("dueling", [False, True])
def test_an_empty_network_takes_the_weights_of_its_pytorch_twin(
    dueling: bool, hidden: tuple[int, ...]
) -> None:
    spec = EnvironmentSpec((2, 3), "uint8", 5, frame_stack=2)
    twin = build(spec, hidden=hidden, dueling=dueling, activation="tanh")
    network = DenseNetwork.empty(spec, hidden=hidden, dueling=dueling, activation="tanh")
    array = np.abs(observations(spec, 3))
    assert not network(array).any()
    network.load(weights_to_arrays(twin))
    np.testing.assert_allclose(network(array), by_torch(twin, array), rtol=1e-4, atol=1e-4)


def test_loaded_weights_are_copied() -> None:
    network = DenseNetwork.empty(VECTOR, hidden=(8,), dueling=False, activation="relu")
    arrays = weights_to_arrays(build(hidden=(8,)))
    network.load(arrays)
    before = network(observations(VECTOR, 1))
    for array in arrays.values():
        array[...] = 0.0
    np.testing.assert_array_equal(network(observations(VECTOR, 1)), before)


@pytest.mark.parametrize("spoil", ["another shape", "a NaN", "one too few"])
def test_weights_that_do_not_fit_change_nothing(spoil: str) -> None:
    network = DenseNetwork.empty(VECTOR, hidden=(8,), dueling=False, activation="relu")
    network.load(weights_to_arrays(build(hidden=(8,), seed=1)))
    before = network(observations(VECTOR, 1))
    arrays = weights_to_arrays(build(hidden=(8,), seed=2))
    if spoil == "another shape":
        arrays["head.bias"] = np.zeros(7, np.float32)
    elif spoil == "a NaN":
        arrays["head.bias"][1] = np.nan
    else:
        del arrays["head.bias"]
    with pytest.raises(MismatchError, match="weights"):
        network.load(arrays)
    np.testing.assert_array_equal(network(observations(VECTOR, 1)), before)
