"""Environments stepped together: what is handed on, what is counted, and what is never believed."""

import os
import signal
import sys

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

from zdqn.data import EpisodeStatistics
from zdqn.envs import environment_spec, make_environments
from zdqn.envs.stepping import EnvironmentStepper
from zdqn.errors import EnvironmentFailedError


class Counting(gymnasium.Env):
    """Observes (episode, t); its episodes last `length` steps and end as `ends` says."""

    observation_space = gymnasium.spaces.Box(-1, 1e9, (2,), np.float64)
    action_space = gymnasium.spaces.Discrete(3)

    def __init__(self, length=10**9, ends="terminated"):
        self.length, self.ends = length, ends
        self.episode, self.t = -1, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.episode, self.t = self.episode + 1, 0
        return np.array([self.episode, self.t], np.float64), {}

    def step(self, action):
        self.t += 1
        ends = self.t == self.length
        frame = np.array([self.episode, self.t], np.float64)
        return (
            frame,
            float(action),
            ends and self.ends == "terminated",
            ends and self.ends == "truncated",
            {},
        )


class Faulty(Counting):
    """Goes wrong in its 6th step."""

    def __init__(self, index, fault):
        super().__init__()
        self.index, self.fault = index, fault

    def step(self, action):
        frame, reward, *rest = super().step(action)
        if self.t == 6 and self.index == 1:
            if self.fault == "raise":
                raise ZeroDivisionError("the motor is off")
            if self.fault == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.fault == "shape":
                frame = np.zeros(3)
            else:
                reward = self.fault
        return (frame, reward, *rest)


def vectorized(environments, vector=SyncVectorEnv):
    makers = [lambda environment=environment: environment for environment in environments]
    return vector(makers, copy=False, autoreset_mode=AutoresetMode.NEXT_STEP)


def step_together(environments, *, stack=1):
    spec = environment_spec(environments, stack)
    return EnvironmentStepper(environments, spec, seed=3, label="collector-3")


def run_faulty(fault, vector=SyncVectorEnv):
    made = step_together(vectorized([Faulty(index, fault) for index in range(2)], vector))
    try:
        for _ in range(10):
            made.step(np.zeros(2, np.int64))
    finally:
        made.close()
        made.close()


# --- what is handed on, and counted ---------------------------------------------------------------


@pytest.mark.parametrize("ends", ["terminated", "truncated"])
def test_an_episode_by_hand(ends):
    made = step_together(vectorized([Counting(length=2, ends=ends)]))
    assert made.first_frames.tolist() == [[0, 0]]
    first, last, starting, again = (made.step(np.array([action])) for action in (1, 2, 1, 2))
    assert (first.rewards.tolist(), first.starting, first.finished) == ([1], None, [])
    assert not first.terminated
    assert not first.truncated
    assert last.rewards.tolist() == [2]
    assert (last.terminated.tolist(), last.truncated.tolist()) == (
        [ends == "terminated"], [ends == "truncated"],
    )  # fmt: skip
    assert last.finished == [(0, EpisodeStatistics(3.0, 2))]
    assert starting.starting is not None
    assert starting.starting.tolist() == [True]
    assert starting.rewards.tolist() == [0]
    assert (again.rewards.tolist(), again.starting, again.finished) == ([2], None, [])
    assert made.environment_steps == 3  # the action of the row that began an episode was ignored


def test_each_environment_has_episodes_of_its_own():
    made = step_together(vectorized([Counting(length=length) for length in (1, 2, 5)]))
    rows = [made.step(np.ones(3, np.int64)) for _ in range(6)]
    finished = [[(index, told.length) for index, told in row.finished] for row in rows]
    # ends:        0, then a reset row each second step; 1, each third; 2, the fifth
    assert finished == [[(0, 1)], [(1, 2)], [(0, 1)], [], [(0, 1), (1, 2), (2, 5)], []]
    assert made.environment_steps == 18 - 2 - 1 - 3


def test_totals_begin_anew_with_an_episode():
    made = step_together(vectorized([Counting(length=3)]))
    finished = [told for _ in range(12) for _, told in made.step(np.array([2])).finished]
    assert finished == [EpisodeStatistics(6.0, 3)] * 3


def test_stacks_are_filled_with_the_first_frame_of_an_episode():
    made = step_together(vectorized([Counting(length=2)]), stack=3)
    seen = [made.observations[0].tolist()]
    for _ in range(3):
        made.step(np.zeros(1, np.int64))
        seen.append(made.observations[0].tolist())
    assert seen == [
        [[0, 0], [0, 0], [0, 0]],
        [[0, 0], [0, 0], [0, 1]],
        [[0, 0], [0, 1], [0, 2]],
        [[1, 0], [1, 0], [1, 0]],
    ]


def test_an_episode_cut_by_a_time_limit_is_truncated_and_not_terminated():
    environments = make_environments(
        Counting, kwargs={}, wrappers=(), max_episode_steps=4, count=1, vectorization="sync"
    )
    made = step_together(environments)
    rows = [made.step(np.ones(1, np.int64)) for _ in range(4)]
    assert [row.truncated.tolist() for row in rows] == [[False]] * 3 + [[True]]
    assert not any(row.terminated.any() for row in rows)
    assert rows[-1].finished == [(0, EpisodeStatistics(4.0, 4))]


