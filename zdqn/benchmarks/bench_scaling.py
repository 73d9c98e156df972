"""Environment steps a second of N collectors of a slow environment, beside N bare ones."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path

from zdqn.benchmarks.measuring import Effort, Figure, Goal, Result, Say, divide, rate_of
from zdqn.benchmarks.processes import Link, Worker, tell_all
from zdqn.benchmarks.running_system import RunningSystem
from zdqn.benchmarks.subjects import seed_config
from zdqn.config import Config
from zdqn.roles.building import build_environments

GOAL = Goal(0.95)
COLLECTORS = (1, 4, 8, 16, 32)
_QUICK_COLLECTORS = (1, 4)
_TIMES_LONGER = 4
"""A step takes 10 ms, so that a second holds few of them."""


def measure(effort: Effort, say: Say, *, policy: str = "local") -> Result:
    """Measure whole runs with more and more collectors.

    Args:
        effort: how long.
        say: told what is going on.
        policy: "local" or "remote".
    """
    result = Result()
    for collectors in _QUICK_COLLECTORS if effort.quick else COLLECTORS:
        result.add(*measure_run(effort, say, collectors, policy))
    return result


def measure_run(effort: Effort, say: Say, collectors: int, policy: str) -> list[Figure]:
    """Measure one run with memory and learner, each process of its own.

    Args:
        effort: how long.
        say: told what is going on.
        collectors: processes, of one environment each.
        policy: "local" or "remote".

    Returns:
        Environment steps/s with so many bare environments as a bound, and the ratio; and the same
        ratio of so many bare environments that step at once, a process each: what the machine
        leaves of it before there is any learning.
    """
    name = f"scaling.{policy}.{collectors}"
    say(name)
    config = scaling_config(policy)
    seconds = effort.seconds * _TIMES_LONGER
    repeats = range(effort.repeats)
    with (
        tempfile.TemporaryDirectory(prefix="zdqn-bench-") as folder,
        RunningSystem(config, collectors, Path(folder)) as system,
    ):
        system.environment_steps_per_s(effort.seconds)
        steps = tuple(system.environment_steps_per_s(seconds) for _ in repeats)
    # measured alone, since nobody should be the slower for another's 10 ms of sleep
    bare = tuple(collectors * _bare_steps_per_s(config, effort.seconds) for _ in repeats)
    together = _bare_together(config, collectors, effort)
    return [
        Figure(name, "environment steps/s", steps, bare),
        Figure(f"{name}.efficiency", "", divide(steps, bare), goal=GOAL),
        Figure(f"{name}.bare_efficiency", "", divide(together, bare)),
    ]


def scaling_config(policy: str) -> Config:
    """Give the seed's settings on its slow environment."""
    return seed_config(
        "environment.id=zdqn/SlowCartPole-v0",
        "replay.capacity=20000",
        "replay.min_size=32",
        "replay.samples_per_insert=3.2",
        f"collector.policy={policy}",
    )


def _bare_together(config: Config, count: int, effort: Effort) -> tuple[float, ...]:
    with ExitStack() as stack:
        workers = [stack.enter_context(Worker(_step_bare, config)) for _ in range(count)]
        tell_all(workers, effort.seconds)  # to warm up
        return tuple(sum(tell_all(workers, effort.seconds)) for _ in range(effort.repeats))


def _step_bare(link: Link, config: Config) -> None:
    """Step a bare environment for so long when told to."""
    while True:
        link.send(_bare_steps_per_s(config, link.recv()))


def _bare_steps_per_s(config: Config, seconds: float) -> float:
    environments, _ = build_environments(config, None, count=1, vectorization="sync")
    environment = environments.envs[0]  # type: ignore[attr-defined] # a SyncVectorEnv
    environment.reset(seed=0)
    ended = False

    def step() -> float:
        nonlocal ended
        if ended:
            environment.reset()
        _, _, terminated, truncated, _ = environment.step(0)
        ended = terminated or truncated
        return 1

    try:
        return rate_of(step, seconds)
    finally:
        environments.close()
