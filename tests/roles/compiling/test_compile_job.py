from dataclasses import replace

import numpy as np
import pytest

from zdqn.config import load_config
from zdqn.data import Batch, EnvironmentSpec
from zdqn.roles.building import build_trainer
from zdqn.roles.compiling.compile_job import example_batch


@pytest.mark.parametrize(
    "spec",
    [
        EnvironmentSpec((3,), "float32", 4),
        EnvironmentSpec((10, 10), "uint8", 4, frame_stack=2),
        EnvironmentSpec((3,), "float32", 4, action_masks=True),
    ],
    ids=["vector", "image", "masked"],
)
@pytest.mark.parametrize("kind", ["uniform", "prioritized"])
def test_the_example_is_such_as_a_trainer_is_given(spec, kind):
    config = load_config(None, (f"replay.kind={kind}", "algorithm.batch_size=5"))
    frames = np.zeros((5, *spec.stacked_shape), spec.dtype)
    numbers = np.zeros(5, np.float32)
    sampled = Batch(frames, np.zeros(5, np.int64), numbers, numbers, frames, np.zeros(5, np.int64),
                    np.ones(5), np.zeros(5, np.int64))  # fmt: skip
    if spec.action_masks:
        masks = np.ones((5, 4), np.bool_)
        sampled = replace(sampled, allowed=masks, next_allowed=masks)
    weights = np.ones(5) if kind == "prioritized" else None
    trainer = build_trainer(load_config(None, ()), None, EnvironmentSpec((3,), "float32", 4))
    (given,) = trainer.prepare(sampled, 5, weights)
    for ours, theirs in zip(example_batch(config, spec), given, strict=True):
        if theirs is None:
            assert ours is None
        else:
            assert ours is not None
            assert (ours.shape, ours.dtype, ours.stride()) == (
                theirs.shape, theirs.dtype, theirs.stride(),
            )  # fmt: skip
