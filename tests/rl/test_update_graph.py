import copy
from typing import Any

import pytest
import torch

from tests.rl.test_optimizer import DQN, make_batch, make_network, make_optimizer
from zdqn.rl.objectives import QLearning
from zdqn.rl.update_graph import TensorKind

MASKS = torch.ones(6, 4, dtype=torch.bool)


def digest(**options: Any) -> str:
    rate = options.pop("rate", None)
    batch = options.pop("batch", make_batch(0))
    return make_optimizer(make_network(), **options).trace(batch, rate).digest


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64, torch.uint8, torch.bool])
def test_a_kind_makes_a_tensor_like_the_one_it_was_made_of(dtype: torch.dtype) -> None:
    tensor = torch.zeros(2, 3, 4, dtype=dtype).permute(2, 0, 1)
    kind = TensorKind.of(tensor)
    made = kind.empty()
    assert (made.shape, made.stride(), made.dtype) == (tensor.shape, tensor.stride(), dtype)
    assert TensorKind.of(made) == kind


def test_the_same_update_is_the_same_text_whatever_it_computes_with() -> None:
    assert digest() == digest(batch=make_batch(7))


@pytest.mark.parametrize(
    "options",
    [
        {"max_gradient_norm": 0.0},
        {"objective": QLearning(double=False, loss="huber", huber_delta=1.0)},
        {"batch": make_batch(0)._replace(importance_weights=torch.ones(6))},
        {"batch": make_batch(0)._replace(allowed=MASKS, next_allowed=MASKS)},
    ],
    ids=["norm", "objective", "weights", "masks"],
)
def test_another_update_is_another_text(options: Any) -> None:
    assert digest(**options) != digest()


def test_nothing_is_trained_by_writing_it_down() -> None:
    network = make_network()
    optimizer = make_optimizer(network)
    before, moments = copy.deepcopy(network.state_dict()), optimizer.state_dict()
    graph = optimizer.trace(make_batch(0), None)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert str(moments) == str(optimizer.state_dict())
    assert graph.interface.metrics == tuple(
        DQN(make_batch(0), make_network(), make_network()).metrics
    )
    assert [kind.shape for kind in graph.interface.seen] == [(6,), (), (), ()]
