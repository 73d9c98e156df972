"""The accumulator against episodes written down as lists; no environment is stepped."""

import subprocess
import sys
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zdqn.core.accumulator import Accumulator
from zdqn.data import NO_PRIORITY, EnvironmentSpec
from zdqn.errors import ConfigError, RoleFailedError, UsageError


def make(environments=1, *, stack=1, n_step=1, discount=0.9, block=64, **options):
    return Accumulator(
        EnvironmentSpec((2,), "float32", 3, stack),
        environments=environments, n_step=n_step, discount=discount, block_transitions=block,
        **options,
    )  # fmt: skip


def frame(value):
    return np.full(2, value, np.float32)


@dataclass
class Episode:
    """All that was said of one episode."""

    frames: list[float]
    actions: list[int] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    versions: list[int] = field(default_factory=list)
    chosen: list[float] = field(default_factory=list)
    best: list[float] = field(default_factory=list)
    terminates: bool = False
    over: bool = False

    def stack(self, t, size):
        return ([self.frames[0]] * size + self.frames[: t + 1])[-size:]

    def transitions(self, size, n_step, discount):
        """All transitions of which a window is closed, as the paper has them."""
        for t in range(len(self.actions)):
            rewards = self.rewards[t : t + n_step]
            if len(rewards) < n_step and not self.over:
                return
            after = t + len(rewards)
            bootstrap = discount ** len(rewards)
            if self.terminates and after == len(self.actions):
                bootstrap = 0.0
            total = sum(discount**k * reward for k, reward in enumerate(rewards))
            priority = NO_PRIORITY
            if self.chosen and (bootstrap == 0 or after < len(self.best)):
                expected = bootstrap * self.best[after] if bootstrap else 0.0
                priority = abs(total + expected - self.chosen[t])
            yield (
                self.stack(t, size), self.actions[t], total, bootstrap, self.stack(after, size),
                self.versions[t], priority,
            )  # fmt: skip


def check(block, t, expected):
    observation, action, total, bootstrap, following, version, priority = expected
    record = block.records[t]
    assert block.frames[record["observation"]][:, 0].tolist() == observation
    assert block.frames[record["next_observation"]][:, 0].tolist() == following
    assert record["action"] == action
    assert record["reward"] == pytest.approx(total, rel=1e-5, abs=1e-5)
    assert record["discount"] == pytest.approx(bootstrap, rel=1e-6)
    assert record["weight_version"] == version
    assert record["priority"] == pytest.approx(priority, rel=1e-4, abs=1e-4)


class World:
    """Plays random episodes in some of N environments at a time, and writes them down."""

    def __init__(self, rng, accumulator, count, *, estimates, take_chance=0.05):
        self.rng, self.accumulator, self.count = rng, accumulator, count
        self.estimates, self.take_chance = estimates, take_chance
        self.episodes: list[list[Episode]] = [[] for _ in range(count)]
        self.frames, self.steps = 0, 0
        self.blocks = []

    def new_frame(self):
        self.frames += 1
        return float(self.frames)

    def playing(self, i):
        return bool(self.episodes[i]) and not self.episodes[i][-1].over

    def act(self):
        """One call: some environments begin, some step, or one is cut."""
        some = [i for i in range(self.count) if self.rng.random() < 0.5]
        self.begin([i for i in some if not self.playing(i)])
        self.step(self.rng.permutation([i for i in some if self.playing(i)]).astype(int))
        if some and self.playing(some[0]) and self.rng.random() < 0.05:
            self.episodes[some[0]][-1].over = True
            self.accumulator.cut(some[0])
        if self.accumulator.full or self.rng.random() < self.take_chance:
            self.blocks.append(self.accumulator.take_block())

    def begin(self, environments):
        for i in environments:
            self.episodes[i].append(Episode([self.new_frame()]))
        if environments:
            first = [frame(self.episodes[i][-1].frames[0]) for i in environments]
            self.accumulator.begin(environments, np.array(first))

    def step(self, environments):
        if not len(environments):
            return
        count = len(environments)
        actions = self.rng.integers(0, 3, count)
        rewards = self.rng.normal(size=count)
        chosen, best = self.rng.normal(size=(2, count))
        terminated, truncated = self.rng.random((2, count)) < 0.1
        frames, versions = [], []
        for k, i in enumerate(environments):
            episode = self.episodes[i][-1]
            frames.append(self.new_frame())
            versions.append(self.steps + k)
            episode.frames.append(frames[-1])
            episode.actions.append(actions[k])
            episode.rewards.append(rewards[k])
            episode.versions.append(versions[-1])
            if self.estimates:
                episode.chosen.append(chosen[k])
                episode.best.append(best[k])
            episode.terminates = bool(terminated[k])
            episode.over = bool(terminated[k] or truncated[k])
        values = (chosen, best) if self.estimates else ()
        self.accumulator.step(
            environments, actions, rewards, np.array([frame(value) for value in frames]),
            terminated, truncated, np.array(versions), *values,
        )  # fmt: skip
        self.steps += count


