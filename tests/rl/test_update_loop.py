from typing import Any

import pytest
import torch
from torch import Tensor

from tests.rl.interpreted import Interpreted
from tests.rl.test_optimizer import make_batch, make_network, make_optimizer
from zdqn.errors import ConfigError
from zdqn.rl.training_batch import TrainingBatch, TrainingBatches
from zdqn.rl.update_graph import UpdateGraph
from zdqn.rl.update_loop import UpdateLoop


def trace() -> UpdateGraph:
    return make_optimizer(make_network()).trace(make_batch(0), None)


def make_state(graph: UpdateGraph) -> list[Tensor]:
    return [kind.empty().zero_() for kind in graph.interface.state]


def make_loop(graph: UpdateGraph) -> UpdateLoop:
    return UpdateLoop("a.pt2", make_state(graph), load=lambda path: Interpreted(graph))


def test_a_file_that_is_none_is_refused(tmp_path: Any) -> None:
    path = tmp_path / "a.pt2"
    path.write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(ConfigError, match=r"a\.pt2 holds no updates that can be loaded"):
        UpdateLoop(str(path), [])
    with pytest.raises(ConfigError, match="no updates"):
        UpdateLoop(str(tmp_path / "missing.pt2"), [])


def test_one_that_says_nothing_of_itself_is_refused() -> None:
    class Silent:
        def get_metadata(self) -> dict[str, str]:
            return {}

    with pytest.raises(ConfigError, match="no updates"):
        UpdateLoop("a.pt2", [], load=lambda path: Silent())


def test_the_state_of_another_network_is_refused() -> None:
    graph = trace()
    state = make_state(graph)
    state[0] = torch.zeros(9, 3)
    with pytest.raises(ConfigError, match="another network"):
        UpdateLoop("a.pt2", state, load=lambda path: Interpreted(graph))


def test_it_takes_what_was_compiled_for_and_nothing_else() -> None:
    loop = make_loop(trace())
    batch = make_batch(0)
    assert loop.takes([batch])
    assert loop.takes(TrainingBatches.of([batch, batch]))
    assert not loop.moves_target
    half = TrainingBatch.of_columns(each if each is None else each[:3] for each in batch)
    others = [
        half,
        batch._replace(importance_weights=torch.ones(6)),
        batch._replace(observations=batch.observations.double()),
        batch._replace(
            allowed=torch.ones(6, 4, dtype=torch.bool),
            next_allowed=torch.ones(6, 4, dtype=torch.bool),
        ),
    ]
    for other in others:
        assert not loop.takes([other])
        assert not loop.takes(TrainingBatches.of([other, other]))


def test_each_update_is_given_back_by_itself() -> None:
    loop = make_loop(trace())
    batches = TrainingBatches.of([make_batch(seed) for seed in range(3)])
    corrections = torch.full((3,), 0.01), torch.ones(3)
    updates = loop.run(batches.stacked, corrections)
    assert len(updates) == 3
    for update in updates:
        assert update.priorities.shape == (6,)
        assert update.loss.shape == update.gradient_norm.shape == ()
        assert list(update.metrics) == ["q_mean"]
    assert len({float(update.loss) for update in updates}) == 3
