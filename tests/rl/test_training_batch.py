import numpy as np
import pytest
import torch

from tests.rl.sampled import arrays_of, make_batch, make_masked_batch, make_weights
from zdqn.errors import UsageError
from zdqn.rl.training_batch import TrainingBatches, prepare_batches

CPU = torch.device("cpu")


def test_one_reply_becomes_several_batches_without_a_copy() -> None:
    sampled, weights = make_batch(12), make_weights(12).astype(np.float32)
    for array in (*arrays_of(sampled).values(), weights):
        array.flags.writeable = False
    batches = prepare_batches(sampled, 4, weights, CPU)
    assert len(batches) == 3
    for k, batch in enumerate(batches):
        rows = slice(4 * k, 4 * k + 4)
        for name in ("observations", "actions", "rewards", "discounts", "next_observations"):
            np.testing.assert_array_equal(
                getattr(batch, name).numpy(), getattr(sampled, name)[rows]
            )
        assert batch.importance_weights is not None
        np.testing.assert_array_equal(batch.importance_weights.numpy(), weights[rows])
    start = sampled.observations.__array_interface__["data"][0]
    assert batches[0].observations.data_ptr() == start


def test_without_importance_weights_there_are_none() -> None:
    (batch,) = prepare_batches(make_batch(4), 4, None, CPU)
    assert batch.importance_weights is None
    assert batch.allowed is None
    assert batch.next_allowed is None


def test_masks_come_along_with_what_they_are_of() -> None:
    sampled = make_masked_batch(12)
    batches = prepare_batches(sampled, 4, None, CPU)
    for weights in (None, make_weights(12)):
        batches = prepare_batches(sampled, 4, weights, CPU)
        for batch, part in zip(batches, sampled.split(4), strict=True):
            for name in ("allowed", "next_allowed"):
                found = getattr(batch, name)
                assert found.dtype == torch.bool
                np.testing.assert_array_equal(found.numpy(), getattr(part, name))
            assert (batch.importance_weights is None) == (weights is None)
    together = TrainingBatches.of(list(batches)).stacked
    assert together.next_allowed is not None
    assert together.next_allowed.shape == (3, 4, 4)


@pytest.mark.parametrize(("count", "weights"), [(0, None), (7, None), (8, 7)])
def test_a_batch_that_cannot_be_cut_is_refused(count: int, weights: int | None) -> None:
    with pytest.raises(UsageError, match=str(count)):
        prepare_batches(make_batch(count), 4, None if weights is None else make_weights(7), CPU)


def test_a_part_of_several_batches_lies_where_they_do() -> None:
    batches = prepare_batches(make_batch(12), 2, make_weights(12), CPU)
    part = batches[2:5]
    assert len(part) == 3
    assert part.stacked.observations.shape == (3, 2, 3)
    for ours, theirs in zip(part, list(batches)[2:5], strict=True):
        for tensor, other in zip(ours[:6], theirs[:6], strict=True):
            assert tensor is not None
            assert other is not None
            assert tensor.data_ptr() == other.data_ptr()
            assert torch.equal(tensor, other)
    assert batches[:] is batches
    assert batches[0:100] is batches
    assert len(batches[4:100]) == 2


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("weighted", [False, True])
def test_batches_from_anywhere_are_brought_together(count: int, weighted: bool) -> None:
    weights = make_weights(4 * count) if weighted else None
    prepared = prepare_batches(make_batch(4 * count), 4, weights, CPU)
    together = TrainingBatches.of(list(prepared))
    assert TrainingBatches.of(together) is together
    for ours, theirs in zip(together.stacked, prepared.stacked, strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None and theirs is not None:
            assert torch.equal(ours, theirs)
