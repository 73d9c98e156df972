"""Does in Python, slowly and at once, what a compiled loop over updates does."""

from typing import Any

import pytest
import torch
from msgspec import json
from torch import Tensor

from zdqn.core.trainer import Trainer
from zdqn.rl.training_batch import TrainingBatch
from zdqn.rl.update_graph import UpdateGraph
from zdqn.rl.update_loop import METADATA


class Interpreted:
    """What `zdqn.rl.loop_compiling.compile_loop` makes of a graph, without a compiler."""

    def __init__(self, graph: UpdateGraph) -> None:
        names: dict[str, Any] = {"torch": torch, "device": torch.device}
        exec(graph.code, names)
        self._update = names["forward"]
        self._interface = graph.interface
        self.calls: list[int] = []

    def get_metadata(self) -> dict[str, str]:
        return {METADATA: json.encode(self._interface).decode()}

    def run(self, tensors: list[Tensor]) -> None:
        left = iter(tensors)
        interface = self._interface
        state, batches, corrections, seen = (
            [next(left) for _ in kinds]
            for kinds in (interface.state, interface.batch, interface.corrections, interface.seen)
        )
        self.calls.append(len(batches[0]))
        for k in range(len(batches[0])):
            row = [column[k] for column in (*batches, *corrections)]
            for place, value in zip(seen, self._update(None, *state, *row), strict=True):
                place[k].copy_(value)


def adopt_interpreted(
    trainer: Trainer, batch: TrainingBatch, monkeypatch: pytest.MonkeyPatch
) -> Interpreted:
    """Let a trainer make its updates with its own graph, several in one call."""
    interpreted = Interpreted(trainer.trace(batch))
    with monkeypatch.context() as patch:
        patch.setattr("zdqn.rl.update_loop._load", lambda path: interpreted)
        trainer.adopt("interpreted.pt2")
    return interpreted
