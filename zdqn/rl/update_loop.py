"""Several updates in one call of compiled code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from msgspec import json
from torch import Tensor

from zdqn.errors import ConfigError
from zdqn.rl.training_batch import TrainingBatch, TrainingBatches
from zdqn.rl.update_graph import Interface, TensorKind
from zdqn.rl.update_rule import Update, Updates

METADATA = "zdqn"
"""Under which name the file says what it was compiled for."""


class UpdateLoop:
    """Runs what `zdqn.rl.loop_compiling.compile_loop` has compiled.

    Args:
        path: of the file. It is executed: it must come from nobody else.
        state: tensors that stay from update to update, as `zdqn.rl.update_graph.state_of` gives
            them; written to.
        load: makes of a path what has ``run`` and ``get_metadata``; None for machine code.

    Attributes:
        moves_target: whether the target network follows within each update.

    Raises:
        ConfigError: if the file cannot be loaded, or was compiled for another network.
    """

    def __init__(
        self, path: str, state: Sequence[Tensor], load: Callable[[str], Any] | None = None
    ) -> None:
        try:
            self._model = (load or _load)(path)
            interface = json.decode(self._model.get_metadata()[METADATA], type=Interface)
        except (AttributeError, KeyError, RuntimeError, ValueError) as error:
            text = " ".join(str(error).split())[:300]
            raise ConfigError(f"{path} holds no updates that can be loaded ({text}).") from error
        if tuple(TensorKind.of(tensor) for tensor in state) != interface.state:
            raise ConfigError(f"{path} holds the updates of another network.")
        self.moves_target = interface.moves_target
        self._metrics = interface.metrics
        self._seen = [(kind.shape, kind.torch_dtype) for kind in interface.seen]
        self._batch = [(kind.shape, kind.torch_dtype) for kind in interface.batch]
        self._state = list(state)

    def takes(self, batches: Sequence[TrainingBatch]) -> bool:
        """Whether such batches, of which there are some, are what was compiled for."""
        if isinstance(batches, TrainingBatches):  # which would be cut up to see the first one
            stacked = (column for column in batches.stacked if column is not None)
            return [(column.shape[1:], column.dtype) for column in stacked] == self._batch
        first = (column for column in batches[0] if column is not None)
        return [(column.shape, column.dtype) for column in first] == self._batch

    def run(self, stacked: TrainingBatch, corrections: tuple[Tensor, ...]) -> Updates:
        """Make K updates.

        Args:
            stacked: K batches, each tensor of shape (K, B, ...).
            corrections: of Adam, shape (K,) each; and noise of noisy layers, shape (K, ...).

        Returns:
            What each of them saw.
        """
        columns = [column.contiguous() for column in stacked if column is not None]
        count = len(columns[0])
        seen = [torch.empty((count, *shape), dtype=dtype) for shape, dtype in self._seen]
        self._model.run([*self._state, *columns, *corrections, *seen])
        priorities, losses, norms, *metrics = seen
        named = dict(zip(self._metrics, metrics, strict=True))
        return Updates([Update(priorities, losses, named, norms)])


def _load(path: str) -> Any:
    # PyTorch's public way would import its compiler, a second and 80 MB.
    return torch._C._aoti.AOTIModelPackageLoader(path, "model", True, 1, -1)