@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(1, 4),
    stack=st.integers(1, 4),
    n_step=st.integers(1, 5),
    block=st.integers(4, 20),
    estimates=st.booleans(),
)
def test_interleaved_episodes_give_what_each_alone_says(
    seed, count, stack, n_step, block, estimates
):
    accumulator = make(count, stack=stack, n_step=n_step, block=block)
    world = World(np.random.default_rng(seed), accumulator, count, estimates=estimates)
    for _ in range(60):
        world.act()
    for i in range(count):
        if world.playing(i):
            world.episodes[i][-1].over = True
            accumulator.cut(i)
    while accumulator.pending:
        world.blocks.append(accumulator.take_block())
    assert accumulator.take_block() is None
    assert accumulator.environment_steps == world.steps

    expected = {
        transition[5]: transition  # by its weight version, which is a number of its own
        for episodes in world.episodes
        for episode in episodes
        for transition in episode.transitions(stack, n_step, 0.9)
    }
    assert len(expected) == world.steps
    versions = np.concatenate([given.records["weight_version"] for given in world.blocks if given])
    for episodes in world.episodes:
        own = [version for episode in episodes for version in episode.versions]
        assert versions[np.isin(versions, own)].tolist() == own
    for given_block in filter(None, world.blocks):
        assert 0 < len(given_block) <= block
        references = given_block.records[["observation", "next_observation"]]
        used = np.unique([references["observation"], references["next_observation"]])
        assert used.tolist() == list(range(len(given_block.frames)))
        assert len(np.unique(given_block.frames, axis=0)) == len(given_block.frames)
        for t in range(len(given_block)):
            version = int(given_block.records["weight_version"][t])
            check(given_block, t, expected.pop(version))
    assert not expected


@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(1, 4),
    n_step=st.integers(1, 5),
    estimates=st.booleans(),
)
def test_a_transition_is_ready_when_its_window_is_closed_and_not_before(
    seed, count, n_step, estimates
):
    accumulator = make(count, n_step=n_step, block=1000)
    world = World(
        np.random.default_rng(seed), accumulator, count, estimates=estimates, take_chance=0
    )
    for _ in range(40):
        world.act()
        ready = 0
        for episode in (episode for episodes in world.episodes for episode in episodes):
            waits = 0 if episode.over else n_step - (not estimates)
            ready += max(0, len(episode.actions) - waits)
        assert accumulator.pending == ready


@pytest.mark.parametrize("terminated", [True, False])
def test_an_episode_of_one_environment_by_hand(terminated):
    accumulator = make(stack=3, n_step=2, discount=0.5)
    accumulator.begin(0, frame(10))
    accumulator.step(0, 1, 1.0, frame(11), False, False, 7)
    assert accumulator.pending == 0
    accumulator.step(0, 2, 2.0, frame(12), False, False, 8)
    assert accumulator.pending == 1
    accumulator.step(0, 0, 4.0, frame(13), terminated, not terminated, 9)
    assert accumulator.pending == 3
    block = accumulator.take_block()
    last = 0.0 if terminated else 1.0
    check(block, 0, ([10, 10, 10], 1, 2.0, 0.25, [10, 11, 12], 7, NO_PRIORITY))
    check(block, 1, ([10, 10, 11], 2, 4.0, 0.25 * last, [11, 12, 13], 8, NO_PRIORITY))
    check(block, 2, ([10, 11, 12], 0, 4.0, 0.5 * last, [11, 12, 13], 9, NO_PRIORITY))
    assert block.frames[:, 0].tolist() == [10, 11, 12, 13]


