"""The payloads of samples, accounts, weights, actions and scores: which arrays, in which order."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zdqn.data import ALLOWED_DTYPES, Batch, EnvironmentSpec
from zdqn.errors import ProtocolError
from zdqn.wire.codec import (
    ArrayLayout,
    Message,
    allocate,
    array_start,
    encode,
    expect,
    read_arrays,
)
from zdqn.wire.memory_messages import Accounts, Batches, SessionBlocks
from zdqn.wire.model_messages import ActionRequest, TensorInfo, Weights

_INT64 = np.dtype("<i8")
_FLOAT32 = np.dtype("<f4")
_FLOAT64 = np.dtype("<f8")
_UINT8 = np.dtype("u1")
_BOOL = np.dtype("?")


def batches_layout(
    count: int, spec: EnvironmentSpec, *, shared: bool = False
) -> tuple[ArrayLayout, ...]:
    """Lay out the payload of `Batches` with `count` transitions in all."""
    numbers = (
        (_INT64, (count,)),
        (_FLOAT64, (count,)),
        (_INT64, (count,)),
        (_INT64, (count,)),
        (_FLOAT32, (count,)),
        (_FLOAT32, (count,)),
    )
    masks = ((_BOOL, (count, spec.num_actions)),) * (2 if spec.action_masks else 0)
    if shared:
        return (*numbers, *masks)
    observations = (spec.dtype, (count, *spec.stacked_shape))
    return (observations, observations, *numbers, *masks)


def _as_batch(arrays: Sequence[NDArray[Any]]) -> Batch:
    observations, next_observations, keys, probabilities, versions, *rest = arrays
    actions, rewards, discounts, *masks = rest
    allowed, next_allowed = masks or (None, None)
    return Batch(
        observations=observations,
        actions=actions,
        rewards=rewards,
        discounts=discounts,
        next_observations=next_observations,
        keys=keys,
        probabilities=probabilities,
        weight_versions=versions,
        allowed=allowed,
        next_allowed=next_allowed,
    )


def slot_bytes(count: int, spec: EnvironmentSpec) -> int:
    """Give the bytes that the frames of `count` transitions take in a slot."""
    return _next_observations_at(count, spec) + count * spec.stacked_bytes


def _next_observations_at(count: int, spec: EnvironmentSpec) -> int:
    return array_start(count * spec.stacked_bytes, 1)


def _view_slot(
    slot: NDArray[np.uint8], count: int, spec: EnvironmentSpec
) -> tuple[NDArray[Any], ...]:
    """View both observations of `count` transitions in a slot that is long enough."""
    nbytes = count * spec.stacked_bytes
    return tuple(
        slot[start : start + nbytes].view(spec.dtype).reshape(count, *spec.stacked_shape)
        for start in (0, _next_observations_at(count, spec))
    )


def allocate_batches(
    header: Batches, spec: EnvironmentSpec, slot: NDArray[np.uint8] | None = None
) -> tuple[NDArray[np.uint8], Batch]:
    """Prepare a reply and the batch whose arrays are views of it, to be filled.

    Args:
        header: of the reply.
        spec: of the environment.
        slot: where frames go if the header says `Batches.shared`, `slot_bytes` or more.
    """
    count = header.batches * header.batch_size
    buffer, arrays = allocate(header, batches_layout(count, spec, shared=header.shared))
    if header.shared:
        assert slot is not None
        return buffer, _as_batch([*_view_slot(slot, count, spec), *arrays])
    return buffer, _as_batch(arrays)


def read_batches(
    message: Message, spec: EnvironmentSpec, slot: NDArray[np.uint8] | None = None
) -> tuple[Batches, Batch]:
    """View a reply's batches, all in one `Batch` (cut it with `Batch.split`).

    Args:
        message: the reply.
        spec: of the environment.
        slot: where frames are if the reply says so; None if none was offered.

    Raises:
        ProtocolError: when its length is not what header and spec imply, or the slot does not hold
            what it is said to.
    """
    header = expect(message, Batches)
    count = header.batches * header.batch_size
    arrays = read_arrays(message, batches_layout(count, spec, shared=header.shared))
    if not header.shared:
        return header, _as_batch(arrays)
    if slot is None or slot_bytes(count, spec) > len(slot):
        raise ProtocolError(
            f"a reply of {count} transitions is said to have its frames in shared memory, where "
            f"{'none was offered' if slot is None else f'{len(slot)} bytes were offered'}"
        )
    return header, _as_batch([*_view_slot(slot, count, spec), *arrays])


def priorities_layout(count: int) -> tuple[ArrayLayout, ...]:
    """Lay out the payload of a `SampleRequest`."""
    return (_INT64, (count,)), (_FLOAT32, (count,))


def encode_accounts(
    session: int, blocks: Sequence[SessionBlocks], *, continues: bool = False
) -> bytes:
    """Write an `Accounts` message.

    Args:
        session: of the memory.
        blocks: a row for each collector.
        continues: see `Accounts`.
    """
    rows = np.array(blocks, np.int64).reshape(-1, len(SessionBlocks._fields))
    return encode(Accounts(session=session, rows=len(rows), continues=continues), [rows])


def read_accounts(message: Message) -> tuple[Accounts, list[SessionBlocks]]:
    """Read an `Accounts` message.

    Raises:
        ProtocolError: when it is none, its length is not what its header implies, or a number is
            negative.
    """
    header = expect(message, Accounts)
    layout = ((_INT64, (header.rows, len(SessionBlocks._fields))),)
    (rows,) = read_arrays(message, layout)
    if (rows < 0).any():
        raise ProtocolError("accounts hold a number below 0")
    return header, [SessionBlocks(*row) for row in rows.tolist()]


def describe_tensors(arrays: dict[str, NDArray[Any]]) -> tuple[TensorInfo, ...]:
    """Name the arrays of a network for a `Weights` header."""
    return tuple(TensorInfo(name, array.dtype.name, array.shape) for name, array in arrays.items())


def read_weights(message: Message, header: Weights) -> dict[str, NDArray[Any]]:
    """View the arrays of a `Weights` or `Snapshot` message.

    Raises:
        ProtocolError: for a dtype that may not travel, a bad shape or a wrong length.
    """
    for tensor in header.tensors:
        # NumPy refuses an array whose other dimensions overflow even if one of them is 0
        if tensor.dtype not in ALLOWED_DTYPES or prod(size or 1 for size in tensor.shape) > 2**40:
            raise ProtocolError(f"weights hold {tensor}, which may not travel")
    if len({tensor.name for tensor in header.tensors}) < len(header.tensors):
        raise ProtocolError("weights hold two arrays of the same name")
    layout = [(np.dtype(tensor.dtype), tensor.shape) for tensor in header.tensors]
    arrays = read_arrays(message, layout)
    return {tensor.name: array for tensor, array in zip(header.tensors, arrays, strict=True)}


def action_request_layout(header: ActionRequest, spec: EnvironmentSpec) -> tuple[ArrayLayout, ...]:
    """Lay out the payload of an `ActionRequest`."""
    observations: ArrayLayout = (spec.dtype, (header.count, *spec.stacked_shape))
    if not spec.action_masks:
        return (observations,)
    return observations, (_UINT8, (header.count, spec.mask_bytes))


def actions_layout(count: int) -> tuple[ArrayLayout, ...]:
    """Lay out the payload of `Actions`."""
    return ((_INT64, (count,)),)


def scores_layout(episodes: int) -> tuple[ArrayLayout, ...]:
    """Lay out the payload of an `EvaluationResult`."""
    return (_FLOAT64, (episodes,)), (_INT64, (episodes,))
