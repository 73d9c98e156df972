"""From configuration to the parts that roles are made of."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from zdqn.config import Config
from zdqn.core.agenda import Limits, Periods
from zdqn.data import EnvironmentSpec
from zdqn.records.given_functions import check_environment_is_given, check_network_is_given
from zdqn.rl.schedules import LinearSchedule
from zdqn.wire.status import LimitsStatus

if TYPE_CHECKING:
    from gymnasium.vector import VectorEnv
    from torch import nn

    from zdqn.core.rollout import Rollout
    from zdqn.core.trainer import Trainer
    from zdqn.rl.distributions import Distribution
    from zdqn.rl.greedy import Greedy
    from zdqn.rl.objectives import Objective

EnvironmentFactory = Callable[..., Any]
"""Makes one `gymnasium.Env`; called with ``environment.kwargs``."""
NetworkFactory = Callable[[EnvironmentSpec], Any]
"""Makes a `torch.nn.Module` for an environment's spec."""
ACTING = 3
"""Tells the noise of acting from whatever else a run draws by its seed."""


def build_environments(
    config: Config,
    factory: EnvironmentFactory | None,
    *,
    count: int,
    vectorization: str,
    cut_after_steps: int | None = None,
) -> tuple[VectorEnv[Any, Any, Any], EnvironmentSpec]:
    """Make environments as configured, and say what they look like.

    Args:
        config: its ``environment`` section is used.
        factory: makes an environment in place of ``environment.id``.
        count: environments stepped together.
        vectorization: "sync", "async" or "native".
        cut_after_steps: see `zdqn.envs.make_environments`.

    Raises:
        ConfigError: when the configuration names what cannot be made, or what DQN cannot act in,
            or when a function made the environment that is not given now.
    """
    check_environment_is_given(config, factory)
    from zdqn.envs import environment_spec, make_environments

    section = config.environment
    environments = make_environments(
        factory or section.id,
        kwargs=section.kwargs,
        wrappers=[{"name": wrapper.name, "kwargs": wrapper.kwargs} for wrapper in section.wrappers],
        max_episode_steps=section.max_episode_steps,
        count=count,
        vectorization=vectorization,
        cut_after_steps=cut_after_steps,
        action_masks=section.action_masks,
    )
    return environments, environment_spec(environments, section.frame_stack, section.action_masks)


def build_evaluation_environments(
    config: Config, factory: EnvironmentFactory | None, *, episodes: int
) -> tuple[VectorEnv[Any, Any, Any], EnvironmentSpec]:
    """Make environments to evaluate in, whose episodes all end; see `build_environments`.

    Args:
        config: its ``environment`` and ``evaluator`` sections are used.
        factory: makes an environment in place of ``environment.id``.
        episodes: that will be played; no more environments than these are made.
    """
    section = config.evaluator
    return build_environments(
        config,
        factory,
        count=min(section.environments, episodes),
        vectorization=section.vectorization,
        cut_after_steps=section.max_episode_steps,
    )


def build_rollout(
    config: Config,
    environments: VectorEnv[Any, Any, Any],
    spec: EnvironmentSpec,
    *,
    seed: int,
    label: str,
) -> Rollout:
    """Reset a collector's environments, and build what turns their steps into blocks.

    Args:
        config: its ``algorithm`` and ``collector`` sections are used.
        environments: from `build_environments`.
        spec: of them.
        seed: of the environments.
        label: who steps them, for messages.

    Raises:
        ConfigError: if a block has no room for one transition of each environment.
        EnvironmentFailedError: if the environments cannot be reset.
    """
    from zdqn.core.rollout import Rollout

    return Rollout(
        environments,
        spec,
        n_step=config.algorithm.n_step,
        discount=config.algorithm.discount,
        block_transitions=config.collector.block_transitions,
        reward_clip=config.algorithm.reward_clip,
        seed=seed,
        label=label,
    )


