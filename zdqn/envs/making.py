"""Making environments: from a name, keyword arguments and wrappers to a vectorized environment.

Everything that a user can get wrong is found here, before any environment steps, and ends in a
`ConfigError` that names the value and the way out.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import gymnasium
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode, VectorEnv

from zdqn.envs.guarding import CHOSEN_LIMIT, Guarded, OwnRewards, time_limit
from zdqn.envs.in_turn import InTurn
from zdqn.envs.resolving import MISSING_PACKAGE, Factory, name_of, resolve, resolve_wrapper
from zdqn.envs.running_statistics import check_running_statistics
from zdqn.envs.spaces import adapt_spaces, check_spaces
from zdqn.envs.worker_processes import WorkerError, WorkerProcesses, describe_error
from zdqn.errors import ConfigError, EnvironmentFailedError, ZdqnError, did_you_mean

logger = logging.getLogger(__name__)

VECTORIZATIONS = ("sync", "async", "native")
"""In this process one after the other, a process each, or the environment's own vectorized form."""

_BAD_ARGUMENTS = (TypeError, ValueError, LookupError, AssertionError, AttributeError)


@dataclass(frozen=True)
class _Plan:
    """How to make one environment; carried to worker processes by gymnasium's own cloudpickle."""

    name: str
    source: EnvSpec | Factory
    kwargs: Mapping[str, Any]
    wrappers: tuple[tuple[str, Factory, Mapping[str, Any]], ...]
    max_episode_steps: int | None
    cut_after_steps: int | None
    action_masks: bool
    owner_pid: int


def make_environments(
    identifier: str | Factory,
    *,
    kwargs: Mapping[str, Any],
    wrappers: Sequence[Mapping[str, Any]],
    max_episode_steps: int | None,
    count: int,
    vectorization: str,
    cut_after_steps: int | None = None,
    action_masks: bool = False,
) -> VectorEnv[Any, Any, Any]:
    """Make a vectorized environment; nothing is reset or stepped.

    Args:
        identifier: a gymnasium id, ``"module:factory"``, ``"module:Id-v0"`` (the module registers
            the id), or a callable that returns an environment.
        kwargs: keyword arguments of the environment or the factory.
        wrappers: applied in this order, each ``{"name": "X" or "module:X", "kwargs": {...}}``; a
            bare name is a class of `gymnasium.wrappers`.
        max_episode_steps: time limit that truncates episodes, >= 1; None for the environment's own.
        count: number of environments, >= 1.
        vectorization: one of `VECTORIZATIONS`.
        cut_after_steps: steps after which an episode is cut off, over all wrappers, and reported as
            cut; 0 chooses: `CHOSEN_LIMIT` where the environment has no time limit. None: never.
        action_masks: whether `info` of each reset and step holds a mask; see `zdqn.envs.masking`.

    Returns:
        An environment with `count` sub-environments that observes Box spaces of at least one
        dimension, takes actions numbered from 0, and resets in the step after an episode's end.
        The arrays it returns are overwritten by its next step.

    Raises:
        ConfigError: if anything about the arguments cannot work; see the module.
        EnvironmentFailedError: if an environment could not be made for a reason of its own.
    """
    _check_numbers(count, max_episode_steps, vectorization)
    with _warnings_to_log():
        source = resolve(identifier)
        name = identifier if isinstance(identifier, str) else name_of(identifier)
        plan = _Plan(
            name=name,
            source=source,
            kwargs=dict(kwargs),
            wrappers=tuple(resolve_wrapper(wrapper) for wrapper in wrappers),
            max_episode_steps=max_episode_steps,
            cut_after_steps=cut_after_steps,
            action_masks=action_masks,
            owner_pid=os.getpid(),
        )
        if vectorization == "native":
            return _make_native(plan, count)
        return _vectorize(plan, count, vectorization)


def _check_numbers(count: int, max_episode_steps: int | None, vectorization: str) -> None:
    if count < 1:
        raise ConfigError(f"environments is {count}, but at least 1 must be stepped.")
    if max_episode_steps is not None and max_episode_steps < 1:
        raise ConfigError(
            f"environment.max_episode_steps is {max_episode_steps}, but an episode has at least 1 "
            "step. Leave it out for the environment's own limit."
        )
    if vectorization not in VECTORIZATIONS:
        raise ConfigError(
            f'vectorization is "{vectorization}". {did_you_mean(vectorization, VECTORIZATIONS)}'
        )


# ---- Making one -------------------------------------------------------------------------------


def _make_one(plan: _Plan) -> gymnasium.Env[Any, Any]:
    if os.getpid() != plan.owner_pid:
        _leave_signals_to_owner()
    with _constructing(f'"{plan.name}"', "environment.kwargs", plan.kwargs):
        made = environment = _make_unwrapped(plan)
    own_rewards = None
    if plan.wrappers:
        environment = own_rewards = OwnRewards(environment)
    for name, wrapper, wrapper_kwargs in plan.wrappers:
        with _constructing(f'the wrapper "{name}"', "its kwargs", wrapper_kwargs):
            environment = wrapper(environment, **wrapper_kwargs)
    check_running_statistics(environment, made=made)
    limit = plan.cut_after_steps
    if limit == 0:
        limit = None if time_limit(environment) else CHOSEN_LIMIT
    return Guarded(adapt_spaces(environment), own_rewards, limit, plan.action_masks)


