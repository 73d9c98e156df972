"""Whether the environment can be made, what it looks like, and how quick it is."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from typing import NamedTuple

import numpy as np

from zdqn.config import Config
from zdqn.data import EnvironmentSpec
from zdqn.doctor.findings import Finding, bad, good, odd
from zdqn.errors import EnvironmentFailedError, ZdqnError
from zdqn.rl.exploration import explore
from zdqn.roles.building import build_environments, build_network, build_rollout

PATIENCE_S = 60.0
"""How long an environment may take to be made and to step for a moment."""
_STEPPING_S = 1.0


class Stepped(NamedTuple):
    """An environment that has been stepped.

    Attributes:
        spec: what it looks like.
        steps_per_s: of all environments of a collector together, with random actions.
        ignores_masks: whether it gives masks of allowed actions that nobody uses.
    """

    spec: EnvironmentSpec
    steps_per_s: float
    ignores_masks: bool = False


def step_for_a_moment(config: Config, *, seconds: float = _STEPPING_S) -> Stepped:
    """Make a collector's environments, and step them with random actions.

    Args:
        config: of the run.
        seconds: how long; one step is made in any case.

    Raises:
        ConfigError: when they cannot be made as configured.
        EnvironmentFailedError: when they raise, or return what they may not.
    """
    collector = config.collector
    environments, spec = build_environments(
        config, None, count=collector.environments, vectorization=collector.vectorization
    )
    with closing(environments):
        rollout = build_rollout(
            config, environments, spec, seed=config.run.seed, label="zdqn doctor"
        )
        rng = np.random.default_rng(0)
        started_s = time.perf_counter()
        elapsed_s = 0.0
        while not elapsed_s or elapsed_s < seconds:
            explored = explore(collector.environments, spec.num_actions, 1.0, rng, rollout.allowed)
            rollout.step(explored.actions, 0)
            if rollout.full:
                rollout.take_block()
            elapsed_s = time.perf_counter() - started_s
        rollout.take_block()
        return Stepped(spec, rollout.environment_steps / elapsed_s, rollout.ignores_masks)


def examine_environment(
    config: Config, *, patience_s: float = PATIENCE_S
) -> tuple[list[Finding], EnvironmentSpec | None]:
    """Look at the environment, and at the network for it.

    Args:
        config: of the run.
        patience_s: after so long an environment is said to hang.

    Returns:
        What was found; and what the environment looks like, None if it could not be made.
    """
    subject = "environment"
    try:
        stepped = _within(patience_s, config)
    except ZdqnError as error:
        return [bad(subject, error)], None
    spec = stepped.spec
    environments = config.collector.environments
    shape = " x ".join(map(str, spec.observation_shape))
    stacked = f" in stacks of {spec.frame_stack}" if spec.frame_stack > 1 else ""
    masks = " with masks" if spec.action_masks else ""
    several = f" of {environments} together" if environments > 1 else ""
    found = good(
        subject,
        f"{config.environment.id}: {shape} {spec.observation_dtype}{stacked}, "
        f"{spec.num_actions} actions{masks}, {stepped.steps_per_s:,.0f} steps/s{several}",
    )
    return [found, *_unused_masks(stepped), *_network(config, spec)], spec


def _unused_masks(stepped: Stepped) -> Iterator[Finding]:
    if stepped.ignores_masks:
        yield odd(
            "environment",
            'it says in info["action_mask"] which actions are allowed, and nobody looks at it: '
            "environment.action_masks is false",
            "Set environment.action_masks = true, so that nothing else is chosen or expected.",
        )


def _network(config: Config, spec: EnvironmentSpec) -> Iterator[Finding]:
    try:
        network = build_network(config, None, spec)
    except ZdqnError as error:
        yield bad("network", error)
    else:
        count = sum(parameter.numel() for parameter in network.parameters())
        yield good("network", f"{config.network.kind}, {count:,} parameters")


def _within(patience_s: float, config: Config) -> Stepped:
    """Step the environment in a thread that is left behind if it hangs."""
    results: list[Stepped | BaseException] = []

    def step() -> None:
        try:
            results.append(step_for_a_moment(config))
        except BaseException as error:  # noqa: BLE001 - it is raised below
            results.append(error)

    thread = threading.Thread(target=step, name="environment", daemon=True)
    thread.start()
    thread.join(patience_s)
    if not results:
        raise EnvironmentFailedError(
            f"{config.environment.id} has not been made and stepped for {_STEPPING_S:g} s within "
            f"{patience_s:g} s: its making, a reset or a step hangs, or takes very long. Step it "
            f"in a script of your own to see which."
        )
    result = results[0]
    if isinstance(result, BaseException):
        raise result
    return result
