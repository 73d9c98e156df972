"""Evaluations count every episode of a fixed set once, however long it is."""

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from zdqn.core.evaluation import evaluate
from zdqn.envs import environment_spec, make_environments
from zdqn.errors import EnvironmentFailedError, UsageError


class Planned(gymnasium.Env):
    """Its e-th episode lasts lengths[e] steps; each step is rewarded with the action."""

    observation_space = gymnasium.spaces.Box(0, 1e6, (1,), np.float32)
    action_space = gymnasium.spaces.Discrete(4)

    def __init__(self, lengths):
        self.lengths, self.episode, self.bad = lengths, -1, None

    def observe(self):
        return np.array([np.nan if self.t == self.bad else self.t], np.float32)

    def reset(self, *, seed=None, options=None):
        if seed is not None:
            self.episode = -1
        self.episode, self.t = self.episode + 1, 0
        return self.observe(), {}

    def step(self, action):
        self.t += 1
        return self.observe(), float(action), self.t == self.lengths[self.episode], False, {}


def planned(*plans):
    makers = [lambda plan=plan: Planned(plan) for plan in plans]
    return SyncVectorEnv(makers, copy=False, autoreset_mode=AutoresetMode.NEXT_STEP)


def score(environments, episodes, *, stack=1, action=2, stop=lambda: False, choose=None):
    return evaluate(
        environments,
        environment_spec(environments, stack),
        choose or (lambda observations, allowed: np.full(len(observations), action)),
        episodes=episodes,
        seed=5,
        label="evaluator-0",
        stop=stop,
    )


def test_long_episodes_count_as_often_as_short_ones():
    environments = planned([1] * 100, [30] * 100)
    scores = score(environments, 6)
    assert scores.lengths == (1, 30, 1, 30, 1, 30)
    assert scores.returns == (2.0, 60.0, 2.0, 60.0, 2.0, 60.0)


def test_scores_are_in_the_order_of_episodes_not_of_their_ends():
    assert score(planned([9, 2, 1], [3, 4] + [5] * 9, [1] * 20), 7).lengths == (9, 3, 1, 2, 4, 1, 1)


@pytest.mark.parametrize("episodes", [1, 2])
def test_surplus_environments_are_not_counted(episodes):
    assert score(planned([8] * 9, [2] * 9, [1] * 9), episodes).lengths == (8, 2)[:episodes]


def test_an_evaluation_begins_anew_each_time():
    environments = planned([3, 5], [4, 6])
    assert score(environments, 3) == score(environments, 3)


def test_the_same_seed_gives_the_same_scores_and_another_does_not():
    environments = make_environments(
        "CartPole-v1", kwargs={}, wrappers=[], max_episode_steps=None, count=3, vectorization="sync"
    )

    def play(seed):
        return evaluate(
            environments,
            environment_spec(environments),
            lambda observations, allowed: (observations[:, 2] > 0).astype(np.int64),
            episodes=7,
            seed=seed,
            label="evaluator-0",
            stop=lambda: False,
        )

    assert play(1) == play(1)
    assert play(1) != play(2)
    environments.close()


def test_the_policy_sees_stacked_observations():
    seen = []

    def choose(observations, allowed):
        seen.append(observations[0, :, 0].tolist())
        return np.zeros(1, np.int64)

    score(planned([3, 3]), 2, stack=3, choose=choose)
    assert seen[:6] == [[0, 0, 0], [0, 0, 1], [0, 1, 2], [1, 2, 3], [0, 0, 0], [0, 0, 1]]


def test_stop_gives_up_without_scores():
    answers = iter([False] * 5 + [True])
    assert score(planned([4] * 9), 3, stop=lambda: next(answers)) is None


def test_no_episodes_are_refused():
    with pytest.raises(UsageError, match="episodes is 0"):
        score(planned([1]), 0)


def test_an_observation_that_is_not_finite_is_refused():
    environments = planned([9] * 9, [9] * 9)
    environments.envs[1].bad = 4
    with pytest.raises(EnvironmentFailedError, match=r"evaluator-0: environment 1 of 2.*nan"):
        score(environments, 2)