def _make_unwrapped(plan: _Plan) -> gymnasium.Env[Any, Any]:
    if isinstance(plan.source, EnvSpec):
        # Gymnasium's checker warns; what matters here is checked by the rollout, as an error.
        return gymnasium.make(
            plan.source,
            max_episode_steps=plan.max_episode_steps,
            disable_env_checker=True,
            **plan.kwargs,
        )
    environment = plan.source(**plan.kwargs)
    if not isinstance(environment, gymnasium.Env):
        raise ConfigError(
            f'environment.id "{plan.name}" returned {type(environment).__qualname__}, but must '
            "return a gymnasium.Env."
        )
    if plan.max_episode_steps is None:
        return environment
    return gymnasium.wrappers.TimeLimit(environment, plan.max_episode_steps)


def _leave_signals_to_owner() -> None:
    """Let a worker process neither see Ctrl-C nor run the signal handlers that it inherited.

    The process that started it ends it; with an inherited handler it would not die of SIGTERM.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextlib.contextmanager
def _constructing(what: str, where: str, kwargs: Mapping[str, Any]) -> Iterator[None]:
    """Turn whatever a constructor raises into an error that says what to do."""
    try:
        yield
    except ZdqnError:
        raise
    except MISSING_PACKAGE as error:
        raise ConfigError(f"{what} needs a package: {error}. {_extra_for(error, what)}") from error
    except _BAD_ARGUMENTS as error:
        raise ConfigError(
            f"{what} could not be made with {where} = {dict(kwargs)}: "
            f"{type(error).__name__}: {error}. Mend or remove the argument that it names."
        ) from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # code that calls sys.exit must not end a role
        raise EnvironmentFailedError(
            f"{what} could not be made: {describe_error(error)}"
        ) from error


def _extra_for(error: Exception, what: str) -> str:
    """Name the extra of zdqn that brings the missing package, if one does."""
    text = f"{error} {what}".lower()
    for word, extra in (
        ("box2d", "box2d"),
        ("ale_py", "atari"),
        ("ale-py", "atari"),
        ("opencv", "atari"),
        ("cv2", "atari"),
        ("minatar", "minatar"),
        ("moviepy", "video"),
        ("pygame", "video"),
    ):
        if word in text:
            return f'Install it: pip install "zdqn[{extra}]".'
    return "Install it in this Python environment."


# ---- Making many ------------------------------------------------------------------------------


def _vectorize(plan: _Plan, count: int, vectorization: str) -> VectorEnv[Any, Any, Any]:
    vector_class: Any = InTurn if vectorization == "sync" else WorkerProcesses
    try:
        environments: VectorEnv[Any, Any, Any] = vector_class(
            [partial(_make_one, plan)] * count, copy=False, autoreset_mode=AutoresetMode.NEXT_STEP
        )
    except ZdqnError:
        raise
    except Exception as error:
        raise EnvironmentFailedError(
            f'{count} environments "{plan.name}" could not be started ({vectorization}): '
            f"{_describe_start(error)}"
        ) from error
    return environments


def _describe_start(error: Exception) -> str:
    if isinstance(error, EOFError | ConnectionResetError | BrokenPipeError):
        return "a process ended while it made its environment (killed, or out of memory)"
    return str(error) if isinstance(error, WorkerError) else describe_error(error)


def _make_native(plan: _Plan, count: int) -> VectorEnv[Any, Any, Any]:
    way_out = 'Use vectorization = "sync" or "async".'
    if not isinstance(plan.source, EnvSpec) or plan.source.vector_entry_point is None:
        raise ConfigError(
            f'vectorization is "native", but "{plan.name}" has no vectorized form of its own '
            f"(vector_entry_point). {way_out}"
        )
    if plan.wrappers:
        names = ", ".join(name for name, _, _ in plan.wrappers)
        raise ConfigError(
            f'vectorization is "native", but environment.wrappers ({names}) wrap single '
            f"environments, of which there are none then. {way_out}"
        )
    if plan.cut_after_steps is not None:
        _check_native_limit(plan, plan.source, way_out)
    kwargs = dict(plan.kwargs)
    if plan.max_episode_steps is not None:
        kwargs["max_episode_steps"] = plan.max_episode_steps
    with _constructing(f'"{plan.name}", vectorized,', "environment.kwargs", kwargs):
        environments = gymnasium.make_vec(
            plan.source, num_envs=count, vectorization_mode="vector_entry_point", **kwargs
        )
    check_running_statistics(environments, made=environments)
    check_spaces(
        environments.single_observation_space, environments.single_action_space, way_out=way_out
    )
    mode = environments.metadata.get("autoreset_mode")
    if mode is not AutoresetMode.NEXT_STEP:
        raise ConfigError(
            f'vectorization is "native", but "{plan.name}" has the autoreset mode {mode}; zdqn '
            f"needs NEXT_STEP, in which the last observation of an episode is seen. {way_out}"
        )
    return environments


def _check_native_limit(plan: _Plan, source: EnvSpec, way_out: str) -> None:
    """Refuse what would have to be cut off: only all of a native environment can be reset."""
    own = plan.max_episode_steps or source.max_episode_steps
    wanted = plan.cut_after_steps
    if own is None or (wanted and wanted < own):
        raise ConfigError(
            f'vectorization is "native", in which no single episode can be cut off, but '
            f'"{plan.name}" has '
            + (
                "no time limit: its evaluation might never end."
                if own is None
                else f"a time limit of {own} and evaluator.max_episode_steps is {wanted}."
            )
            + f" Set environment.max_episode_steps. {way_out}"
        )


@contextlib.contextmanager
def _warnings_to_log() -> Iterator[None]:
    """Log what gymnasium warns of (such as an id that is out of date), once and without colour."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        finally:
            for text in dict.fromkeys(str(warning.message) for warning in caught):
                logger.warning("%s", re.sub(r"\x1b\[[0-9;]*m", "", text).removeprefix("WARN: "))
