"""Environments in a process each, whose errors arrive as they were raised.

Gymnasium carries an exception from a worker by its class and arguments. One that cannot be pickled
hangs the program, one with more arguments becomes another, `KeyboardInterrupt` looks like Ctrl-C,
and what is raised while an environment is made is lost. Here they travel as text.
"""

from __future__ import annotations

import queue
import traceback
from collections.abc import Callable, Iterable
from typing import Any

import gymnasium
from gymnasium.vector import AsyncVectorEnv
from gymnasium.vector.async_vector_env import AsyncState, _async_worker

from zdqn.errors import ZdqnError

_REPORT_TIMEOUT_S = 10.0


class WorkerError(Exception):
    """What an environment raised in its process, in words; its traceback is in the notes."""


class _Reported(Exception):
    """Carries an error out of gymnasium's loop: its class, if it is zdqn's, text and traceback."""


class _Reporting(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Puts into words whatever an environment raises."""

    def reset(self, **kwargs: Any) -> Any:
        try:
            return self.env.reset(**kwargs)
        except BaseException as error:
            raise _reported(error) from error

    def step(self, action: Any) -> Any:
        try:
            return self.env.step(action)
        except BaseException as error:
            raise _reported(error) from error


class WorkerProcesses(AsyncVectorEnv):
    """`AsyncVectorEnv` that raises what its workers report.

    Args:
        makers: make the environments, each in a process of its own.
        **options: of `AsyncVectorEnv`.

    Raises:
        ZdqnError: as raised while an environment was made in its process.
        WorkerError: if that raised anything else.
        EOFError: if the process died.
    """

    def __init__(self, makers: list[Callable[[], gymnasium.Env[Any, Any]]], **options: Any) -> None:
        super().__init__(makers, worker=_work, **options)

    def _raise_if_errors(self, successes: Iterable[bool]) -> None:
        failed = list(successes).count(False)
        if not failed:
            return
        self._state = AsyncState.DEFAULT
        reports = []
        for _ in range(failed):
            try:
                index, _, report, trace = self.error_queue.get(timeout=_REPORT_TIMEOUT_S)
            except queue.Empty as error:
                raise EOFError("a process ended before it said why") from error
            self.parent_pipes[index].close()
            self.parent_pipes[index] = None  # type: ignore[call-overload]  # as gymnasium does
            reports.append((index, report, trace))
        index, report, trace = min(reports, key=lambda found: found[0])
        kind, text = report.args
        failure = WorkerError(f"environment {index} of {self.num_envs}: {text}")
        if kind is not None:
            failure = kind(text)
        failure.add_note(f"in the process of environment {index}:\n{trace}")
        raise failure


def ended_processes(environments: AsyncVectorEnv) -> str:
    """Say which processes have ended, and how; "" if none has.

    Args:
        environments: of which one was found dead.
    """
    ended = []
    for index, process in enumerate(environments.processes):
        process.join(timeout=0.2)
        code = process.exitcode
        if code:
            how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
            ended.append(f"that of environment {index} {how}")
    return ", ".join(ended)


def describe_error(error: BaseException) -> str:
    """Give an error's class and text, also of one whose text cannot be had."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - it is the user's code
        text = "(it cannot be put into words)"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _reported(error: BaseException) -> _Reported:
    if isinstance(error, ZdqnError):
        return _Reported(type(error), str(error))
    return _Reported(None, describe_error(error))


def _work(index: int, maker: Any, pipe: Any, parent_pipe: Any, *more: Any) -> None:
    try:
        environment = maker()
    except BaseException as error:  # noqa: BLE001 - the process that waits must hear of it
        _, error_queue, *_ = more
        parent_pipe.close()
        error_queue.put((index, None, _reported(error), traceback.format_exc()))
        pipe.recv()
        pipe.send((None, False))
        return
    _async_worker(index, lambda: _Reporting(environment), pipe, parent_pipe, *more)
