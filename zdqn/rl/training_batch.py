"""From sampled arrays to the tensors of an update."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, cast, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zdqn.data import Batch
from zdqn.errors import UsageError
from zdqn.rl.weight_arrays import tensor_view


class TrainingBatch(NamedTuple):
    """What one update reads, on the trainer's device.

    Attributes:
        observations: shape (B, *stacked_shape), the environment's dtype.
        actions: shape (B,), int64.
        rewards: n-step returns, shape (B,), float32.
        discounts: bootstrap factors, shape (B,), float32; 0 where the episode terminated.
        next_observations: shape (B, *stacked_shape).
        importance_weights: shape (B,), float32, or None for a plain mean.
        allowed: actions that could be taken at `observations`, shape (B, num_actions), bool; None:
            all. Given together with `next_allowed`, or not at all.
        next_allowed: the same at `next_observations`; perhaps none where the discount is 0.
    """

    observations: Tensor
    actions: Tensor
    rewards: Tensor
    discounts: Tensor
    next_observations: Tensor
    importance_weights: Tensor | None
    allowed: Tensor | None = None
    next_allowed: Tensor | None = None

    @classmethod
    def of_columns(cls, columns: Iterable[Tensor | None]) -> TrainingBatch:
        """Make one of its columns in order, of which only the last three may be None."""
        return cls(*cast("Iterable[Tensor]", columns))


class TrainingBatches(Sequence[TrainingBatch]):
    """Several batches of one size, that lie in memory one after the other.

    Args:
        stacked: their tensors, of shape (K, B, ...) each.
    """

    def __init__(self, stacked: TrainingBatch) -> None:
        self.stacked = stacked
        self._single: list[TrainingBatch] | None = None

    @classmethod
    def of(cls, batches: Sequence[TrainingBatch]) -> TrainingBatches:
        """Take batches of one size and kind that may lie anywhere; copied, if they do."""
        if isinstance(batches, TrainingBatches):
            return batches
        columns: Iterable[Sequence[Tensor | None]] = zip(*batches, strict=True)
        return cls(TrainingBatch.of_columns(map(_stack, columns)))

    def __len__(self) -> int:
        return len(self.stacked.actions)

    def __iter__(self) -> Iterator[TrainingBatch]:
        return iter(self._split())

    @overload
    def __getitem__(self, index: int) -> TrainingBatch: ...

    @overload
    def __getitem__(self, index: slice) -> TrainingBatches: ...

    def __getitem__(self, index: int | slice) -> TrainingBatch | TrainingBatches:
        if isinstance(index, slice):
            if index.start in (None, 0) and (index.stop is None or index.stop >= len(self)):
                return self
            part = (None if each is None else each[index] for each in self.stacked)
            return TrainingBatches(TrainingBatch.of_columns(part))
        return self._split()[index]

    def _split(self) -> list[TrainingBatch]:
        if self._single is None:
            columns = [
                [None] * len(self) if each is None else each.unbind() for each in self.stacked
            ]
            self._single = [TrainingBatch.of_columns(row) for row in zip(*columns, strict=True)]
        return self._single


def prepare_batches(
    batch: Batch,
    batch_size: int,
    importance_weights: NDArray[Any] | None,
    device: torch.device,
) -> TrainingBatches:
    """Turn sampled arrays into the tensors of one or more updates.

    All arrays are converted (and, for a GPU, sent) once, and then cut. On the CPU nothing is
    copied: the arrays must stay as they are until the updates are done.

    Args:
        batch: K * B transitions; read-only arrays are welcome.
        batch_size: B, transitions per update, >= 1.
        importance_weights: shape (K * B,), or None for a plain mean.
        device: where the updates run.

    Returns:
        K batches, in order.

    Raises:
        UsageError: if the batch cannot be cut evenly, or the weights are not one a transition.
    """
    if len(batch) == 0 or len(batch) % batch_size:
        raise UsageError(
            f"{len(batch)} transitions cannot be cut into batches of {batch_size}: ask the memory "
            "for a multiple of the batch size."
        )
    if importance_weights is not None:
        if importance_weights.shape != (len(batch),):
            raise UsageError(
                f"importance weights of shape {importance_weights.shape} for {len(batch)} "
                "transitions: one for each is needed."
            )
        importance_weights = importance_weights.astype(np.float32, copy=False)
    arrays = (
        batch.observations,
        batch.actions,
        batch.rewards,
        batch.discounts,
        batch.next_observations,
        importance_weights,
        batch.allowed,
        batch.next_allowed,
    )
    count = len(batch) // batch_size
    columns = (
        None
        if array is None
        else _to_device(array.reshape(count, batch_size, *array.shape[1:]), device)
        for array in arrays
    )
    return TrainingBatches(TrainingBatch.of_columns(columns))


def _stack(column: Sequence[Tensor | None]) -> Tensor | None:
    tensors = [tensor for tensor in column if tensor is not None]
    if not tensors:
        return None
    return tensors[0][None] if len(tensors) == 1 else torch.stack(tensors)


def _to_device(array: NDArray[Any], device: torch.device) -> Tensor:
    tensor = tensor_view(np.ascontiguousarray(array))
    if device.type == "cpu":
        return tensor
    # Page-locked memory is sent while the GPU computes; PyTorch keeps it until then.
    return tensor.pin_memory().to(device, non_blocking=True)
