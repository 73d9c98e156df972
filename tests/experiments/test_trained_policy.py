"""A stored network as a function: the network that was saved, and observations that fit it."""

import gymnasium
import numpy as np
import pytest
import torch

from tests.roles.conftest import quick_config
from zdqn.core.agenda import Counters
from zdqn.data import EnvironmentSpec
from zdqn.errors import ConfigError, FileError, MismatchError, UsageError
from zdqn.experiments.trained_policy import TrainedPolicy, checkpoint_of, load_policy
from zdqn.records.checkpoints import Checkpoint, save_checkpoint
from zdqn.records.given_functions import record_functions
from zdqn.records.run_result import RunResult
from zdqn.rl.greedy import Greedy
from zdqn.roles.building import build_network
from zdqn.roles.single import Single

VECTORS = EnvironmentSpec((5,), "float32", 2)
IMAGES = EnvironmentSpec((2, 3), "uint8", 4, frame_stack=3)


class Sums(Greedy):
    """Values an action by the sum of the observation times its number; keeps what it was given."""

    def __init__(self, spec):
        self._spec = spec
        self.given = []

    def q_values(self, observations):
        assert isinstance(observations, np.ndarray)
        assert observations.dtype == self._spec.dtype
        assert observations.shape[1:] == self._spec.stacked_shape
        self.given.append(observations)
        sums = observations.reshape(len(observations), -1).sum(1).astype(np.float32)
        return sums[:, None] * np.arange(self._spec.num_actions, dtype=np.float32)

    def load(self, arrays):
        raise NotImplementedError


def policy_of(spec, tmp_path):
    return TrainedPolicy(Sums(spec), config=quick_config(), spec=spec, checkpoint=tmp_path)


@pytest.fixture
def vectors(tmp_path):
    return policy_of(VECTORS, tmp_path)


@pytest.fixture
def images(tmp_path):
    return policy_of(IMAGES, tmp_path)


# --- acting ---------------------------------------------------------------------------------------


def test_one_observation_has_one_action_of_python(vectors):
    action = vectors(np.ones(5, np.float32))
    assert (action, type(action)) == (1, int)
    assert vectors(-np.ones(5, np.float32)) == 0


def test_many_observations_have_as_many_actions(images):
    given = np.ones((7, *IMAGES.stacked_shape), np.uint8)
    actions = images.actions(given)
    assert (actions.tolist(), actions.dtype) == ([3] * 7, np.int64)


def test_values_are_of_one_observation_or_of_many(vectors):
    one = np.full(5, 2, np.float32)
    assert vectors.q_values(one).tolist() == [0, 10]
    assert vectors.q_values(np.stack([one, -one, one])).tolist() == [[0, 10], [0, -10], [0, 10]]
    assert vectors.q_values(one[None]).shape == (1, 2)


@pytest.mark.parametrize(
    "given", [[1, 2, 3, 4, 5], (1.0,) * 5, np.ones(5), np.ones(5, np.float16), np.ones(5, bool),
              torch.ones(5)],
)  # fmt: skip
def test_what_turns_into_the_dtype_is_taken(vectors, given):
    assert vectors(given) == 1


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (np.ones(4), r"shape \(4,\), but a call takes one.*observation is float32 \(5,\); many"),
        (np.ones((3, 5)), r"shape \(3, 5\), but a call takes one observation.*policy.actions many"),
        (1.0, r"shape \(\), but a call"),
        ([[1, 2], [3]], "no array"),
        ({"position": 1}, "dtype object, which does not turn into float32.*flattened"),
        (np.ones(5, complex), "dtype complex128"),
        ([1, 2, np.nan, np.inf, 5], "2 values that are not finite"),
        ([1e300] * 5, "5 values that are not finite"),
    ],
)
def test_what_is_no_observation_is_refused_in_words(vectors, given, words):
    with pytest.raises(UsageError, match=words):
        vectors(given)


def test_many_observations_of_another_shape_are_refused(vectors):
    for given in (np.ones(5), np.ones((3, 4)), np.ones((2, 3, 5)), 1.0):
        with pytest.raises(UsageError, match=r"many are \(N, 5\)"):
            vectors.actions(given)
    with pytest.raises(UsageError, match=r"policy.q_values either"):
        vectors.q_values(np.ones(4))


def test_images_are_taken_as_the_environment_gives_them(images):
    with pytest.raises(UsageError, match=r"float64, which does not turn into uint8.*unscaled"):
        images(np.ones(IMAGES.stacked_shape))
    with pytest.raises(UsageError, match=r"of 3 frames, the newest last.*FrameStackObservation"):
        images(np.ones(IMAGES.observation_shape, np.uint8))


def test_a_stack_is_that_of_gymnasium(images):
    class Counting(gymnasium.Env):
        observation_space = gymnasium.spaces.Box(0, 255, IMAGES.observation_shape, np.uint8)
        action_space = gymnasium.spaces.Discrete(4)
        steps = 0

        def reset(self, *, seed=None, options=None):
            return np.zeros(IMAGES.observation_shape, np.uint8), {}

        def step(self, action):
            self.steps += 1
            frame = np.full(IMAGES.observation_shape, self.steps, np.uint8)
            return frame, 0.0, False, False, {}

    environment = gymnasium.wrappers.FrameStackObservation(Counting(), IMAGES.frame_stack)
    observation, _ = environment.reset()
    images(observation)
    observation, *_ = environment.step(0)
    images(observation)
    assert [given[0, :, 0, 0].tolist() for given in images._network.given] == [[0, 0, 0], [0, 0, 1]]


