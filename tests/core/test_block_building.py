"""Blocks against sums that are written out, over steps kept in lists."""

import numpy as np
import pytest

from zdqn.core.block_building import build_block
from zdqn.core.step_log import StepLog
from zdqn.data import NO_PRIORITY, EnvironmentSpec

NO = np.zeros(1, bool)


def make_log(episodes, spec, estimates=()):
    """A log of one environment; an episode is a list of rewards and how it ended.

    The frames count up from 100; estimates are (chosen_q, best_q), one for each step.
    """
    log = StepLog(spec, environments=1, capacity=500)
    left, frame = list(estimates), 99
    for rewards, ending in episodes:
        for k, reward in enumerate([None, *rewards]):
            frame += 1
            starting = None if reward is not None else ~NO
            last = k == len(rewards)
            chosen, best = left.pop(0) if left and starting is None else (None, None)
            log.append(
                None, k, reward or 0, np.full((1, *spec.observation_shape), frame),
                np.array([last and ending == "terminated"]),
                np.array([last and ending == "truncated"]),
                1000 + frame, chosen, best, starting, 0,
            )  # fmt: skip
    return log


def build(log, spec, *, n_step=1, discount=0.5, steps=None):
    steps = log.ready_steps() if steps is None else np.array(steps)
    return build_block(log, steps, spec, n_step=n_step, discount=discount)


def firsts(block, name):
    """Give the stacks of a block's observations, each frame as its number."""
    return (
        block.frames[block.records[name]].reshape(*block.records[name].shape, -1)[..., 0].tolist()
    )


SPEC = EnvironmentSpec((2, 3), "int32", 9)
STACKED = EnvironmentSpec((1,), "uint8", 9, frame_stack=3)


def test_transitions_of_one_step():
    log = make_log([([1, 2, 4], "terminated"), ([8], "truncated"), ([16], "")], SPEC)
    block = build(log, SPEC)
    assert firsts(block, "observation") == [[100], [101], [102], [104], [106]]
    assert firsts(block, "next_observation") == [[101], [102], [103], [105], [107]]
    assert block.records["reward"].tolist() == [1, 2, 4, 8, 16]
    assert block.records["discount"].tolist() == [0.5, 0.5, 0, 0.5, 0.5]
    assert block.records["action"].tolist() == [1, 2, 3, 1, 1]
    assert block.records["weight_version"].tolist() == [1101, 1102, 1103, 1105, 1107]
    assert block.records["priority"].tolist() == [NO_PRIORITY] * 5
    assert block.records.dtype == SPEC.record_dtype
    assert (block.frames.dtype, block.frames.shape) == (np.int32, (8, 2, 3))


def test_transitions_of_three_steps_end_with_their_episodes():
    log = make_log([([1, 2, 4, 8], "terminated"), ([16, 32], "truncated")], SPEC)
    block = build(log, SPEC, n_step=3)
    assert block.records["reward"].tolist() == [
        1 + 2 / 2 + 4 / 4, 2 + 4 / 2 + 8 / 4, 4 + 8 / 2, 8, 16 + 32 / 2, 32,
    ]  # fmt: skip
    assert block.records["discount"].tolist() == [1 / 8, 0, 0, 0, 1 / 4, 1 / 2]
    assert firsts(block, "observation") == [[100], [101], [102], [103], [105], [106]]
    assert firsts(block, "next_observation") == [[103], [104], [104], [104], [107], [107]]


def test_stacks_repeat_the_first_frame_and_never_mix_two_episodes():
    log = make_log([([1, 1, 1], "terminated"), ([1], "terminated")], STACKED)
    block = build(log, STACKED, n_step=2)
    assert firsts(block, "observation") == [
        [100, 100, 100], [100, 100, 101], [100, 101, 102], [104, 104, 104],
    ]  # fmt: skip
    assert firsts(block, "next_observation") == [
        [100, 101, 102], [101, 102, 103], [101, 102, 103], [104, 104, 105],
    ]  # fmt: skip


def test_some_steps_bring_only_their_own_frames_each_once():
    log = make_log([([1] * 9, "terminated")], STACKED)
    block = build(log, STACKED, n_step=2, steps=[5, 6])
    assert block.frames.ravel().tolist() == [102, 103, 104, 105, 106, 107]
    assert block.records["observation"].tolist() == [[0, 1, 2], [1, 2, 3]]
    assert block.records["next_observation"].tolist() == [[2, 3, 4], [3, 4, 5]]


def test_the_order_is_that_of_the_steps():
    log = make_log([([1, 2, 4], "terminated")], SPEC)
    block = build(log, SPEC, steps=[3, 1])
    assert block.records["reward"].tolist() == [4, 1]
    assert firsts(block, "observation") == [[102], [100]]


def test_a_block_shares_no_memory_with_the_log():
    log = make_log([([1, 2], "terminated")], SPEC)
    block = build(log, SPEC)
    log.frames[:], log.rewards[:] = 0, 0
    assert firsts(block, "observation") == [[100], [101]]
    assert block.records["reward"].tolist() == [1, 2]


