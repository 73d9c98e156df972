"""From logged episodes to the transitions that a collector would have made of them."""

import numpy as np
import pytest

from zdqn.core.imported_blocks import ImportedBlocks
from zdqn.data import NO_PRIORITY, EnvironmentSpec, LoggedEpisode


def episode(number, length, *, terminated, spec):
    rng = np.random.default_rng(number)
    return LoggedEpisode(
        observations=rng.random((length + 1, *spec.observation_shape)).astype(spec.dtype),
        actions=rng.integers(0, spec.num_actions, length),
        rewards=rng.integers(-3, 4, length),
        terminated=terminated,
    )


def episodes(spec):
    return [
        episode(0, 5, terminated=True, spec=spec),
        episode(1, 1, terminated=False, spec=spec),
        episode(2, 7, terminated=False, spec=spec),
        episode(3, 1, terminated=True, spec=spec),
        episode(4, 12, terminated=True, spec=spec),
    ]


def by_hand(logged, spec, n_step, discount):
    """Write each transition out from the definitions: (stack, action, return, discount, stack)."""
    found = []
    for one in logged:
        length = len(one.actions)

        def stack(place, one=one):
            rows = [max(place - back, 0) for back in reversed(range(spec.frame_stack))]
            return one.observations[rows]

        for begin in range(length):
            end = min(begin + n_step, length)
            reward = sum(discount ** (t - begin) * float(one.rewards[t]) for t in range(begin, end))
            left = 0.0 if one.terminated and end == length else discount ** (end - begin)
            found.append((stack(begin), one.actions[begin], reward, left, stack(end)))
    return found


@pytest.mark.parametrize("clip", [0.0, 0.5, 1.0])
def test_rewards_are_clipped_before_they_are_summed_up(clip):
    spec = EnvironmentSpec((2,), "float32", 3)
    source = ImportedBlocks(
        episodes(spec), spec, n_step=3, discount=0.5, block_transitions=1000, reward_clip=clip
    )
    assert source.fill()
    block = source.take_block()
    limit = clip or np.inf
    wanted = [
        sum(0.5**k * min(max(float(reward), -limit), limit) for k, reward in enumerate(window))
        for one in episodes(spec)
        for window in (one.rewards[t : t + 3] for t in range(len(one.rewards)))
    ]
    assert block is not None
    assert block.records["reward"].tolist() == wanted


@pytest.mark.parametrize("frame_stack", [1, 3])
@pytest.mark.parametrize("n_step", [1, 3, 20])
@pytest.mark.parametrize("block_transitions", [1, 4, 1000])
def test_transitions_are_those_of_the_definitions(frame_stack, n_step, block_transitions):
    spec = EnvironmentSpec((2,), "float32", 3, frame_stack=frame_stack)
    source = ImportedBlocks(
        episodes(spec), spec, n_step=n_step, discount=0.5, block_transitions=block_transitions
    )
    found = []
    while source.fill():
        block = source.take_block()
        assert block is not None
        assert len(block) <= block_transitions
        for record in block.records:
            found.append((
                block.frames[record["observation"]], record["action"], record["reward"],
                record["discount"], block.frames[record["next_observation"]],
            ))  # fmt: skip
            assert record["weight_version"] == 0
            assert record["priority"] == NO_PRIORITY
    wanted = by_hand(episodes(spec), spec, n_step, 0.5)
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        for here, there in zip(one, other, strict=True):
            assert np.array_equal(here, there)
    assert source.over
    assert source.steps == sum(len(one) for one in episodes(spec))
    assert not source.fill()


def test_nobody_has_stepped_them_in_this_run():
    spec = EnvironmentSpec((2,), "float32", 3)
    source = ImportedBlocks(episodes(spec), spec, n_step=1, discount=0.9, block_transitions=4)
    while source.fill():
        source.take_block()
        assert (source.environment_steps, source.episodes) == (0, 0)


def test_no_more_is_taken_than_a_block_needs():
    spec = EnvironmentSpec((2,), "float32", 3)
    source = ImportedBlocks(episodes(spec), spec, n_step=1, discount=0.9, block_transitions=4)
    assert source.fill()
    assert source.fill()  # it is full
    assert (source.steps, source.pending, source.over) == (4, 4, False)


def test_nothing_gives_nothing():
    spec = EnvironmentSpec((2,), "float32", 3)
    source = ImportedBlocks([], spec, n_step=1, discount=0.9, block_transitions=4)
    assert not source.fill()
    assert source.over
