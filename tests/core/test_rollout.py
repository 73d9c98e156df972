"""The rollout against a slow, obvious re-play of the same scripted episodes."""

import subprocess
import sys

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from zdqn.core.rollout import Rollout
from zdqn.data import NO_PRIORITY
from zdqn.envs import environment_spec, make_environments
from zdqn.errors import ConfigError, EnvironmentFailedError, UsageError


class ScriptedEnv(gymnasium.Env):
    """Frames say where they come from: environment * 1,000,000 + episode * 1,000 + t."""

    action_space = gymnasium.spaces.Discrete(3)

    def __init__(self, index=0, end_chance=0.1, shape=(2,), dtype=np.float64):
        self.observation_space = gymnasium.spaces.Box(-1, 1e9, shape, dtype)
        self.index, self.end_chance = index, end_chance
        self.script = np.random.default_rng(1000 + index)
        self.episode, self.t = -1, 0

    def frame(self):
        value = self.index * 1_000_000 + self.episode * 1_000 + self.t
        return np.full(self.observation_space.shape, value, self.observation_space.dtype)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.episode, self.t = self.episode + 1, 0
        return self.frame(), {}

    def step(self, action):
        self.t += 1
        reward = float(action + 10 * self.script.random())
        ends = self.script.random(2) < self.end_chance
        return self.frame(), reward, bool(ends[0]), bool(ends[1]), {}


def scripted(count, **kwargs):
    makers = [lambda i=i: ScriptedEnv(i, **kwargs) for i in range(count)]
    return SyncVectorEnv(makers, copy=False, autoreset_mode=AutoresetMode.NEXT_STEP)


def make_rollout(environments, *, stack=1, n_step=1, discount=0.9, block=64):
    return Rollout(
        environments,
        environment_spec(environments, stack),
        n_step=n_step,
        discount=discount,
        block_transitions=block,
        seed=3,
        label="collector-3",
    )


def play_slowly(index, actions, stack, end_chance):
    """One environment, step by step: for each row None (a reset), or what happened in it."""
    env = ScriptedEnv(index, end_chance)
    rows: list[tuple[float, bool, bool] | None] = []
    history, done, stacks = [env.reset()[0]], False, []
    for action in actions:
        stacks.append(np.stack(([history[0]] * stack + history)[-stack:]))
        if done:
            history, done = [env.reset()[0]], False
            rows.append(None)
        else:
            frame, reward, terminated, truncated, _ = env.step(action)
            history.append(frame)
            done = terminated or truncated
            rows.append((reward, terminated, truncated))
    stacks.append(np.stack(([history[0]] * stack + history)[-stack:]))
    return rows, stacks


def slow_transition(rows, stacks, row, n_step, discount):
    """What starts in a row: (observation, return, discount, next observation, its row)."""
    total = 0.0
    for k in range(n_step):
        reward, terminated, truncated = rows[row + k]
        total += discount**k * reward
        if terminated or truncated or k == n_step - 1:
            bootstrap = 0.0 if terminated else discount ** (k + 1)
            return stacks[row], total, bootstrap, stacks[row + k + 1], row + k + 1
    raise AssertionError


def stacks_of(block, name):
    return block.frames[block.records[name]]


def run_random(rollout, steps, count, *, with_q, version_each=False):
    rng = np.random.default_rng(7)
    actions = rng.integers(0, 3, (steps, count))
    chosen, best = rng.normal(size=(2, steps, count)).astype(np.float32)
    blocks, seen = [], []
    for row in range(steps):
        seen.append(rollout.observations.copy())
        version = np.arange(count) + row * count if version_each else row
        q_values = (chosen[row], best[row]) if with_q else ()
        rollout.step(actions[row], version, *q_values)
        if rollout.full or rng.random() < 0.02:
            blocks.append(rollout.take_block())
    while rollout.pending:
        blocks.append(rollout.take_block())
    assert rollout.take_block() is None
    return actions, chosen, best, [block for block in blocks if block is not None], seen


