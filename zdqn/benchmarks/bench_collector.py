"""Environment steps a second of a real collector, beside its bare environments."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from zdqn.benchmarks.measuring import Effort, Figure, Result, Say, alternate, divide, rate_of
from zdqn.benchmarks.running_system import RunningSystem
from zdqn.benchmarks.subjects import seed_config
from zdqn.config import Config
from zdqn.data import EnvironmentSpec
from zdqn.roles.building import build_environments, build_network, use_threads

CASES = ((1, "sync"), (8, "sync"), (8, "native"), (64, "native"))
"""Environments stepped together, and how."""


def measure(effort: Effort, say: Say) -> Result:
    """Measure collectors of several sizes.

    Args:
        effort: how long.
        say: told what is going on.
    """
    result = Result()
    for environments, vectorization in CASES:
        result.add(*measure_collector(effort, say, environments, vectorization))
    return result


def measure_collector(
    effort: Effort, say: Say, environments: int, vectorization: str
) -> list[Figure]:
    """Measure one collector with its memory and an idle learner, each a process.

    Args:
        effort: how long.
        say: told what is going on.
        environments: stepped together.
        vectorization: "sync", "async" or "native".

    Returns:
        Environment steps/s with those of the bare environments as a bound, and the ratio to the
        bare environments with the network asked in every step.
    """
    name = f"collector.{environments}_{vectorization}"
    say(name)
    config = seed_config(
        f"collector.environments={environments}",
        f"collector.vectorization={vectorization}",
        f"collector.block_transitions={max(32, 4 * environments)}",
        "exploration.epsilon_final=0.05",
        "exploration.epsilon_decay_environment_steps=0",
        "replay.samples_per_insert=1e-6",  # so that the learner idles
        "memory.socket_buffer_bytes=1048576",  # as without a limit
    )
    with tempfile.TemporaryDirectory(prefix="zdqn-bench-") as folder:
        bare, with_network, close = _bare(config)
        with RunningSystem(config, 1, Path(folder)) as system:
            steps, bare_steps, network_steps = alternate(
                effort,
                lambda: system.environment_steps_per_s(effort.seconds),
                lambda: rate_of(bare, effort.seconds),
                lambda: rate_of(with_network, effort.seconds),
            )
        close()
    return [
        Figure(name, "environment steps/s", steps, bare_steps),
        Figure(f"{name}.to_bare_with_network", "", divide(steps, network_steps)),
    ]


def _bare(config: Config) -> tuple[Callable[[], float], Callable[[], float], Callable[[], None]]:
    """Give a step of the bare environments, one that asks the network first, and the clean-up."""
    from zdqn.rl.torch_policy import TorchPolicy

    use_threads(1)
    spec: EnvironmentSpec
    environments, spec = build_environments(
        config,
        None,
        count=config.collector.environments,
        vectorization=config.collector.vectorization,
    )
    policy = TorchPolicy(build_network(config, None, spec))
    observations, _ = environments.reset(seed=0)
    count = environments.num_envs
    pattern = np.random.default_rng(0).integers(0, spec.num_actions, (256, count))
    turn = 0

    def step() -> float:
        nonlocal turn
        turn = (turn + 1) % len(pattern)
        environments.step(pattern[turn])
        return count

    def step_with_network() -> float:
        nonlocal observations
        observations, *_ = environments.step(policy.greedy_actions(observations))
        return count

    return step, step_with_network, environments.close
