"""The vocabulary: specs, records, versions, batches, scores."""

import hashlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zdqn.data import (
    ALLOWED_DTYPES,
    Batch,
    EnvironmentSpec,
    EvaluationScores,
    WeightVersion,
    record_dtype,
)

# --- specs --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "frame_bytes", "stacked_shape", "words"),
    [
        (EnvironmentSpec((4,), "float32", 2), 16, (4,), "float32 (4,), 2 actions"),
        (
            EnvironmentSpec((84, 84), "uint8", 6, 4),
            7_056,
            (4, 84, 84),
            "uint8 (84, 84), 4 frames stacked, 6 actions",
        ),
        (EnvironmentSpec((1,), "bool", 1), 1, (1,), "bool (1,), 1 actions"),
        (
            EnvironmentSpec((4,), "float32", 9, action_masks=True),
            16,
            (4,),
            "float32 (4,), 9 actions with masks",
        ),
    ],
)
def test_a_spec_knows_sizes_and_describes_itself(spec, frame_bytes, stacked_shape, words):
    assert spec.frame_bytes == frame_bytes
    assert spec.stacked_shape == stacked_shape
    assert spec.describe() == words


def test_the_digest_is_what_the_protocol_says():
    spec = EnvironmentSpec((84, 84), "uint8", 6, 4)
    expected = hashlib.sha256(b"(84, 84)|uint8|6|4").digest()[:8]
    assert spec.digest == int.from_bytes(expected, "little") // 2
    assert EnvironmentSpec((4,), "float32", 2).digest == (
        int.from_bytes(hashlib.sha256(b"(4,)|float32|2|1").digest()[:8], "little") // 2
    )


@pytest.mark.parametrize(("actions", "mask_bytes"), [(1, 1), (8, 1), (9, 2), (64, 8)])
def test_masks_take_a_bit_an_action_where_there_are_some(actions, mask_bytes):
    plain = EnvironmentSpec((4,), "float32", actions)
    masked = EnvironmentSpec((4,), "float32", actions, action_masks=True)
    assert (plain.mask_bytes, plain.row_bytes) == (0, 16)
    assert (masked.mask_bytes, masked.row_bytes) == (mask_bytes, 16 + mask_bytes)
    assert masked.sample_bytes == plain.sample_bytes + 2 * actions


def test_every_part_of_a_spec_changes_its_digest():
    specs = [
        EnvironmentSpec((4,), "float32", 2),
        EnvironmentSpec((5,), "float32", 2),
        EnvironmentSpec((4, 1), "float32", 2),
        EnvironmentSpec((4,), "float64", 2),
        EnvironmentSpec((4,), "float32", 3),
        EnvironmentSpec((4,), "float32", 2, 2),
        EnvironmentSpec((4,), "float32", 2, action_masks=True),
        EnvironmentSpec((4,), "float32", 2, 2, action_masks=True),
    ]
    assert len({spec.digest for spec in specs}) == len(specs)
    assert all(0 <= spec.digest < 2**63 for spec in specs)


def test_allowed_dtypes_are_plain_little_endian_numbers():
    for name in ALLOWED_DTYPES:
        assert np.dtype(name).kind in "buif"
        assert np.dtype(name).name == name
        assert np.dtype(name).newbyteorder("<") == np.dtype(name)


# --- records and versions -----------------------------------------------------------------------


@pytest.mark.parametrize("frame_stack", [1, 4, 32])
def test_a_record_is_packed_as_the_protocol_says(frame_stack):
    dtype = record_dtype(frame_stack)
    assert dtype.itemsize == 24 + 8 * frame_stack
    assert dtype.fields is not None
    offsets = {name: dtype.fields[name][1] for name in dtype.fields}
    assert offsets == {
        "weight_version": 0,
        "observation": 8,
        "next_observation": 8 + 4 * frame_stack,
        "action": 8 + 8 * frame_stack,
        "reward": 12 + 8 * frame_stack,
        "discount": 16 + 8 * frame_stack,
        "priority": 20 + 8 * frame_stack,
    }


@given(st.integers(0, 2**31 - 1), st.integers(0, 2**32 - 1))
def test_a_weight_version_survives_packing(learner_epoch, version):
    packed = WeightVersion(learner_epoch, version).pack()
    assert packed == learner_epoch * 2**32 + version
    assert WeightVersion.unpack(packed) == (learner_epoch, version)
    assert 0 <= packed < 2**63


def test_a_later_epoch_beats_any_version_of_an_earlier_one():
    versions = [WeightVersion(1, 0), WeightVersion(1, 2**32 - 1), WeightVersion(2, 0)]
    packed = [version.pack() for version in versions]
    assert packed == sorted(packed)
    assert sorted(versions) == versions


# --- batches and scores -------------------------------------------------------------------------


def test_a_batch_is_cut_without_copying():
    fields: dict[str, Any] = {name: np.arange(6) for name in Batch.__dataclass_fields__}
    batch = Batch(**fields)
    parts = batch.split(2)
    assert [len(part) for part in parts] == [2, 2, 2]
    assert np.shares_memory(parts[1].rewards, batch.rewards)
    np.testing.assert_array_equal(parts[2].keys, [4, 5])


def test_scores_summarize_themselves():
    scores = EvaluationScores((1.0, 3.0), (10, 20))
    assert scores.mean == 2.0
    assert scores.deviation == 1.0