# --- priorities -----------------------------------------------------------------------------------


def estimate(chosen, best):
    return np.array([chosen], np.float32), np.array([best], np.float32)


def test_a_priority_is_the_distance_of_the_target_from_the_value_of_the_action():
    values = [estimate(10, 20), estimate(30, 40), estimate(50, 60), estimate(70, 80)]
    log = make_log([([1, 2, 4, 8], "terminated")], SPEC, values)
    block = build(log, SPEC)
    # best_q came with the step after, for the observation that it acted on
    assert block.records["priority"].tolist() == [
        abs(1 + 40 / 2 - 10), abs(2 + 60 / 2 - 30), abs(4 + 80 / 2 - 50), abs(8 - 70),
    ]  # fmt: skip
    block = build(log, SPEC, n_step=2)
    assert block.records["priority"].tolist() == [
        abs(1 + 2 / 2 + 60 / 4 - 10), abs(2 + 4 / 2 + 80 / 4 - 30), abs(4 + 8 / 2 - 50), abs(8 - 70)
    ]  # fmt: skip


def test_there_is_none_where_a_value_is_unknown():
    log = make_log([([1, 2], "truncated"), ([4], "terminated")], SPEC, [estimate(10, 20)] * 2)
    # the 1st has both values; the 2nd lacks that of its last observation; the 3rd its own
    assert build(log, SPEC).records["priority"].tolist() == [1, NO_PRIORITY, NO_PRIORITY]


def test_a_discount_of_0_asks_for_no_further_value():
    log = make_log([([1, 2], "truncated")], SPEC, [estimate(10, 20)] * 2)
    assert build(log, SPEC, discount=0.0).records["priority"].tolist() == [9, 8]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "values",
    [
        [estimate(np.nan, 1), estimate(1, 1)],
        [estimate(np.inf, 1), estimate(1, 1)],
        [estimate(1, 1), estimate(1, np.nan)],
        [estimate(1, 1), estimate(1, -np.inf)],
        [estimate(np.inf, 1), estimate(1, np.inf)],
        [estimate(-3e38, 1), estimate(1, 3e38)],
    ],
)
def test_a_diverged_network_gives_no_priority_and_no_warning(values):
    log = make_log([([1, 2], "truncated")], SPEC, values)
    block = build(log, SPEC, discount=1.0, steps=[1])
    assert block.records["priority"].tolist() == [NO_PRIORITY]


# --- all of it, at random -------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
def test_random_episodes(seed):
    rng = np.random.default_rng(seed)
    stack, n_step = int(rng.integers(1, 5)), int(rng.integers(1, 6))
    spec = EnvironmentSpec((2,), "float32", 9, frame_stack=stack)
    discount = float(rng.choice([0, 0.5, 0.9, 1]))
    episodes = [
        (
            rng.normal(size=rng.integers(1, 12)).tolist(),
            str(rng.choice(["terminated", "truncated"])),
        )
        for _ in range(rng.integers(1, 8))
    ]
    count = sum(len(rewards) for rewards, _ in episodes)
    chosen, best = rng.normal(size=(2, count)).astype(np.float32)
    known = [(chosen[k : k + 1], best[k : k + 1]) for k in range(count)]
    log = make_log(episodes, spec, known)

    expected, frame, step = [], 100, 0
    for rewards, ending in episodes:
        last_frame, last_step = frame + len(rewards), step + len(rewards)
        for k in range(len(rewards)):
            window = rewards[k : k + n_step]
            total = sum(discount**i * reward for i, reward in enumerate(window))
            end = k + len(window)
            ended = end == len(rewards)
            factor = 0.0 if ended and ending == "terminated" else discount ** len(window)
            # the value of an episode's last observation comes with the next step of all: here
            # with none of its own, so that it stays unknown
            following = None if ended else float(best[step + end])
            error = abs(total - float(chosen[step + k]) + factor * (following or 0.0))
            unknown = factor > 0 and following is None
            stacks = [
                [float(max(frame, frame + at - back)) for back in range(stack - 1, -1, -1)]
                for at in (k, end)
            ]
            expected.append((*stacks, total, factor, NO_PRIORITY if unknown else error))
        frame, step = last_frame + 1, last_step

    steps = rng.permutation(log.ready_steps())
    order = np.argsort(np.argsort(steps))
    block = build(log, spec, n_step=n_step, discount=discount, steps=steps)
    assert len(block) == count
    for row, place in enumerate(order):
        observation, after, total, factor, priority = expected[place]
        assert firsts(block, "observation")[row] == observation
        assert firsts(block, "next_observation")[row] == after
        record = block.records[row]
        assert record["reward"] == pytest.approx(total, rel=1e-5, abs=1e-6)
        assert record["discount"] == pytest.approx(factor)
        assert record["priority"] == pytest.approx(priority, rel=1e-4, abs=1e-5)
    used = [block.records[name] for name in ("observation", "next_observation")]
    assert np.array_equal(np.unique(used), np.arange(len(block.frames)))
    assert len(np.unique(block.frames, axis=0)) == len(block.frames)
