"""The table of conventions in docs/algorithm.md: what it says of formulas, against the code.

Adam's epsilon and the period of the target network are held by tests of their own modules.
"""

import numpy as np
import pytest
import torch
from torch.nn import functional

from zdqn.config import load_config
from zdqn.data import EnvironmentSpec
from zdqn.envs.stacking import FrameStacker
from zdqn.rl.importance import importance_weights
from zdqn.rl.layers import ImageInput, VectorInput
from zdqn.rl.objectives import huber, squared
from zdqn.roles.acting.epsilon import EpsilonSource

ERRORS = torch.tensor([-3.0, -0.5, 0.0, 0.2, 2.0, 5.0])


def test_the_squared_loss_is_half_of_the_square():
    torch.testing.assert_close(squared(ERRORS), ERRORS**2 / 2)


@pytest.mark.parametrize("delta", [0.5, 1.0, 2.0])
def test_the_huber_loss_is_scaled_by_delta(delta):
    smooth = functional.smooth_l1_loss(
        ERRORS, torch.zeros_like(ERRORS), reduction="none", beta=delta
    )
    torch.testing.assert_close(huber(ERRORS, delta), smooth * delta)


def test_epsilon_falls_from_the_first_environment_step_on():
    source = EpsilonSource(load_config(None, ("exploration.epsilon_decay_environment_steps=1000",)))
    assert source.at(0, 1, 0) == 1.0
    assert source.at(100, 1, 0) == pytest.approx(0.91)  # within the warm-up of replay.min_size


def test_importance_weights_are_normalized_by_their_batch():
    assert importance_weights(np.array([0.5, 0.25]), 1.0).tolist() == [0.5, 1.0]


def test_a_stack_begins_with_its_first_frame_repeated():
    spec = EnvironmentSpec((1,), "float32", 2, frame_stack=3)
    assert FrameStacker(spec, np.ones((1, 1), "f4")).observations.tolist() == [[[1], [1], [1]]]


def test_only_integers_of_images_are_scaled_and_only_by_a_cnn():
    spec = EnvironmentSpec((2, 2), "uint8", 2)
    ones = torch.ones((1, 2, 2), dtype=torch.uint8)
    assert ImageInput(spec)(ones).max().item() == pytest.approx(1 / 255)
    assert VectorInput()(ones).max().item() == 1.0