def build_network(
    config: Config, factory: NetworkFactory | None, spec: EnvironmentSpec
) -> nn.Module:
    """Build the Q-network as configured; every role builds the same one.

    Args:
        config: its ``network`` section is used, ``run.seed``, and what ``algorithm`` says of
            distributions.
        factory: makes a network in place of ``network.kind``.
        spec: of the environment.

    Raises:
        ConfigError: when the network cannot be built for this environment, or when a function made
            it that is not given now.
    """
    check_network_is_given(config, factory)
    from zdqn.rl import networks

    section = config.network
    return networks.build_network(
        spec,
        kind=factory or section.kind,
        hidden=section.hidden,
        activation=section.activation,
        initialization=section.initialization,
        dueling=section.dueling,
        noisy_sigma=section.noisy_sigma if section.noisy else None,
        distribution=build_distribution(config),
        seed=config.run.seed,
    )


def build_distribution(config: Config) -> Distribution | None:
    """Say what the network's output means; None for action values.

    Args:
        config: its ``algorithm`` section is used.
    """
    section = config.algorithm
    if section.distribution == "categorical":
        from zdqn.rl.categorical import Categorical

        return Categorical(section.atoms, section.v_min, section.v_max)
    if section.distribution == "quantile":
        from zdqn.rl.quantiles import Quantiles

        return Quantiles(section.quantiles)
    return None


def build_policy(
    config: Config,
    factory: NetworkFactory | None,
    spec: EnvironmentSpec,
    count: int,
    *,
    set_threads: bool = True,
    noise_seed: Sequence[int] | None = None,
) -> Greedy:
    """Build what a collector acts with; its weights are still to be loaded.

    Args:
        config: its ``network`` section is used.
        factory: makes a network in place of ``network.kind``.
        spec: of the environment.
        count: observations that it will act on at once.
        set_threads: set PyTorch's threads in this process to ``collector.threads``.
        noise_seed: of the noise of noisy layers; None acts by their means.

    Returns:
        A network in NumPy where that is the faster (PyTorch is not even loaded then), or else one
        in PyTorch.

    Raises:
        ConfigError: when the network cannot be built for this environment.
    """
    check_network_is_given(config, factory)
    dense = build_dense_policy(config, factory, spec, count)
    if dense is not None:
        return dense
    from zdqn.rl.torch_policy import TorchPolicy

    if set_threads:
        use_threads(config.collector.threads)
    return TorchPolicy(build_network(config, factory, spec), noise_seed=noise_seed)


def build_dense_policy(
    config: Config, factory: NetworkFactory | None, spec: EnvironmentSpec, count: int
) -> Greedy | None:
    """Build a policy in NumPy, if that is the faster; the arguments are those of `build_policy`."""
    from zdqn.rl.dense import ACTIVATIONS, DenseNetwork
    from zdqn.rl.greedy import DensePolicy

    section = config.network
    if factory is not None or section.kind != "mlp" or section.activation not in ACTIVATIONS:
        return None
    if section.noisy or config.algorithm.distribution != "none":
        return None
    network = DenseNetwork.empty(
        spec, hidden=section.hidden, activation=section.activation, dueling=section.dueling
    )
    return DensePolicy(network) if count <= network.most_rows else None


def build_copied_policy(network: nn.Module) -> Greedy:
    """Build what explores with a network as it is now, on its device; noisy layers have noise."""
    from zdqn.rl.torch_policy import TorchPolicy

    return TorchPolicy(copy.deepcopy(network), noise_seed=acting_seed())


def build_objective(config: Config) -> Objective:
    """Build what networks are trained for, as configured.

    Args:
        config: its ``algorithm`` section is used.
    """
    from zdqn.rl.categorical import Categorical, CategoricalQLearning
    from zdqn.rl.munchausen import MunchausenQLearning
    from zdqn.rl.objectives import QLearning
    from zdqn.rl.quantiles import QuantileQLearning, Quantiles
    from zdqn.rl.value_rescaling import ValueRescaling

    section = config.algorithm
    distribution = build_distribution(config)
    if isinstance(distribution, Categorical):
        return CategoricalQLearning(distribution, section.double)
    if isinstance(distribution, Quantiles):
        return QuantileQLearning(distribution, section.double, section.huber_delta)
    if section.munchausen:
        return MunchausenQLearning(
            alpha=section.munchausen_alpha,
            temperature=section.munchausen_temperature,
            clip=section.munchausen_clip,
            loss=section.loss,
            huber_delta=section.huber_delta,
        )
    rescaling = None
    if section.value_rescaling:
        rescaling = ValueRescaling(section.value_rescaling_epsilon)
    return QLearning(
        double=section.double,
        loss=section.loss,
        huber_delta=section.huber_delta,
        rescaling=rescaling,
    )


