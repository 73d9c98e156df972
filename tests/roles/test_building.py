"""From configuration to parts: what a user sets is what is built."""

import gymnasium
import numpy as np
import pytest
import torch

from tests.roles.conftest import Corridor, quick_config
from zdqn.config import load_config
from zdqn.core.agenda import Limits, Periods
from zdqn.data import EnvironmentSpec
from zdqn.errors import ConfigError
from zdqn.rl.categorical import Categorical, CategoricalQLearning
from zdqn.rl.greedy import DensePolicy
from zdqn.rl.munchausen import MunchausenQLearning
from zdqn.rl.objectives import QLearning
from zdqn.rl.quantiles import QuantileQLearning, Quantiles
from zdqn.rl.torch_policy import TorchPolicy
from zdqn.rl.value_rescaling import ValueRescaling
from zdqn.roles.building import (
    acting_seed,
    build_copied_policy,
    build_environments,
    build_importance_schedule,
    build_limits,
    build_network,
    build_objective,
    build_periods,
    build_policy,
    build_trainer,
    evaluation_seed,
    one_thread,
    use_threads,
)

SPEC = EnvironmentSpec((4,), "float32", 3)


@pytest.fixture
def threads():
    """Gives back the number of threads that the test has changed."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def equal(one, other):
    ours, theirs = one.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(
        torch.equal(tensor, theirs[name]) for name, tensor in ours.items()
    )


# --- environments ---------------------------------------------------------------------------------


def test_environments_are_those_configured():
    config = quick_config(
        "environment.id=zdqn/SlowCartPole-v0", "environment.kwargs={sleep_s=0.0}",
        "environment.max_episode_steps=3", "environment.frame_stack=2",
        'environment.wrappers=[{name="DtypeObservation", kwargs={dtype="float64"}}]',
    )  # fmt: skip
    environments, spec = build_environments(config, None, count=2, vectorization="sync")
    assert environments.num_envs == 2
    assert spec == EnvironmentSpec((4,), "float64", 2, 2)
    environments.reset(seed=0)
    ends = [environments.step(np.array([0, 1]))[3].tolist() for _ in range(3)]
    assert ends == [[False, False], [False, False], [True, True]]
    environments.close()


def test_a_factory_takes_the_place_of_the_id_and_gets_the_kwargs():
    config = quick_config("environment.id=nowhere:make", "environment.kwargs={length=3}")
    environments, spec = build_environments(config, Corridor, count=1, vectorization="sync")
    assert spec == EnvironmentSpec((5,), "float32", 2)
    environments.reset(seed=0)
    ends = [bool(environments.step(np.array([1]))[2][0]) for _ in range(2)]
    assert ends == [False, True]
    environments.close()


@pytest.mark.parametrize(
    ("vectorization", "expected"),
    [("sync", gymnasium.vector.SyncVectorEnv), ("async", gymnasium.vector.AsyncVectorEnv)],
)
def test_the_vectorization_is_the_callers(vectorization, expected):
    environments, _ = build_environments(quick_config(), None, count=1, vectorization=vectorization)
    assert isinstance(environments, expected)
    environments.close()


def test_what_cannot_be_made_is_a_configuration_error():
    with pytest.raises(ConfigError, match="CartPole-v7"):
        build_environments(
            quick_config("environment.id=CartPole-v7"), None, count=1, vectorization="sync"
        )


# --- networks -------------------------------------------------------------------------------------


def test_every_role_builds_the_same_network_and_another_seed_another():
    config = quick_config()
    assert equal(build_network(config, None, SPEC), build_network(config, None, SPEC))
    other = quick_config("run.seed=1")
    assert not equal(build_network(config, None, SPEC), build_network(other, None, SPEC))


def test_the_network_has_the_configured_shape():
    config = quick_config("network.hidden=[7, 9]", "network.dueling=false")
    shapes = [tuple(tensor.shape) for tensor in build_network(config, None, SPEC).parameters()]
    assert shapes == [(7, 4), (7,), (9, 7), (9,), (3, 9), (3,)]


@pytest.mark.parametrize(
    ("overrides", "kind"),
    [
        ((), "QLearning"),
        (("algorithm.value_rescaling=true",), "QLearning"),
        (("algorithm.distribution=categorical",), "CategoricalQLearning"),
        (("algorithm.distribution=quantile",), "QuantileQLearning"),
        (("algorithm.munchausen=true",), "MunchausenQLearning"),
    ],
)
def test_the_objective_is_the_one_that_is_configured(overrides, kind):
    objective = build_objective(quick_config(*overrides))
    assert type(objective).__name__ == kind


def test_every_number_of_an_objective_is_the_configured_one():
    config = quick_config(
        "algorithm.distribution=categorical", "algorithm.atoms=7", "algorithm.v_min=-3",
        "algorithm.v_max=4", "algorithm.double=true",
    )  # fmt: skip
    assert build_objective(config) == CategoricalQLearning(Categorical(7, -3.0, 4.0), True)
    config = quick_config(
        "algorithm.distribution=quantile", "algorithm.quantiles=9", "algorithm.huber_delta=0.5"
    )
    assert build_objective(config) == QuantileQLearning(Quantiles(9), False, 0.5)
    config = quick_config(
        "algorithm.munchausen=true", "algorithm.munchausen_alpha=0.5",
        "algorithm.munchausen_temperature=0.25", "algorithm.munchausen_clip=-2",
        "algorithm.loss=squared", "algorithm.huber_delta=3",
    )  # fmt: skip
    assert build_objective(config) == MunchausenQLearning(0.5, 0.25, -2.0, "squared", 3.0)
    config = quick_config("algorithm.value_rescaling=true", "algorithm.value_rescaling_epsilon=0.5")
    assert build_objective(config) == QLearning(False, "huber", 1.0, ValueRescaling(0.5))


def test_a_copied_policy_keeps_the_weights_that_a_network_had_and_has_noise_of_its_own():
    network = build_network(quick_config(), None, SPEC)
    observations = np.ones((2, 4), np.float32)
    policy = build_copied_policy(network)
    before = policy.q_values(observations)
    with torch.no_grad():
        np.testing.assert_allclose(before, network(torch.from_numpy(observations)), atol=1e-6)
        for parameter in network.parameters():
            parameter.zero_()
    np.testing.assert_array_equal(policy.q_values(observations), before)
    noisy = build_copied_policy(build_network(quick_config("network.noisy=true"), None, SPEC))
    assert not np.array_equal(noisy.q_values(observations), noisy.q_values(observations))


@pytest.mark.parametrize("overrides", [(), ("network.dueling=true",)])
def test_a_distribution_gives_the_network_its_output(overrides):
    config = quick_config("algorithm.distribution=quantile", "algorithm.quantiles=9", *overrides)
    assert build_network(config, None, SPEC)(torch.zeros(2, 4)).shape == (2, 3, 9)


@pytest.mark.parametrize(
    "override", ["network.noisy=true", "algorithm.distribution=quantile"], ids=["noisy", "quantile"]
)
def test_a_policy_of_rainbows_parts_is_in_torch(threads, override):
    config = quick_config(override)
    policy = build_policy(config, None, SPEC, 1)
    assert isinstance(policy, TorchPolicy)
    observations = np.ones((2, 4), np.float32)
    again = build_policy(config, None, SPEC, 1, noise_seed=(1,))
    same = np.array_equal(again.q_values(observations), policy.q_values(observations))
    assert same is (override != "network.noisy=true")
    assert acting_seed() != acting_seed()


@pytest.mark.parametrize(
    "override", ["network.dueling=true", "network.activation=tanh", "network.initialization=xavier"]
)
def test_every_switch_of_the_network_changes_what_it_computes(override):
    # the dueling heads and the initialization differ in weights; the activation in what it gives
    observations = torch.linspace(-1, 1, 40).reshape(10, 4)
    plain, other = (
        build_network(quick_config(*overrides), None, SPEC) for overrides in ((), (override,))
    )
    assert not torch.allclose(plain(observations), other(observations))


def test_a_factory_takes_the_place_of_the_kind():
    made = []

    def make(spec):
        made.append(spec)
        return torch.nn.Linear(4, spec.num_actions)

    network = build_network(quick_config(), make, SPEC)
    assert isinstance(network, torch.nn.Linear)
    assert made == [SPEC]


# --- policies -------------------------------------------------------------------------------------


def linear(spec):
    return torch.nn.Linear(4, spec.num_actions)


@pytest.mark.parametrize(
    ("overrides", "factory", "count", "expected"),
    [
        ((), None, 1, DensePolicy),
        (("network.dueling=true", "network.activation=tanh"), None, 8, DensePolicy),
        ((), None, 10**6, TorchPolicy),
        (("network.hidden=[2048, 2048]",), None, 1, TorchPolicy),
        (("network.activation=elu",), None, 1, TorchPolicy),
        ((), linear, 1, TorchPolicy),
    ],
    ids=["small", "small with switches", "many rows", "large", "no such activation", "factory"],
)
def test_a_policy_is_in_numpy_where_that_is_the_faster(
    threads, overrides, factory, count, expected
):
    policy = build_policy(quick_config(*overrides), factory, SPEC, count)
    assert type(policy) is expected


@pytest.mark.parametrize("overrides", [(), ("network.dueling=true",)])
def test_either_kind_of_policy_gives_the_networks_values(threads, overrides):
    config = quick_config(*overrides)
    network = build_network(config, None, SPEC)
    arrays = {name: tensor.detach().numpy() for name, tensor in network.state_dict().items()}
    observations = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    with torch.inference_mode():
        expected = network(torch.from_numpy(observations)).numpy()
    for count in (3, 10**6):
        policy = build_policy(config, None, SPEC, count)
        policy.load(arrays)
        np.testing.assert_allclose(policy.q_values(observations), expected, atol=1e-5)


def test_a_policy_in_torch_uses_the_collectors_threads(threads):
    build_policy(quick_config("collector.threads=3"), linear, SPEC, 1)
    assert torch.get_num_threads() == 3


def test_or_leaves_them_as_they_are_in_a_program_that_is_not_its_own(threads):
    use_threads(2)
    build_policy(quick_config("collector.threads=3"), linear, SPEC, 1, set_threads=False)
    assert torch.get_num_threads() == 2


# --- the trainer ----------------------------------------------------------------------------------


def test_a_trainer_begins_with_the_network_that_every_role_builds():
    config = quick_config("run.seed=3")
    trainer = build_trainer(config, None, SPEC)
    assert equal(trainer.online, build_network(config, None, SPEC))
    assert equal(trainer.target, trainer.online)
    assert trainer.updates == 0
    assert trainer.device.type == "cpu"


def test_without_a_target_network_the_online_one_is_it():
    trainer = build_trainer(quick_config("algorithm.target_network=none"), None, SPEC)
    assert trainer.target is trainer.online
    trainer = build_trainer(quick_config("algorithm.target_network=hard"), None, SPEC)
    assert trainer.target is not trainer.online


def test_a_trainer_trains_the_network_of_a_factory():
    assert isinstance(build_trainer(quick_config(), linear, SPEC).online, torch.nn.Linear)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(ConfigError, match="cuda"):
        build_trainer(quick_config("learner.device=cuda"), None, SPEC)


# --- numbers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("annealing", "expected"),
    [(0, [0.4, 0.4, 0.4, 0.4]), (100, [0.4, 0.7, 1.0, 1.0])],
    ids=["constant", "annealed"],
)
def test_the_importance_exponent_rises_to_its_final_value_or_stays(annealing, expected):
    schedule = build_importance_schedule(
        quick_config(
            "replay.importance_exponent=0.4", "replay.importance_exponent_final=1.0",
            f"replay.importance_annealing_updates={annealing}",
        )
    )  # fmt: skip
    assert [schedule(updates) for updates in (0, 50, 100, 500)] == pytest.approx(expected)


def test_limits_are_those_of_stop():
    config = quick_config(
        "stop.updates=1", "stop.environment_steps=2", "stop.episodes=3", "stop.wall_s=4",
        "stop.evaluation_return=5",
    )  # fmt: skip
    assert build_limits(config) == Limits(1, 2, 3, 4.0, 5.0)


def test_an_evaluation_return_of_0_is_a_limit_and_none_is_not():
    assert build_limits(quick_config("stop.evaluation_return=0")).evaluation_return == 0.0
    assert build_limits(quick_config()).evaluation_return is None


def test_periods_are_those_of_learner_and_evaluator():
    config = load_config(None, [
        "learner.publish_period_updates=1", "learner.republish_period_s=3",
        "evaluator.period_environment_steps=4", "evaluator.period_updates=5",
        "evaluator.period_episodes=6",
        "learner.checkpoint_period_updates=7", "learner.report_period_s=8",
    ])  # fmt: skip
    assert build_periods(config) == Periods(
        publish_updates=1, republish_s=3.0, snapshot_environment_steps=4,
        snapshot_updates=5, snapshot_episodes=6, checkpoint_updates=7, report_s=8.0,
    )  # fmt: skip


def test_each_snapshot_of_a_seed_is_evaluated_with_a_seed_of_its_own():
    seeds = [evaluation_seed(seed, snapshot) for seed in (0, 1) for snapshot in range(50)]
    assert len(set(seeds)) == 100
    assert seeds[:50] == [evaluation_seed(0, snapshot) for snapshot in range(50)]
    assert all(0 <= seed < 2**32 for seed in seeds)


def test_threads_are_torchs(threads):
    use_threads(2)
    assert torch.get_num_threads() == 2


def test_one_thread_is_for_a_while(threads):
    use_threads(2)
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2
    with pytest.raises(KeyError), one_thread():
        raise KeyError
    assert torch.get_num_threads() == 2