@pytest.mark.parametrize(
    ("count", "n_step", "stack", "block", "end_chance", "with_q"),
    [
        (1, 1, 1, 1, 0.1, False),
        (1, 1, 1, 1, 0.1, True),
        (1, 3, 4, 64, 0.02, False),
        (1, 3, 4, 5, 0.2, True),
        (1, 10, 2, 16, 0.05, True),
        (2, 5, 4, 2, 0.3, False),
        (3, 1, 4, 7, 0.1, False),
        (3, 4, 3, 20, 0.0, True),
        (4, 3, 4, 64, 0.1, True),
        (5, 2, 1, 50, 0.9, True),
        (8, 3, 2, 8, 0.1, False),
    ],
)
def test_blocks_hold_what_a_slow_replay_gives(count, n_step, stack, block, end_chance, with_q):
    steps, discount = 230, 0.9
    rollout = make_rollout(
        scripted(count, end_chance=end_chance),
        stack=stack, n_step=n_step, discount=discount, block=block,
    )  # fmt: skip
    actions, chosen, best, blocks, seen = run_random(rollout, steps, count, with_q=with_q)
    replay = [play_slowly(i, actions[:, i], stack, end_chance) for i in range(count)]

    for row in range(steps):
        for i in range(count):
            expected = replay[i][1][row]
            assert np.array_equal(seen[row][i], expected if stack > 1 else expected[0])

    ready = steps - (n_step if with_q else n_step - 1)
    expected_order = [(r, i) for r in range(ready) for i in range(count) if replay[i][0][r]]
    taken = [(block, t) for block in blocks for t in range(len(block))]
    assert len(taken) == len(expected_order)
    for (given, t), (row, i) in zip(taken, expected_order, strict=True):
        rows, stacks = replay[i]
        observation, total, bootstrap, following, next_row = slow_transition(
            rows, stacks, row, n_step, discount
        )
        record = given.records[t]
        assert np.array_equal(given.frames[record["observation"]], observation)
        assert np.array_equal(given.frames[record["next_observation"]], following)
        assert record["action"] == actions[row, i]
        assert record["weight_version"] == row
        assert record["reward"] == pytest.approx(total, rel=1e-5)
        assert record["discount"] == pytest.approx(bootstrap, rel=1e-6)
        if with_q:
            bootstrapped = bootstrap * best[next_row, i] if bootstrap else 0.0
            priority = abs(total + bootstrapped - chosen[row, i])
            assert record["priority"] == pytest.approx(priority, rel=1e-4, abs=1e-4)
        else:
            assert record["priority"] == NO_PRIORITY

    valid = sum(rows is not None for env_rows, _ in replay for rows in env_rows)
    ends = [row for env_rows, _ in replay for row in env_rows if row and (row[1] or row[2])]
    assert rollout.environment_steps == valid
    assert rollout.episodes == len(ends) == len(rollout.take_episodes())
    assert rollout.take_episodes() == []


@pytest.mark.parametrize(("count", "stack", "n_step", "block"), [(1, 4, 3, 9), (4, 3, 2, 30)])
def test_a_block_is_self_contained_and_carries_no_frame_twice_or_for_nothing(
    count, stack, n_step, block
):
    rollout = make_rollout(scripted(count), stack=stack, n_step=n_step, block=block)
    *_, blocks, _ = run_random(rollout, 400, count, with_q=False)
    assert len(blocks) > 10
    for given in blocks:
        assert 0 < len(given) <= block
        references = np.concatenate(
            [given.records["observation"], given.records["next_observation"]]
        )
        assert np.array_equal(np.unique(references), np.arange(len(given.frames)))
        assert len(np.unique(given.frames, axis=0)) == len(given.frames)
        for name in ("observation", "next_observation"):
            episodes = stacks_of(given, name)[..., 0] // 1_000
            assert (episodes == episodes[:, :1]).all(), "a stack mixes two episodes"
        same = given.records["discount"] > 0
        before, after = (stacks_of(given, name)[..., 0, 0] // 1_000
                         for name in ("observation", "next_observation"))  # fmt: skip
        assert np.array_equal(before[same], after[same])


def test_blocks_do_not_change_after_they_were_taken():
    rollout = make_rollout(scripted(2), stack=2, n_step=2, block=8)
    kept = []
    for _ in range(100):
        rollout.step(np.zeros(2, np.int64), 0)
        if rollout.full:
            block = rollout.take_block()
            kept.append((block, block.frames.copy(), block.records.copy()))
    for block, frames, records in kept:
        assert np.array_equal(block.frames, frames)
        assert np.array_equal(block.records, records)


@pytest.mark.parametrize("count", [1, 4, 16])
def test_stacks_cost_one_frame_per_transition(count):
    rollout = make_rollout(scripted(count, end_chance=0), stack=4, n_step=3, block=64 * count)
    *_, blocks, _ = run_random(rollout, 500, count, with_q=True)
    frames = sum(len(block.frames) for block in blocks if len(block) == 64 * count)
    transitions = sum(len(block) for block in blocks if len(block) == 64 * count)
    assert transitions >= 64 * count
    assert frames / transitions <= 1.1


def test_at_most_seven_frames_more_than_transitions_for_stack_4_and_n_3():
    rollout = make_rollout(scripted(1, end_chance=0), stack=4, n_step=3, block=64)
    *_, blocks, _ = run_random(rollout, 400, 1, with_q=False)
    assert max(len(block.frames) - len(block) for block in blocks) <= 7


def test_weight_versions_may_differ_between_environments():
    rollout = make_rollout(scripted(3, end_chance=0), block=9)
    *_, blocks, _ = run_random(rollout, 30, 3, with_q=False, version_each=True)
    versions = np.concatenate([block.records["weight_version"] for block in blocks])
    assert np.array_equal(versions, np.arange(90))


def test_discount_0_gives_plain_rewards_and_no_bootstrap():
    rollout = make_rollout(scripted(1, end_chance=0), n_step=3, discount=0.0, block=20)
    for _ in range(20):
        rollout.step(np.ones(1, np.int64), 0, np.zeros(1, np.float32), np.ones(1, np.float32))
    block = rollout.take_block()
    assert not block.records["discount"].any()
    assert np.array_equal(block.records["priority"], np.abs(block.records["reward"]))