@pytest.mark.parametrize("clip", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("all_together", [True, False])
def test_rewards_are_clipped_before_they_are_summed_up(clip, all_together):
    accumulator = make(n_step=2, discount=0.5, reward_clip=clip)
    first, steps = frame(10)[None], [(1.0, False), (-12.0, False), (40.0, True)]
    returns = [1.0 - 6.0, -12.0 + 20.0, 40.0] if not clip else [clip / 2, -clip / 2, clip]
    if all_together:
        accumulator.begin_all(first)
    else:
        accumulator.begin(0, first[0])
    for number, (reward, over) in enumerate(steps):
        if all_together:
            accumulator.step_all(
                np.zeros(1, np.int64), np.array([reward]), frame(11 + number)[None],
                np.array([over]), np.array([False]), 7,
            )  # fmt: skip
        else:
            accumulator.step(0, 1, reward, frame(11 + number), over, False, 7)
    if all_together:  # a row waits for the next, which begins an episode
        accumulator.step_all(
            np.zeros(1, np.int64), np.zeros(1), first, np.array([False]), np.array([False]), 7,
            starting=np.array([True]),
        )  # fmt: skip
    assert accumulator.take_block().records["reward"].tolist() == returns


def test_the_next_episode_begins_with_stacks_of_its_own():
    accumulator = make(stack=3)
    for start in (10, 20):
        accumulator.begin(0, frame(start))
        accumulator.step(0, 0, 0.0, frame(start + 1), True, False, 0)
    block = accumulator.take_block()
    check(block, 1, ([20, 20, 20], 0, 0.0, 0.0, [20, 20, 21], 0, NO_PRIORITY))


def test_termination_wins_over_truncation():
    accumulator = make()
    accumulator.begin(0, frame(0))
    accumulator.step(0, 0, 1.0, frame(1), True, True, 0)
    assert accumulator.take_block().records["discount"].tolist() == [0]


def test_priorities_use_the_value_that_comes_with_the_next_step():
    accumulator = make(n_step=2, discount=0.5)
    accumulator.begin(0, frame(0))
    for t in range(5):
        accumulator.step(0, 0, 1.0, frame(t + 1), t == 4, False, 0, 10.0 + t, 100.0 * t)
    priorities = accumulator.take_block().records["priority"].tolist()
    bootstrapped = [abs(1.5 + 0.25 * 100 * (t + 2) - 10 - t) for t in range(3)]
    assert priorities == [*bootstrapped, abs(1.5 - 13), abs(1 - 14)]


def test_no_priority_where_the_last_value_of_a_truncated_episode_is_wanted():
    accumulator = make(n_step=2)
    accumulator.begin(0, frame(0))
    for t in range(4):
        accumulator.step(0, 0, 1.0, frame(t + 1), False, t == 3, 0, 1.0, 1.0)
    priorities = accumulator.take_block().records["priority"]
    assert (priorities == NO_PRIORITY).tolist() == [False, False, True, True]


def test_an_environment_that_stands_still_holds_up_no_other():
    accumulator = make(2, stack=2, n_step=3, block=8)
    accumulator.begin([0, 1], np.array([frame(0), frame(1000)]))
    accumulator.step(1, 0, 1.0, frame(1001), False, False, 0)
    taken = 0
    for t in range(500):
        accumulator.step(0, 0, 0.0, frame(t + 1), False, False, 0)
        if accumulator.full:
            taken += len(accumulator.take_block())
    assert taken >= 490
    accumulator.step(1, 0, 10.0, frame(1002), True, False, 0)
    block = accumulator.take_block()
    stacks = block.frames[block.records["observation"]][:, :, 0].tolist()
    assert [stack for stack in stacks if stack[0] >= 1000] == [[1000, 1000], [1000, 1001]]


def test_episodes_given_up_at_once_need_no_room():
    accumulator = make(2, stack=3, n_step=3, block=4)
    for t in range(300):
        accumulator.begin(t % 2, frame(t))
        accumulator.cut(t % 2)
    assert accumulator.pending == 0
    accumulator.begin(0, frame(1000))
    accumulator.step(0, 0, 1.0, frame(1001), True, False, 0)
    check(accumulator.take_block(), 0,
          ([1000] * 3, 0, 1.0, 0.0, [1000, 1000, 1001], 0, NO_PRIORITY))  # fmt: skip


def test_steps_of_all_are_the_same_as_steps_of_each():
    rng = np.random.default_rng(3)
    together, apart = make(3, stack=2, n_step=2, block=9), make(3, stack=2, n_step=2, block=9)
    first = rng.normal(size=(3, 2)).astype(np.float32)
    together.begin_all(first)
    apart.begin([0, 1, 2], first)
    for t in range(50):
        frames = rng.normal(size=(3, 2)).astype(np.float32)
        row = (
            rng.integers(0, 3, 3),
            rng.normal(size=3),
            frames,
            np.zeros(3, bool),
            np.zeros(3, bool),
        )
        together.admit(None, None)
        together.step_all(*row, t)
        apart.step([0, 1, 2], *row, t)
        assert (together.pending, together.full) == (apart.pending, apart.full)
        if together.full:
            ours, theirs = together.take_block(), apart.take_block()
            assert np.array_equal(ours.frames, theirs.frames)
            assert np.array_equal(ours.records, theirs.records)


def test_steps_of_all_and_of_some_may_take_turns():
    accumulator = make(2, n_step=2, discount=0.5)
    no = np.zeros(2, bool)
    accumulator.begin_all(np.zeros((2, 2), np.float32))
    zeros, frames = np.zeros(2, int), np.zeros((2, 2), np.float32)
    values = np.array([1, 2], np.float32), np.array([10, 20], np.float32)
    accumulator.step_all(zeros, np.ones(2), frames, no, no, 0, *values)
    accumulator.step(1, 0, 1.0, frame(0), False, False, 1, 3.0, 30.0)
    accumulator.step(1, 0, 1.0, frame(0), False, False, 2, 4.0, 40.0)
    assert accumulator.pending == 1
    accumulator.step_all(zeros, np.ones(2), frames, no, no, 3, *values)
    accumulator.cut([0, 1])
    records = accumulator.take_block().records
    assert records["weight_version"].tolist() == [0, 0, 1, 2, 3, 3]
    # in the order of the steps: the last value is that of the last observation, which never came
    expected = [-1, 1.5 + 0.25 * 40 - 2, 1.5 + 0.25 * 20 - 3, -1, -1, -1]
    assert records["priority"].tolist() == expected


def test_a_row_stays_together_at_the_end_of_an_episode():
    accumulator = make(2, n_step=3)
    no, yes = np.zeros(2, bool), np.array([True, False])
    accumulator.begin_all(np.zeros((2, 2), np.float32))
    row = np.zeros(2, int), np.ones(2), np.zeros((2, 2), np.float32)
    accumulator.step_all(*row, yes, no, 0)
    assert accumulator.pending == 0
    accumulator.step_all(*row, no, no, 0, starting=yes)
    accumulator.step_all(*row, no, no, 0)
    assert accumulator.pending == 2
    accumulator.step_all(*row, no, no, 0)
    assert accumulator.pending == 3  # a beginning is no transition
    assert accumulator.environment_steps == 7
    assert accumulator.take_block().records["reward"].tolist() == [
        1,
        pytest.approx(2.71),
        pytest.approx(2.71),
    ]


def test_a_caller_that_takes_no_blocks_is_told_before_anything_is_lost():
    accumulator = make(block=4)
    accumulator.begin(0, frame(0))

    def step_for_ever():
        for t in range(10_000):
            accumulator.step(0, 0, float(t), frame(t + 1), False, False, 0)

    with pytest.raises(UsageError, match=r"transitions are pending.*take_block\(\)"):
        step_for_ever()
    steps = accumulator.environment_steps
    assert accumulator.pending == steps
    rewards = []
    while accumulator.pending:
        rewards += accumulator.take_block().records["reward"].tolist()
    assert rewards == list(range(steps))
    accumulator.step(0, 0, 0.0, frame(0), False, False, 0)


# --- what is refused ----------------------------------------------------------------------------


def refused(match, call, *arguments):
    with pytest.raises(UsageError, match=match):
        call(*arguments)


def test_constructor_arguments():
    with pytest.raises(ConfigError, match=r"block_transitions is 3.*4 environments.*to 4 or more"):
        make(4, block=3)
    for options in ({"environments": 0}, {"n_step": 0}, {"discount": 1.1}, {"discount": -0.1},
                    {"reward_clip": -1.0}):  # fmt: skip
        refused(next(iter(options)), lambda options=options: make(**options))


def test_an_environment_begins_before_it_steps_and_ends_before_it_begins_again():
    accumulator = make(3)
    step = 1, 1.0, frame(1), False, False, 0
    refused(r"environment 2 is in no episode.*begin\(\)", accumulator.step, 2, *step)
    refused("environment 2 is in no episode", accumulator.cut, 2)
    accumulator.begin(2, frame(0))
    refused(r"environment 2 is within an episode.*cut\(2\)", accumulator.begin, 2, frame(0))
    accumulator.step(2, 1, 1.0, frame(1), True, False, 0)
    refused("environment 2 is in no episode", accumulator.step, 2, *step)
    accumulator.begin([0, 2], np.zeros((2, 2), np.float32))
    accumulator.cut([0, 2])
    refused("environment 0 is in no episode", accumulator.step, 0, *step)
    assert accumulator.environment_steps == 1


@pytest.mark.parametrize("wrong", [2, -1, 0.5, [0, 0], [[0]], [0, 5], "0", None])
def test_numbers_of_environments(wrong):
    accumulator = make(2)
    refused("environments is .* from 0 to 1", accumulator.begin, wrong, frame(0))
    accumulator.begin([0, 1], np.zeros((2, 2), np.float32))  # neither is in an episode yet
    assert accumulator.environment_steps == accumulator.pending == 0


@pytest.mark.parametrize(
    ("place", "wrong", "match"),
    [
        (0, 3, "actions is 3.*from 0 to 2"),
        (0, -1, "actions is -1"),
        (0, 1.0, "actions is 1.0, but must be integers"),
        (0, [1, 1], r"actions is \[1, 1\].*shape \(1,\)"),
        (1, np.nan, "rewards is nan.*finite"),
        (1, -1e31, "rewards is -1e.31.*within 1e.30"),
        (1, "1", "rewards is '1', but must be numbers"),
        (2, np.zeros(3, np.float32), r"frames has the shape \(3,\).*must have \(2,\)"),
        (2, np.zeros((1, 2), np.float32), r"frames has the shape \(1, 2\)"),
        (2, np.zeros(2), "float64.*float32.*asarray"),
        (2, frame(np.inf), "element 0 is inf, of environment 1 of 2 after 0 environment steps"),
        (3, 1, "terminated is 1, but must be booleans"),
        (4, None, "truncated is None"),
        (5, 0.5, "weight_version is .*0.5.*integers"),
        (5, [1, 2], r"weight_version is \[1, 2\]"),
    ],
)
def test_arguments_of_a_step(place, wrong, match):
    accumulator = make(2)
    accumulator.begin(1, frame(0))
    arguments = [1, 1.0, frame(1), False, False, 0]
    arguments[place] = wrong
    refused(match, accumulator.step, 1, *arguments)
    assert accumulator.pending == accumulator.environment_steps == 0


def test_one_of_two_q_values_is_refused():
    accumulator = make()
    accumulator.begin(0, frame(0))
    refused("best_q", accumulator.step, 0, 1, 1.0, frame(1), False, False, 0, 1.0)
    refused("best_q", accumulator.admit, None, np.zeros(1, np.float32))
    assert accumulator.environment_steps == accumulator.pending == 0


def test_a_frame_that_was_not_checked_names_its_environment_and_step_before_it_leaves():
    accumulator = make(2, refuse=lambda *why: RoleFailedError(repr(why)))
    no = np.zeros(2, bool)
    accumulator.begin_all(np.zeros((2, 2), np.float32))
    frames = np.zeros((2, 2), np.float32)
    for t in range(3):
        frames[1, 1] = np.nan if t == 1 else 0
        accumulator.step_all(np.zeros(2, int), np.zeros(2), frames, no, no, 0)
    with pytest.raises(RoleFailedError, match=r"\(1, 4, 'an observation whose element 1 is nan'\)"):
        accumulator.take_block()


def test_it_needs_neither_gymnasium_nor_torch():
    code = (
        "import sys, zdqn.core.accumulator; sys.exit(bool({'gymnasium', 'torch'} & {*sys.modules}))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def values(*numbers):
    return np.array(numbers, np.float32)


def test_a_value_of_the_last_observation_gives_its_transition_a_priority():
    found = []
    for last_q in (None, values(20.0)):
        accumulator = make(discount=0.5)
        accumulator.begin(0, frame(0))
        accumulator.step(
            0,
            0,
            1.0,
            frame(1),
            False,
            True,
            0,
            np.array([3.0], np.float32),
            np.array([4.0], np.float32),
            last_q,
        )
        block = accumulator.take_block()
        assert block is not None
        found.append(float(block.records["priority"][0]))
    assert found == [NO_PRIORITY, abs(1 + 0.5 * 20 - 3)]
