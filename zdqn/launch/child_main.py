"""What runs in each process of a local run: one role, told what to do by its parent.

- standard input: one line of JSON, then the role's arguments (cloudpickle, from the parent
  process of the same user only; JSON, from another machine); after that it stays open. Its end
  means that this process is to stop, because the parent says so, after a reason if it has one, or
  is no more.
- standard output: lines of JSON for the parent (`ReportPipe`). What the role itself prints goes to
  standard error.
- standard error: the log.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import cloudpickle

from zdqn.config import Config, from_dict, to_dict
from zdqn.errors import EnvironmentFailedError, RoleFailedError, ZdqnError
from zdqn.launch.descriptors import raise_limit
from zdqn.launch.logs import configure_logging
from zdqn.stopping import StopEvent

GRACE_S = 30.0
"""Seconds in which a child must stop after the end of its standard input."""

_STDIN, _STDOUT, _STDERR = 0, 1, 2
_ZDQN = Path(__file__).parents[1]
_MOST_CHARACTERS = 100_000
_PATHS = ("run_directory", "resume")
"""Arguments of roles that are paths."""


@dataclass(frozen=True)
class Assignment:
    """What a child is to do.

    Attributes:
        config: of the run.
        arguments: keyword arguments of the role's class.
        log_level: of its log.
        elsewhere: whether the child is on another machine, with a Python and paths of its own; its
            arguments are text, numbers and paths then.
        ended_by_parent: whether signals are its parent's to answer: a scheduler sends them to all
            processes of a job, and a memory is to end after its learner.
    """

    config: Config
    arguments: dict[str, Any]
    log_level: str
    elsewhere: bool = False
    ended_by_parent: bool = False


def encode_assignment(assignment: Assignment) -> bytes:
    """Write an assignment for a child's standard input, with the parent's import path."""
    if assignment.elsewhere:
        return _encode_plainly(assignment)
    body: bytes = cloudpickle.dumps(assignment)
    path = [entry or os.getcwd() for entry in sys.path]  # noqa: PTH109
    head = json.dumps({"sys_path": path, "bytes": len(body)})
    return head.encode() + b"\n" + body


def _encode_plainly(assignment: Assignment) -> bytes:
    """Write an assignment that every zdqn of this version can read, and nothing that can be run."""
    values = {
        "config": to_dict(assignment.config),
        "arguments": {k: v for k, v in assignment.arguments.items() if v is not None},
        "log_level": assignment.log_level,
    }
    body = json.dumps(values, default=str).encode()
    return json.dumps({"plain": True, "bytes": len(body)}).encode() + b"\n" + body


def _read_plainly(body: bytes) -> Assignment:
    values = json.loads(body)
    arguments = {
        name: Path(value) if name in _PATHS else value
        for name, value in values["arguments"].items()
    }
    config = from_dict(values["config"], source="the launcher's configuration")
    return Assignment(config, arguments, values["log_level"], elsewhere=True)


def read_assignment(read: Callable[[int], bytes]) -> Assignment | None:
    """Read what `encode_assignment` wrote.

    Args:
        read: gives up to so many bytes, none at the end.

    Returns:
        The assignment, or None if the input ended before it came.
    """
    data = b""
    while b"\n" not in data:
        piece = read(65_536)
        if not piece:
            return None
        data += piece
    line, _, body = data.partition(b"\n")
    head = json.loads(line)
    while len(body) < head["bytes"]:
        piece = read(head["bytes"] - len(body))
        if not piece:
            return None
        body += piece
    if head.get("plain"):
        return _read_plainly(body)
    sys.path[:] = head["sys_path"]
    assignment = cloudpickle.loads(body)
    assert isinstance(assignment, Assignment)
    return assignment


class ReportPipe:
    """Tells the parent, a line of JSON at a time: ``{"bound": ...}``, ``{"told": ...}``, its end.

    The end is ``{"failed": ...}``, or ``{"ended": ...}`` with exit code 0. A process that says
    neither was ended by somebody else.
    """

    def __init__(self, file_descriptor: int) -> None:
        self._file_descriptor = file_descriptor

    def bound(self, endpoints: dict[str, str]) -> None:
        """Tell which addresses a server has."""
        self._write({"bound": endpoints})

    def told(self, method: str, what: Any) -> None:
        """Tell what a sink was told; see `zdqn.launch.telling`."""
        self._write({"told": {"method": method, "what": what}})

    def failed(self, error: ZdqnError, trace: str = "") -> None:
        """Tell why the role ends; `trace` is for its log file."""
        self._write(
            {
                "failed": {
                    "kind": type(error).__name__,
                    "message": _shortened(str(error)),
                    "traceback": _shortened(trace),
                    "by_given_code": _by_given_code(error),
                }
            }
        )

    def ended(self, stop: StopEvent, reason: str | None) -> None:
        """Tell that the role has ended as it should.

        Args:
            stop: its reason is the signal that told the role to end.
            reason: in the role's own words; None if it gives none.
        """
        signalled = reason is None or reason == stop.reason
        self._write({"ended": {"signal": stop.reason if signalled else "", "reason": reason or ""}})

    def _write(self, message: dict[str, Any]) -> None:
        data = json.dumps(message).encode() + b"\n"
        try:
            while data:
                data = data[os.write(self._file_descriptor, data) :]
        except BrokenPipeError:
            pass  # the parent is no more; the end of standard input stops this process


def _shortened(text: str) -> str:
    """Cut the middle out of a text that its parent would not take: a report is one line."""
    if len(text) <= _MOST_CHARACTERS:
        return text
    half = _MOST_CHARACTERS // 2
    return f"{text[:half]}\n... {len(text) - 2 * half:,} characters left out ...\n{text[-half:]}"


def _by_given_code(error: ZdqnError) -> bool:
    """Whether code that zdqn was given may have raised, so that somebody wants to see where."""
    cause = error.__cause__
    if isinstance(error, EnvironmentFailedError | RoleFailedError):
        return True
    if cause is None or isinstance(cause, ZdqnError | OSError | ImportError):
        return False
    frames = traceback.extract_tb(cause.__traceback__)
    return bool(frames) and not Path(frames[-1].filename).is_relative_to(_ZDQN)


def _role_class(role: str) -> Any:
    """Load the class of a role, such as `zdqn.Memory` for ``memory``."""
    return getattr(importlib.import_module("zdqn"), role.capitalize())


def run_role(role: str, assignment: Assignment, report: ReportPipe, stop: StopEvent) -> int:
    """Run a role to its end.

    Returns:
        The exit code.
    """
    arguments = dict(assignment.arguments)
    if role in ("memory", "learner"):
        arguments["on_bound"] = report.bound
    if arguments.pop("tells", False):
        from zdqn.launch.telling import TellingSink

        arguments["sinks"] = [TellingSink(report.told)]
    try:
        kind = _role_class(role)
        with kind(assignment.config, stop=stop, **arguments) as running:
            result = running.run()
        report.ended(stop, getattr(result, "stop_reason", None))
    except ZdqnError as error:
        report.failed(error, traceback.format_exc())
        return error.exit_code
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the parent must hear of it
        broken = RoleFailedError(f"The {role} broke: {type(error).__name__}: {error}.")
        report.failed(broken, traceback.format_exc())
        return broken.exit_code
    return 0


def _stop_on_signals(stop: StopEvent) -> None:
    """Ask the role to end at the first signal, and end at once at the second.

    A signal after the end of standard input is the first: a scheduler that ends a job signals all
    of its processes, while their parent asks them, and must not cut a checkpoint short.
    """
    signals: list[int] = []

    def handle(number: int, _frame: FrameType | None) -> None:
        if signals:
            os._exit(128 + number)
        signals.append(number)
        stop.set_for(signal.Signals(number).name)

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)


def _stop_at_end_of_input(stop: StopEvent) -> None:
    # os.read, as a thread inside sys.stdin would abort the interpreter's shutdown
    reason = b""
    while piece := os.read(_STDIN, 4096):
        reason += piece
    stop.set_for(reason.decode(errors="replace"))
    time.sleep(GRACE_S)
    os._exit(RoleFailedError.exit_code)


def main() -> int:
    """Run the role that the first argument names, as standard input says."""
    report = ReportPipe(os.dup(_STDOUT))
    os.dup2(_STDERR, _STDOUT)
    raise_limit()
    stop = StopEvent()
    _stop_on_signals(stop)
    role = sys.argv[1]
    with contextlib.suppress(ImportError):  # which `run_role` reports
        _role_class(role)  # while the parent waits for addresses
    assignment = read_assignment(lambda size: os.read(_STDIN, size))
    if assignment is None:
        return 0
    configure_logging(assignment.log_level)
    if assignment.ended_by_parent:
        signal.signal(signal.SIGTERM, lambda _number, _frame: None)
    threading.Thread(target=_stop_at_end_of_input, args=(stop,), daemon=True).start()
    return run_role(role, assignment, report, stop)