def test_the_reward_of_the_largest_size_is_handed_on():
    made = step_together(vectorized([Faulty(1, 1e30)]))
    rewards = [made.step(np.zeros(1, np.int64)).rewards.tolist() for _ in range(6)]
    assert rewards[5] == [1e30]


def test_refusing_a_value_names_who_when_and_the_way_out():
    made = step_together(vectorized([Counting(), Counting()]))
    text = str(made.refuse(1, 12, "the reward nan"))
    assert text.startswith("collector-3: environment 1 of 2 returned the reward nan after 12 ")
    assert "environment.wrappers" in text


# --- what is never believed -----------------------------------------------------------------------


@pytest.mark.parametrize("reward", [np.nan, np.inf, -np.inf, 1e300, -1e31])
def test_a_reward_that_is_not_usable_is_refused_at_once(reward):
    with pytest.raises(EnvironmentFailedError) as caught:
        run_faulty(reward)
    for part in ("collector-3", "environment 1 of 2", f"{reward}", "after 10 environment steps"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("fault", "said"),
    [("raise", "ZeroDivisionError: the motor is off"), ("shape", "ValueError")],
)
def test_an_exception_of_the_environment_names_who_and_when(fault, said):
    with pytest.raises(EnvironmentFailedError, match=said) as caught:
        run_faulty(fault)
    assert "collector-3" in str(caught.value)
    assert "after 10 environment steps" in str(caught.value)
    assert caught.value.__cause__ is not None


@pytest.mark.filterwarnings("ignore:.*Worker:UserWarning")
@pytest.mark.filterwarnings("ignore:.*Traceback:UserWarning")
@pytest.mark.filterwarnings("ignore:.*Raising the last exception:UserWarning")
@pytest.mark.filterwarnings("ignore:.*waiting for a pending call:UserWarning")
@pytest.mark.parametrize(
    ("fault", "said"), [("raise", "ZeroDivisionError: the motor is off"), ("die", "process.*died")]
)
def test_a_fault_in_a_worker_process_is_the_same_error_and_closes(fault, said):
    with pytest.raises(EnvironmentFailedError, match=said):
        run_faulty(fault, AsyncVectorEnv)


def test_observations_of_another_dtype_than_declared_are_refused():
    environments = vectorized([Counting()])
    made = step_together(environments)
    environments._observations = np.zeros((1, 2), np.float32)
    with pytest.raises(EnvironmentFailedError, match=r"float32.*declares.*float64"):
        made.step(np.zeros(1, np.int64))


class Misbehaving(gymnasium.Env):
    """Returns what it is told to, once."""

    observation_space = gymnasium.spaces.Box(0, 255, (4,), np.uint8)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, first=None, later=None, leave=""):
        self._first = np.zeros(4, np.uint8) if first is None else first
        self._later = np.zeros(4, np.uint8) if later is None else later
        self._leave = leave

    def reset(self, *, seed=None, options=None):
        if self._leave == "reset":
            sys.exit(3)
        return self._first, {}

    def step(self, action):
        if self._leave == "step":
            sys.exit(3)
        return self._later, 0.0, False, False, {}


def stepper(**kwargs):
    environments = make_environments(
        Misbehaving,
        kwargs=kwargs,
        wrappers=(),
        max_episode_steps=None,
        count=2,
        vectorization="sync",
    )
    return EnvironmentStepper(environments, environment_spec(environments), seed=1, label="here")


WRONG = [
    (np.zeros((2, 2), np.uint8), r"array of shape \(2, 2\), dtype uint8"),
    (np.full(4, 0.5, np.float32), "dtype float32"),
    ([0, 0, 0, 0], "list"),
    ("hello", "str"),
]


@pytest.mark.parametrize(("wrong", "words"), WRONG)
def test_an_observation_of_another_shape_or_dtype_is_never_cast(wrong, words):
    declared = r".*declares shape \(4,\), dtype uint8"
    with pytest.raises(EnvironmentFailedError, match="reset failed.*" + words + declared):
        stepper(first=wrong)
    made = stepper(later=wrong)
    with pytest.raises(EnvironmentFailedError, match="step failed.*" + words + declared):
        made.step(np.zeros(2, np.int64))


def test_an_environment_that_calls_sys_exit():
    with pytest.raises(EnvironmentFailedError, match=r"reset failed.*SystemExit: 3"):
        stepper(leave="reset")
    with pytest.raises(EnvironmentFailedError, match=r"step failed.*SystemExit: 3"):
        stepper(leave="step").step(np.zeros(2, np.int64))


class Reshaped(SyncVectorEnv):
    """Gives arrays with another axis."""

    frames_too = False

    def step(self, actions):
        frames, rewards, *rest = super().step(actions)
        if self.frames_too:
            frames = frames[..., np.newaxis]
        return (frames, rewards[:, np.newaxis], *rest)


def test_rewards_of_another_shape_are_refused():
    made = step_together(vectorized([Counting(), Counting()], Reshaped))
    with pytest.raises(EnvironmentFailedError, match=r"rewards of shape \(2, 1\)"):
        made.step(np.zeros(2, np.int64))


def test_frames_of_another_shape_are_refused_with_what_was_declared(monkeypatch):
    made = step_together(vectorized([Counting(), Counting()], Reshaped))
    monkeypatch.setattr(Reshaped, "frames_too", True)
    with pytest.raises(EnvironmentFailedError, match=r"\(2, 2, 1\).*declares \(2, 2\)"):
        made.step(np.zeros(2, np.int64))
