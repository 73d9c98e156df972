"""Stacked observations against a list of frames."""

import numpy as np
import pytest

from zdqn.data import EnvironmentSpec
from zdqn.envs.stacking import FrameStacker


@pytest.mark.parametrize("stack", [1, 2, 3, 4, 9])
def test_stacks_hold_the_newest_frames_of_the_episode_only(stack):
    rng = np.random.default_rng(stack)
    spec = EnvironmentSpec((2, 2), "uint8", 3, stack)
    frames = rng.integers(0, 255, (3, 2, 2)).astype(np.uint8)
    stacker = FrameStacker(spec, frames)
    episodes = [[frame] for frame in frames]
    for _ in range(40 * stack):
        frames = rng.integers(0, 255, (3, 2, 2)).astype(np.uint8)
        starting = rng.random(3) < 0.2
        stacker.push(frames, starting if starting.any() else None)
        for i in range(3):
            episodes[i] = ([] if starting[i] else episodes[i]) + [frames[i]]
            expected = np.stack(([episodes[i][0]] * stack + episodes[i])[-stack:])
            given = stacker.observations[i]
            assert given.dtype == np.uint8
            assert np.array_equal(given, expected if stack > 1 else expected[0])
    assert stacker.observations.shape == (3, *spec.stacked_shape)