def build_trainer(config: Config, factory: NetworkFactory | None, spec: EnvironmentSpec) -> Trainer:
    """Build network, target network and optimizer as configured.

    Args:
        config: its ``algorithm``, ``network`` and ``learner`` sections are used.
        factory: makes a network in place of ``network.kind``.
        spec: of the environment.

    Raises:
        ConfigError: when the network cannot be built, or the device is not there.
    """
    from zdqn.core.trainer import Trainer
    from zdqn.rl.adam import AdamSettings

    section = config.algorithm
    return Trainer(
        build_network(config, factory, spec),
        build_objective(config),
        AdamSettings(
            section.learning_rate, section.adam_beta1, section.adam_beta2, section.adam_eps
        ),
        max_gradient_norm=section.max_gradient_norm,
        target_network=section.target_network,
        target_update_period_updates=section.target_update_period_updates,
        target_update_rate=section.target_update_rate,
        device=config.learner.device,
        compile=False,  # `zdqn.roles.compiling` has it done
        noise_seed=config.run.seed,
    )


def build_importance_schedule(config: Config) -> LinearSchedule:
    """Build the schedule of the importance exponent (beta), from updates to its value."""
    replay = config.replay
    annealing = replay.importance_annealing_updates
    final = replay.importance_exponent_final if annealing else replay.importance_exponent
    return LinearSchedule(replay.importance_exponent, final, annealing)


def build_limits(config: Config) -> Limits:
    """Say when training ends, as configured in ``stop``."""
    section = config.stop
    return Limits(**{key: getattr(section, key) for key in section.__struct_fields__})


def describe_limits(config: Config) -> LimitsStatus:
    """Tell when training ends, as a status does: a limit that is not set is None."""
    section = config.stop
    limits = {key: getattr(section, key) or None for key in section.__struct_fields__}
    limits["evaluation_return"] = section.evaluation_return
    return LimitsStatus(**limits)


def build_periods(config: Config) -> Periods:
    """Say how often things are done, as configured in ``learner`` and ``evaluator``."""
    learner, evaluator = config.learner, config.evaluator
    return Periods(
        publish_updates=config.publish_period_updates,
        republish_s=learner.republish_period_s,
        snapshot_environment_steps=evaluator.period_environment_steps,
        snapshot_updates=evaluator.period_updates,
        snapshot_episodes=evaluator.period_episodes,
        checkpoint_updates=learner.checkpoint_period_updates,
        report_s=learner.report_period_s,
    )


def evaluation_seed(seed: int, snapshot: int) -> int:
    """Give the seed of a snapshot's evaluation: its own, and the same in every run of `seed`."""
    return int(np.random.SeedSequence((seed, 1, snapshot)).generate_state(1)[0])


def evaluation_deadline_s(config: Config) -> float:
    """Give the time of training at which evaluations that are still to come are given up.

    That is `wall_s` and a tenth more, at least as much as a peer may be silent, so that a run that
    ends by it has the score of what it ends with; infinite without `wall_s`.

    Args:
        config: its ``stop`` and ``links`` sections are used.
    """
    wall_s = config.stop.wall_s
    return wall_s + max(wall_s / 10, config.links.dead_after_s) if wall_s else math.inf


def acting_seed() -> tuple[int, ...]:
    """Give a seed for the noise of acting, another one each time: no two collectors share it."""
    return (int(np.random.SeedSequence().generate_state(1)[0]), ACTING)


def use_threads(count: int) -> None:
    """Let one torch operation use `count` threads of the CPU."""
    import torch

    torch.set_num_threads(count)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let one torch operation use one thread of the CPU for a while, in somebody's own program."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