# --- loading --------------------------------------------------------------------------------------


class Always(torch.nn.Module):
    """Prefers one action everywhere; which one is all that it has learned."""

    def __init__(self, spec, action=0):
        super().__init__()
        self.values = torch.nn.Parameter(torch.eye(spec.num_actions)[action])

    def forward(self, observations):
        return self.values.expand(len(observations), -1)


def store(path, *overrides, network=None):
    """Write a checkpoint; give the network that is in it."""
    config = quick_config(*overrides)
    network = network or build_network(quick_config("run.seed=8", *overrides), None, VECTORS)
    checkpoint = Checkpoint(config, VECTORS, network.state_dict(), Counters())
    save_checkpoint(path, checkpoint)
    return network


@pytest.mark.parametrize("activation", ["relu", "elu"])
def test_a_policy_has_the_stored_weights_configuration_and_spec(tmp_path, activation):
    shape = "network.hidden=[8]", "network.dueling=true", f"network.activation={activation}"
    network = store(tmp_path / "a.pt", "run.seed=7", *shape)
    policy = load_policy(tmp_path / "a.pt")
    assert (policy.config, policy.spec) == (quick_config("run.seed=7", *shape), VECTORS)
    assert repr(policy) == f"TrainedPolicy({str(tmp_path / 'a.pt')!r}, float32 (5,), 2 actions)"
    observations = np.random.default_rng(0).normal(size=(50, 5)).astype(np.float32)
    with torch.inference_mode():
        expected = network(torch.from_numpy(observations)).numpy()
    np.testing.assert_allclose(policy.q_values(observations), expected, atol=1e-6)
    assert policy.actions(observations).tolist() == expected.argmax(1).tolist()
    assert [policy(one) for one in observations] == expected.argmax(1).tolist()
    assert policy.actions(observations[:0]).shape == (0,)


def test_a_network_that_the_run_was_given_must_be_given_again(tmp_path):
    store(tmp_path / "a.pt", network=Always(VECTORS, 1))
    policy = load_policy(tmp_path / "a.pt", network=Always)
    assert policy.actions(np.zeros((3, 5), np.float32)).tolist() == [1, 1, 1]
    with pytest.raises(MismatchError):
        load_policy(tmp_path / "a.pt")


def test_a_function_that_is_missing_is_named_with_the_way_out(tmp_path):
    config = record_functions(quick_config(), network=Always)
    weights = Always(VECTORS).state_dict()
    save_checkpoint(tmp_path / "a.pt", Checkpoint(config, VECTORS, weights, Counters()))
    with pytest.raises(ConfigError, match=r"Always .*network=... of .*zdqn\.load_policy"):
        load_policy(tmp_path / "a.pt")


def test_code_that_a_file_names_is_run_unless_it_is_said_what_may_be(tmp_path):
    config, kind = quick_config(), "tests.experiments.told_network:build"
    spec = EnvironmentSpec((4,), "float32", 2)
    online = build_network(config, None, spec).state_dict()
    config = config.replace("network.kind", kind)
    save_checkpoint(tmp_path / "a.pt", Checkpoint(config, spec, online, Counters()))
    with pytest.raises(ConfigError, match=r"a\.pt has network\.kind.*--allow-code tests"):
        load_policy(tmp_path / "a.pt", allow_code=[])
    with pytest.raises(ConfigError, match="no module"):  # so it was looked for
        load_policy(tmp_path / "a.pt", allow_code=["tests.experiments"])
    with pytest.raises(ConfigError, match="no module"):
        load_policy(tmp_path / "a.pt")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileError, match=r"none\.pt"):
        load_policy(tmp_path / "none.pt")


def test_the_programs_own_torch_is_left_alone(tmp_path):
    store(tmp_path / "a.pt")
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    load_policy(tmp_path / "a.pt")
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)


def test_which_file_is_meant(tmp_path):
    best, other = tmp_path / "best.pt", tmp_path / "checkpoints" / "update-000000002.pt"
    other.parent.mkdir()
    with pytest.raises(FileError, match=r"has no best\.pt.*It holds no other\."):
        checkpoint_of(tmp_path)
    other.touch()
    with pytest.raises(FileError, match=r"has no best\.pt.*update-000000002\.pt"):
        checkpoint_of(RunResult(tmp_path))
    best.touch()
    for run in (best, tmp_path, str(tmp_path), RunResult(tmp_path)):
        assert checkpoint_of(run) == best
    assert checkpoint_of(str(other)) == other
    with pytest.raises(UsageError, match="no run"):
        checkpoint_of(None)  # type: ignore[arg-type]


def test_a_run_is_acted_with_as_it_was_trained(tmp_path):
    config = quick_config("evaluator.period_updates=20")
    with Single(config, run_directory=tmp_path) as single:
        result = single.run()
    policy = load_policy(result)
    assert policy.spec == EnvironmentSpec((4,), "float32", 2)
    environment = gymnasium.make("CartPole-v1")
    observation, _ = environment.reset(seed=0)
    for _ in range(5):
        observation, _, terminated, _, _ = environment.step(policy(observation))
        assert not terminated
