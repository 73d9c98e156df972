"""The agent: what runs on each host of a cluster, started over ssh, for as long as a run is there.

It starts the roles of its host with its own Python, writes their logs there, and hands what they
say to the launcher. Orders come on its standard input. When that ends, or nothing has come for
longer than the launcher may be silent, the connection is dead and all roles are ended; unless the
launcher has told it to keep them.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from zdqn import errors
from zdqn.errors import ProtocolError, ZdqnError
from zdqn.launch.child_main import GRACE_S
from zdqn.launch.cluster.agent_answers import AgentAnswers
from zdqn.launch.cluster.agent_place import AgentPlace
from zdqn.launch.cluster.agent_processes import AgentProcesses
from zdqn.launch.cluster.frames import (
    GREETING,
    AnswerReport,
    AskOrder,
    CloseInputOrder,
    EndedReport,
    Frame,
    FrameReader,
    InputOrder,
    Order,
    SignalOrder,
    StartOrder,
)
from zdqn.launch.cluster.keeper import Keeper
from zdqn.launch.cluster.outbox import Outbox
from zdqn.launch.descriptors import raise_limit

SILENT_S = 90.0
"""Seconds without an order after which there is no launcher any more, until it says how many."""
_READ_BYTES = 2**16
_LAST_WORDS_S = 5.0
_AT_ONCE_S = 2.0


class HostAgent:
    """Carries out the orders of one launcher.

    Args:
        outbox: for what the launcher is told.

    Attributes:
        silent_s: seconds without an order after which there is no launcher any more.
    """

    def __init__(self, outbox: Outbox) -> None:
        self.silent_s = SILENT_S
        self._outbox = outbox
        self._place: AgentPlace | None = None
        self._processes: AgentProcesses | None = None
        self._remembering = threading.Lock()
        self._answers = AgentAnswers(self._settle, self._keep)
        self._keeper = Keeper(start=self._start, write_input=self._write_input, say=self._log)

    @property
    def keeps(self) -> bool:
        """Whether roles go on without a launcher."""
        return self._keeper.keeps

    def take(self, order: Order) -> None:
        """Carry out an order."""
        if isinstance(order, AskOrder):
            # a question may take long, and the next order must not wait for it
            threading.Thread(target=self._answer, args=(order,), daemon=True).start()
        processes = self._processes
        if processes is None:
            return
        self._keeper.note(order)
        if isinstance(order, StartOrder):
            self._start(order)
        elif isinstance(order, InputOrder):
            processes.write_input(order.name, order.data)
        elif isinstance(order, CloseInputOrder):
            processes.close_input(order.name)
        elif isinstance(order, SignalOrder):
            processes.send_signal(order.name, order.number)

    def _answer(self, order: AskOrder) -> None:
        self._outbox.put(answer_of(self._answers, order))

    def _settle(self, place: AgentPlace, silent_s: float) -> None:
        """Take a place on this host; whoever had it before is ended."""
        self.silent_s = silent_s
        place.take_over()
        self._processes = AgentProcesses(place.logs, self._report)
        self._place = place

    def _keep(self, max_restarts: int) -> None:
        """Keep all roles when the launcher has gone."""
        self._keeper.keep(max_restarts)

    def _start(self, order: StartOrder) -> None:
        assert self._processes is not None
        self._processes.start(order)
        self._remember()

    def _write_input(self, name: str, data: bytes) -> None:
        if self._processes is not None:
            self._processes.write_input(name, data)

    def _log(self, name: str, text: str) -> None:
        if self._processes is not None:
            self._processes.log(name, text)

    def _report(self, report: Frame) -> None:
        self._keeper.see(report)
        if not self.keeps:
            self._outbox.put(report)
        if isinstance(report, EndedReport):
            self._remember()

    def _remember(self) -> None:
        assert self._place is not None
        assert self._processes is not None
        with self._remembering:
            self._place.remember(self._processes.identities(), self._keeper.ends)

    def go_on(self) -> None:
        """Be there for the roles, without a launcher, until all have ended."""
        self._keeper.run()
        self.end(0)

    def end(self, grace_s: float) -> None:
        """End all roles, and what they have started."""
        if self._processes is not None and self._place is not None:
            self._processes.end_all(grace_s)
            self._place.leave()
            if not self._keeper.has_begun:
                self._place.vanish()


def answer_of(answers: AgentAnswers, order: AskOrder) -> AnswerReport:
    """Answer a question; whatever goes wrong is an answer too."""
    try:
        answer = answers.answer(order.question, order.arguments)
    except ZdqnError as error:
        return AnswerReport(order.number, error=type(error).__name__, message=str(error))
    except Exception as error:  # noqa: BLE001 - the launcher must hear of it
        text = f"the agent could not answer {order.question}: {type(error).__name__}: {error}."
        return AnswerReport(order.number, error=errors.RoleFailedError.__name__, message=text)
    return AnswerReport(order.number, answer)


def read_orders(descriptor: int, silent_s: Callable[[], float]) -> Iterator[Any]:
    """Give orders until no more come, or the connection is dead, or what comes is none.

    Args:
        descriptor: of what they are read from.
        silent_s: gives the seconds of silence after which the connection is dead.
    """
    reader, readable = FrameReader(Order), select.poll()
    readable.register(descriptor, select.POLLIN)
    while readable.poll(silent_s() * 1000):
        try:
            piece = os.read(descriptor, _READ_BYTES)
        except OSError:
            return
        if not piece:
            return
        with contextlib.suppress(ProtocolError):
            yield from reader.take(piece)
            continue
        return


def main() -> int:
    """Be the agent of this host, until the launcher is gone and all roles with it.

    The process that was started is a doorman: sshd ends a session when that ends, so that the
    agent, which is its child, can go on without one.
    """
    ours, theirs = os.pipe()
    held, holds = os.pipe()
    child = os.fork()
    if child:
        os.close(theirs)
        os.close(held)
        return _wait_for_agent(child, ours)
    os.close(ours)
    os.close(holds)
    return _be_agent(theirs, held)


def _wait_for_agent(child: int, says: int) -> int:
    """Wait until the agent has ended, or goes on by itself."""
    if os.read(says, 1):
        return 0
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _end_with(doorman: int, agent: HostAgent) -> None:
    """End with the doorman, if somebody kills it."""
    os.read(doorman, 1)
    if not agent.keeps:
        os.kill(os.getpid(), signal.SIGTERM)


def _be_agent(says: int, doorman: int) -> int:
    with contextlib.suppress(OSError):
        os.setsid()  # so that nothing that ends the login ends it
    os.umask(0o077)
    raise_limit()
    words = os.dup(1)
    os.dup2(2, 1)
    outbox = Outbox(words)
    agent = HostAgent(outbox)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end_now)
    threading.Thread(target=_end_with, args=(doorman, agent), daemon=True).start()
    os.write(words, GREETING)
    try:
        for order in read_orders(0, lambda: agent.silent_s):
            agent.take(order)
        if agent.keeps:
            outbox.close(_LAST_WORDS_S)
            _let_go_of_the_login(words)
            os.write(says, b"!")
            agent.go_on()
            return 0
        agent.end(GRACE_S)
    except _ToldToEnd:
        agent.end(GRACE_S if agent.keeps else _AT_ONCE_S)
    outbox.close(_LAST_WORDS_S)
    return 0


def _let_go_of_the_login(words: int) -> None:
    """Let sshd end the session: nothing that it waits for is open any more."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2, words):
        os.dup2(nothing, descriptor)


class _ToldToEnd(BaseException):
    """Somebody told the agent itself to end."""


def _end_now(_number: int, _frame: FrameType | None) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    raise _ToldToEnd
