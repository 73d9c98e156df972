"""What leaves an environment: what was declared, single numbers, and nothing that nobody needs."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from tests.envs.shaped import build
from zdqn.envs import environment_spec, guarding
from zdqn.envs.guarding import Guarded, time_limit
from zdqn.envs.stepping import EnvironmentStepper
from zdqn.errors import ConfigError, EnvironmentFailedError


def nothing(t):
    return {}


class Scripted(gymnasium.Env):
    """Observes, and returns, what it is told to; an episode has `length` steps."""

    observation_space = spaces.Box(0, 255, (4,), np.uint8)
    action_space = spaces.Discrete(2)

    def __init__(self, observation=None, reward=1.0, length=3, info=nothing, flags=bool):
        self.observation = np.arange(4, dtype=np.uint8) if observation is None else observation
        self.reward, self.length, self.info, self.flags = reward, length, info, flags

    def reset(self, *, seed=None, options=None):
        self.t = 0
        return self.seen(), self.info(0)

    def seen(self):
        return None if isinstance(self.observation, str) else self.observation

    def step(self, action):
        self.t += 1
        flag = self.flags(self.t == self.length)
        return self.seen(), self.reward, flag, self.flags(False), self.info(self.t)


def play(steps=12, *, count=2, vectorization="sync", wrappers=(), cut_after_steps=None, **kwargs):
    environments = build(
        Scripted, kwargs=kwargs, wrappers=wrappers, count=count, vectorization=vectorization,
        cut_after_steps=cut_after_steps,
    )  # fmt: skip
    stepper = EnvironmentStepper(
        environments, environment_spec(environments), seed=1, label="evaluator-0"
    )
    try:
        rows = [stepper.step(np.zeros(count, np.int64)) for _ in range(steps)]
        return [told for row in rows for _, told in row.finished]
    finally:
        stepper.close()


# --- observations ---------------------------------------------------------------------------------


def test_what_was_declared_passes_unchanged():
    observation = np.arange(4, dtype=np.uint8)
    checked = Guarded(Scripted(observation))
    seen, _ = checked.reset(seed=3, options={"level": 2})
    assert seen is observation
    assert checked.step(1) == (observation, 1.0, False, False, {})


@pytest.mark.parametrize(
    ("observation", "said"),
    [
        (np.zeros((2, 2), np.uint8), r"an array of shape \(2, 2\), dtype uint8"),
        (np.zeros(4, np.float32), "dtype float32"),
        ([0, 0, 0, 0], "is list"),
        ("none", "is NoneType"),
    ],
)
def test_anything_else_is_refused_at_a_reset_and_at_a_step(observation, said):
    checked = Guarded(Scripted(observation))
    checked.env.reset()
    for call in (checked.reset, lambda: checked.step(0)):
        with pytest.raises(TypeError, match=said + r".*declares shape \(4,\), dtype uint8"):
            call()


def test_an_image_of_larger_integers_than_declared_is_refused_and_not_misscaled():
    class Lying(Scripted):
        observation_space = spaces.Box(0, 1, (2, 2), np.uint8)

    image = np.array([[0, 1], [1, 0]], np.uint8)
    assert Guarded(Lying(image)).reset()[0] is image
    with pytest.raises(TypeError, match="holds 255, but observation_space declares at most 1"):
        Guarded(Lying(image * 255)).reset()


# --- rewards and flags ----------------------------------------------------------------------------


@pytest.mark.parametrize("vectorization", ["sync", "async"])
@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_numbers_and_flags_may_be_arrays_of_one_element(vectorization, shape):
    def flags(value):
        return np.full(shape, value)

    reward = np.full(shape, 2.0, np.float32)
    finished = play(4, vectorization=vectorization, reward=reward, flags=flags)
    assert [(told.total_reward, told.length) for told in finished] == [(6.0, 3)] * 2


@pytest.mark.parametrize("vectorization", ["sync", "async"])
@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"reward": np.zeros(2)}, r"the reward is an array of shape \(2,\)"),
        ({"reward": None}, "the reward is None"),
        ({"reward": "1.0"}, "the reward is '1.0'"),
        ({"flags": lambda value: np.array([value, value])}, "terminated is an array of shape"),
        ({"flags": lambda value: None}, "terminated is None"),
        ({"flags": lambda value: "no"}, "terminated is 'no'"),
        ({"flags": lambda value: float("nan")}, "terminated is nan"),
    ],
)
def test_a_reward_or_flag_of_another_kind_is_named(vectorization, changed, said):
    with pytest.raises(EnvironmentFailedError, match=said):
        play(vectorization=vectorization, **changed)


# --- info -----------------------------------------------------------------------------------------

INFOS = {
    "none or a number": lambda t: {"winner": None if t % 2 else 1},
    "arrays of changing length": lambda t: {"legal": np.arange(t + 1)},
    "a large number": lambda t: {"seed": 2**63 + t},
    "a number, then a word": lambda t: {"event": 0 if t == 0 else "hit"},
    "keys that are no words": lambda t: {0: 1.0, ("a", 1): 3},
    "a map or nothing": lambda t: {"stats": {"x": 1} if t % 2 else None},
    "what cannot be pickled": lambda t: {"call": lambda: t},
    "no map at all": lambda t: None,
    "names of zdqn's own": lambda t: {guarding.CUT_KEY: "no", guarding.RETURN_KEY: None},
}


@pytest.mark.parametrize("vectorization", ["sync", "async"])
@pytest.mark.parametrize("info", INFOS.values(), ids=INFOS)
def test_nothing_in_info_matters(vectorization, info):
    assert play(vectorization=vectorization, info=info) == play()


def test_wrappers_see_what_is_in_info():
    seen = []

    class Reading(gymnasium.Wrapper):
        def step(self, action):
            result = self.env.step(action)
            seen.append(result[4])
            return result

    played = Guarded(Reading(Scripted(info=lambda t: {"lives": t})))
    played.reset()
    assert played.step(0)[4] == {}
    assert seen == [{"lives": 1}]


# --- returns --------------------------------------------------------------------------------------


@pytest.mark.parametrize("vectorization", ["sync", "async"])
@pytest.mark.parametrize(
    "wrapper",
    [
        {"name": "ClipReward", "kwargs": {"min_reward": -1.0, "max_reward": 1.0}},
        {"name": "NormalizeReward", "kwargs": {"gamma": 0.9}},
        {"name": "TransformReward", "kwargs": {"func": lambda reward: -reward}},
        {"name": "TimeLimit", "kwargs": {"max_episode_steps": 5}},
    ],
    ids=lambda wrapper: wrapper["name"],
)
def test_returns_are_those_of_the_environment_under_wrappers(vectorization, wrapper):
    finished = play(8, vectorization=vectorization, reward=7.0, wrappers=[wrapper])
    assert [(told.total_reward, told.length) for told in finished] == [(21.0, 3)] * 4


def test_what_is_learned_from_is_the_reward_of_the_wrappers():
    clip = {"name": "ClipReward", "kwargs": {"min_reward": -1.0, "max_reward": 1.0}}
    environments = build(Scripted, kwargs={"reward": 7.0}, wrappers=[clip])
    environments.reset()
    assert environments.step(np.zeros(2, np.int64))[1].tolist() == [1.0, 1.0]


@pytest.mark.parametrize("reward", [np.nan, np.array([1.0, 3.0]), None])
def test_a_reward_that_a_wrapper_had_to_replace_counts_as_replaced(reward):
    replace = {"name": "TransformReward", "kwargs": {"func": lambda _: 0.5}}
    (told, *_) = play(3, reward=reward, wrappers=[replace])
    assert told.total_reward == 1.5


def test_a_skipping_wrapper_loses_no_reward():
    class Skipping(gymnasium.Wrapper):
        def step(self, action):
            self.env.step(action)
            return self.env.step(action)

    inner = guarding.OwnRewards(Scripted(length=4))
    guarded = Guarded(Skipping(inner), inner)
    guarded.reset()
    assert guarded.step(0)[4] == {}
    assert guarded.step(0)[4] == {guarding.RETURN_KEY: 4.0}


# --- cutting off ----------------------------------------------------------------------------------


@pytest.mark.parametrize("vectorization", ["sync", "async"])
@pytest.mark.parametrize("wrappers", [(), [{"name": "NormalizeReward"}]], ids=["bare", "wrapped"])
def test_an_episode_that_does_not_end_is_cut_off_and_marked(vectorization, wrappers):
    finished = play(
        10, length=10**9, cut_after_steps=4, vectorization=vectorization, wrappers=wrappers
    )
    assert [(told.total_reward, told.length, told.cut) for told in finished] == [(4.0, 4, True)] * 4


def test_an_episode_that_ends_in_time_is_not_marked():
    assert [told.cut for told in play(8, cut_after_steps=3)] == [False] * 4


def test_nothing_is_cut_off_unless_asked():
    assert play(50, length=10**9) == []


@pytest.mark.parametrize(
    ("changed", "steps"),
    [({}, 5), ({"max_episode_steps": 7}, 7), ({"max_episode_steps": 3}, 3)],
)
def test_the_chosen_limit_is_for_environments_without_one(monkeypatch, changed, steps):
    monkeypatch.setattr("zdqn.envs.making.CHOSEN_LIMIT", 5)
    environments = build(
        Scripted, kwargs={"length": 10**9}, count=1, cut_after_steps=0, **changed
    )  # fmt: skip
    stepper = EnvironmentStepper(environments, environment_spec(environments), seed=1, label="e")
    finished = [told for _ in range(8) for _, told in stepper.step(np.zeros(1, int)).finished]
    assert [(told.length, told.cut) for told in finished][:1] == [(steps, not changed)]


def test_time_limits_are_seen_wherever_they_are():
    limited = gymnasium.wrappers.TimeLimit(Scripted(), 3)
    assert time_limit(gymnasium.make("CartPole-v1"))
    assert time_limit(gymnasium.wrappers.TransformReward(limited, lambda reward: reward))
    assert not time_limit(gymnasium.make("CliffWalking-v1"))
    assert not time_limit(Scripted())


def test_native_environments_are_refused_where_one_would_have_to_be_cut_off():
    with pytest.raises(ConfigError, match=r'"native".*a time limit of 500.*is 20\..*sync'):
        build("CartPole-v1", vectorization="native", cut_after_steps=20)
    build("CartPole-v1", vectorization="native", cut_after_steps=0)
    build("CartPole-v1", vectorization="native", cut_after_steps=500)
    spec = gymnasium.spec("CartPole-v1")
    gymnasium.register(
        "test/Endless-v0", entry_point=spec.entry_point, vector_entry_point=spec.vector_entry_point
    )
    try:
        with pytest.raises(ConfigError, match=r"no time limit.*environment\.max_episode_steps"):
            build("test/Endless-v0", vectorization="native", cut_after_steps=0)
    finally:
        gymnasium.registry.pop("test/Endless-v0")
