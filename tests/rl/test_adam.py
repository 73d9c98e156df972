import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from zdqn.errors import ConfigError
from zdqn.rl.adam import Adam, AdamSettings, FusedAdam, Moments, WrittenAdam

SETTINGS = AdamSettings(learning_rate=0.1, beta1=0.8, beta2=0.99, eps=1e-3)
WAYS: list[Callable[[dict[str, Tensor]], Adam]] = [
    lambda parameters: FusedAdam(SETTINGS, parameters),
    lambda parameters: WrittenAdam(SETTINGS, torch.device("cpu")),
]


def make_tensors(seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = {"a": (3,), "b": (2, 2), "c": (2, 1, 2, 2)}
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def flat(tensors: dict[str, Tensor]) -> list[float]:
    return torch.cat([tensor.ravel() for tensor in tensors.values()]).tolist()


def step(
    adam: Adam, parameters: dict[str, Tensor], moments: Moments, steps: int, divisor: float = 1.0
) -> None:
    tensor = None if divisor == 1.0 else torch.tensor(divisor)
    adam.apply(parameters, moments, make_tensors(steps + 1), tensor, adam.corrections(steps))


@pytest.mark.parametrize("divisor", [1.0, 4.0])
@pytest.mark.parametrize("make", WAYS, ids=["fused", "written"])
def test_steps_are_those_of_kingma_and_ba_2015(
    make: Callable[[dict[str, Tensor]], Adam], divisor: float
) -> None:
    parameters = make_tensors(0)
    moments, adam = Moments.zeros(parameters), make(parameters)
    expected = flat(parameters)
    first, second = [0.0] * len(expected), [0.0] * len(expected)
    for t in range(1, 8):
        step(adam, parameters, moments, t - 1, divisor)
        for i, gradient in enumerate(flat(make_tensors(t))):
            first[i] = 0.8 * first[i] + 0.2 * gradient / divisor
            second[i] = 0.99 * second[i] + 0.01 * (gradient / divisor) ** 2
            root = math.sqrt(second[i] / (1 - 0.99**t))
            expected[i] -= 0.1 * first[i] / (1 - 0.8**t) / (root + 1e-3)
        assert flat(parameters) == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert flat(moments.first) == pytest.approx(first, rel=1e-4, abs=1e-6)
    assert flat(moments.second) == pytest.approx(second, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("other", WAYS, ids=["fused", "written"])
@pytest.mark.parametrize("make", WAYS, ids=["fused", "written"])
def test_each_goes_on_from_where_the_other_was(
    make: Callable[[dict[str, Tensor]], Adam], other: Callable[[dict[str, Tensor]], Adam]
) -> None:
    parameters = make_tensors(0)
    moments, adam = Moments.zeros(parameters), make(parameters)
    for steps in range(3):
        step(adam, parameters, moments, steps)
    copies = {name: tensor.clone() for name, tensor in parameters.items()}
    copied = Moments(*({name: moment.clone() for name, moment in each.items()} for each in moments))
    resumed = other(copies)
    resumed.resume(3)
    step(adam, parameters, moments, 3)
    step(resumed, copies, copied, 3)
    assert flat(copies) == pytest.approx(flat(parameters), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize(
    ("numbers", "name"),
    [
        ((-1.0, 0.9, 0.9, 1e-8), "learning_rate = -1.0"),
        ((math.nan, 0.9, 0.9, 1e-8), "learning_rate"),
        ((0.1, 1.0, 0.9, 1e-8), "adam_beta1 = 1.0"),
        ((0.1, 0.9, -0.1, 1e-8), "adam_beta2"),
        ((0.1, 0.9, 0.9, 0.0), "adam_eps"),
    ],
)
def test_settings_out_of_range_are_named(
    numbers: tuple[float, float, float, float], name: str
) -> None:
    with pytest.raises(ConfigError, match=name):
        AdamSettings(*numbers)
