import gc
import math

import numpy as np
import pytest
import torch
from torch import nn

from zdqn.data import EnvironmentSpec
from zdqn.errors import MismatchError
from zdqn.rl.networks import build_network
from zdqn.rl.weight_arrays import load_arrays, tensor_view, weights_to_arrays


def build(seed: int = 3) -> nn.Module:
    return build_network(
        EnvironmentSpec((4,), "float32", 2),
        kind="mlp",
        hidden=(8, 5),
        activation="tanh",
        initialization="xavier",
        dueling=False,
        seed=seed,
    )


def test_arrays_are_copies_that_training_does_not_change() -> None:
    network = build()
    arrays = weights_to_arrays(network)
    before = {name: array.copy() for name, array in arrays.items()}
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    assert all(np.array_equal(arrays[name], before[name]) for name in before)


def test_loaded_arrays_change_the_tensors_in_place_and_are_not_kept() -> None:
    source, network = build(seed=1), build(seed=2)
    places = [parameter.data_ptr() for parameter in network.parameters()]
    arrays = weights_to_arrays(source)
    for array in arrays.values():
        array.flags.writeable = False
    load_arrays(network, arrays)
    observations = torch.randn(3, 4)
    assert torch.equal(network(observations), source(observations))
    assert [parameter.data_ptr() for parameter in network.parameters()] == places
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert all(parameter.grad_fn is None for parameter in network.parameters())


def test_buffers_travel_with_the_parameters() -> None:
    source, network = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    source(torch.randn(8, 2))
    load_arrays(network, weights_to_arrays(source))
    assert network.num_batches_tracked == 1
    assert torch.equal(network.running_mean, source.running_mean)  # type: ignore[arg-type]


def test_arrays_of_another_network_are_refused_with_every_difference() -> None:
    network = build()
    arrays = weights_to_arrays(network)
    before = weights_to_arrays(network)
    del arrays["head.bias"]
    arrays["extra"] = np.zeros(1, np.float32)
    arrays["hidden_0.bias"] = np.zeros(9, np.float32)
    arrays["hidden_1.bias"] = np.zeros(5, np.float64)
    with pytest.raises(MismatchError) as caught:
        load_arrays(network, arrays)
    for part in (
        "head.bias is missing (float32 (2,))",
        "extra is unknown (float32 (1,))",
        "hidden_0.bias is float32 (9,) and should be float32 (8,)",
        "hidden_1.bias is float64 (5,) and should be float32 (5,)",
    ):
        assert part in str(caught.value)
    after = weights_to_arrays(network)
    assert all(np.array_equal(after[name], before[name]) for name in before)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_weights_that_are_no_numbers_are_refused_before_anything_changes(value: float) -> None:
    network = build(seed=1)
    arrays = weights_to_arrays(build(seed=2))
    arrays["head.bias"][1] = value
    before = weights_to_arrays(network)
    with pytest.raises(MismatchError, match=r"1 of 2 values of head\.bias are not finite"):
        load_arrays(network, arrays)
    after = weights_to_arrays(network)
    assert all(np.array_equal(after[name], before[name]) for name in before)


@pytest.mark.parametrize("shape", [(6,), (2, 3), (), (0, 3)])
def test_a_view_of_read_only_memory_warns_nobody_and_keeps_it_alive(shape: tuple[int, ...]) -> None:
    numbers = np.arange(math.prod(shape), dtype=np.float32).reshape(shape)
    array = np.frombuffer(numbers.tobytes() + b"more", np.float32, numbers.size).reshape(shape)
    assert not array.flags.writeable
    address = array.__array_interface__["data"][0]
    tensor = tensor_view(array)
    del array
    gc.collect()
    assert numbers.size == 0 or tensor.data_ptr() == address
    np.testing.assert_array_equal(tensor.numpy(), numbers)