def test_a_diverged_network_gives_no_priority():
    rollout = make_rollout(scripted(1, end_chance=0), block=4)
    values = np.array([np.nan], np.float32), np.array([np.inf], np.float32)
    for _ in range(4):
        rollout.step(np.ones(1, np.int64), 0, *values)
    assert (rollout.take_block().records["priority"] == NO_PRIORITY).all()


def test_estimates_may_begin_and_end_within_a_block():
    rollout = make_rollout(scripted(1, end_chance=0), n_step=2, block=64)
    for row in range(30):
        q_values = [np.ones(1, np.float32)] * 2 if 10 <= row < 20 else []
        rollout.step(np.ones(1, np.int64), row, *q_values)
    records = rollout.take_block().records
    estimated = records["weight_version"][records["priority"] != NO_PRIORITY]
    assert estimated.tolist() == list(range(10, 18))


def test_nothing_to_take_gives_no_block():
    rollout = make_rollout(scripted(2), n_step=3, block=8)
    assert (rollout.pending, rollout.full, rollout.take_block()) == (0, False, None)
    rollout.step(np.zeros(2, np.int64), 0)
    assert (rollout.pending, rollout.full, rollout.take_block()) == (0, False, None)


def test_full_is_when_the_next_step_may_not_fit():
    rollout = make_rollout(scripted(2, end_chance=0), block=5)
    rollout.step(np.zeros(2, np.int64), 0)
    assert (rollout.pending, rollout.full) == (2, False)
    rollout.step(np.zeros(2, np.int64), 0)
    assert (rollout.pending, rollout.full) == (4, True)


def test_a_rollout_that_is_never_emptied_refuses_to_step():
    rollout = make_rollout(scripted(1), block=4)

    def step_for_ever():
        while True:
            rollout.step(np.zeros(1, np.int64), 0)

    with pytest.raises(UsageError, match=r"take_block\(\)"):
        step_for_ever()
    assert len(rollout.take_block()) == 4


def test_one_of_two_q_values_is_refused():
    with pytest.raises(UsageError, match="best_q"):
        make_rollout(scripted(1)).step(np.zeros(1, np.int64), 0, np.zeros(1, np.float32))


def test_a_block_smaller_than_one_row_is_refused_with_the_smallest_that_works():
    with pytest.raises(ConfigError, match=r"block_transitions is 3.*4 environments.*to 4 or more"):
        make_rollout(scripted(4), block=3)
    make_rollout(scripted(4), n_step=9, block=4)


def test_episodes_count_their_own_rewards_and_steps():
    environments = make_environments(
        "CartPole-v1", kwargs={}, wrappers=[], max_episode_steps=7, count=3, vectorization="native"
    )
    rollout = make_rollout(environments, block=300)
    for _ in range(40):
        rollout.step(np.arange(3) % 2, 0)
    episodes = rollout.take_episodes()
    assert len(episodes) == rollout.episodes == 15
    assert {(episode.total_reward, episode.length) for episode in episodes} == {(7.0, 7)}
    assert rollout.environment_steps == 3 * 35


class Faulty(ScriptedEnv):
    """Goes wrong in its 6th step."""

    def __init__(self, index, fault):
        super().__init__(index, end_chance=0)
        self.fault = fault

    def step(self, action):
        frame, reward, *rest = super().step(action)
        if self.t == 6 and self.index == 1:
            if self.fault == "frame":
                frame = np.array([0.0, np.nan])
            else:
                reward = self.fault
        return (frame, reward, *rest)


def run_faulty(fault):
    makers = [lambda i=i: Faulty(i, fault) for i in range(2)]
    environments = SyncVectorEnv(makers, copy=False, autoreset_mode=AutoresetMode.NEXT_STEP)
    rollout = make_rollout(environments, block=16)
    blocks = []
    try:
        for _ in range(10):
            rollout.step(np.zeros(2, np.int64), 0)
            if rollout.full:
                blocks.append(rollout.take_block())
    finally:
        rollout.close()
        rollout.close()
    return blocks


def test_a_large_reward_is_allowed():
    (block,) = run_faulty(1e30)
    assert np.count_nonzero(block.records["reward"] == np.float32(1e30)) == 1


def test_a_frame_that_is_not_finite_never_leaves_in_a_block():
    with pytest.raises(EnvironmentFailedError) as caught:
        run_faulty("frame")
    for part in ("collector-3", "environment 1 of 2", "element 1 is nan", "after 12 environment"):
        assert part in str(caught.value)


def test_integer_frames_keep_their_dtype():
    rollout = make_rollout(scripted(1, shape=(2, 3), dtype=np.int32), stack=2, block=4)
    *_, blocks, seen = run_random(rollout, 20, 1, with_q=False)
    assert blocks[0].frames.dtype == np.int32
    assert blocks[0].frames.shape[1:] == (2, 3)
    assert seen[0].shape == (1, 2, 2, 3)


def test_rollouts_need_no_torch():
    code = "import sys, zdqn.core.rollout, zdqn.core.evaluation; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
