"""The launcher's end of one connection to an agent, and what is asked and told over it."""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from zdqn import errors
from zdqn.closing import Closing
from zdqn.errors import PeerUnavailableError, ProtocolError, RoleFailedError, ZdqnError
from zdqn.launch.cluster.frames import (
    AliveOrder,
    AnswerReport,
    AskOrder,
    EndedReport,
    ErrorsReport,
    Frame,
    FrameReader,
    GreetingReader,
    OutputReport,
    Report,
    encode_frame,
)
from zdqn.launch.cluster.ssh_words import explain_ssh

ALIVE_PERIOD_S = 1.0
"""Seconds between two words to an agent, which ends its roles after a much longer silence."""
_READ_BYTES = 2**16
_TAIL_LINES = 20
_KILLED_S = 5.0
_LAST_ERRORS_S = 1.0


class Listener(Protocol):
    """Hears what happens to the processes of a host."""

    def output(self, name: str, line: bytes) -> None:
        """Take a line that a process wrote for its launcher."""

    def errors(self, name: str, line: bytes) -> None:
        """Take a line that it logged."""

    def ended(self, name: str, code: int) -> None:
        """Take its end."""

    def lost(self, link: HostLink, error: ZdqnError) -> None:
        """Take note that a connection is no more; nothing else will be heard of it."""


class HostLink(Closing):
    """A connection to the agent of a host.

    Args:
        host: what it is called.
        argv: the command that leads to the agent: ssh, or a shell here.
        environment: variables of that command besides those of this process.
        listener: hears what happens.
        say: told what a login, or ssh itself, prints.

    Raises:
        OSError: when the command cannot be started.
    """

    def __init__(
        self,
        host: str,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        listener: Listener,
        say: Callable[[str], None],
    ) -> None:
        self.host = host
        self._listener = listener
        self._say = say
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._numbers = itertools.count(1)
        self._asked: dict[int, _Question] = {}
        self._lock = threading.Lock()
        self._greeted = threading.Event()
        self._over = threading.Event()
        self._error: ZdqnError | None = None
        self._closing = False
        self._process = subprocess.Popen(  # noqa: S603 - ssh
            argv,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            process_group=0,  # so that Ctrl-C reaches us alone
        )
        self._errors = threading.Thread(target=self._read_errors, daemon=True)
        self._threads = [
            self._errors,
            *(
                threading.Thread(target=target, daemon=True)
                for target in (self._keep_alive, self._read_reports)
            ),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def is_over(self) -> bool:
        """Whether it has broken, or was closed."""
        return self._over.is_set()

    def wait_for_agent(self, timeout_s: float) -> None:
        """Wait until the agent speaks.

        Raises:
            ZdqnError: why it does not.
        """
        if not self._greeted.wait(timeout_s):
            raise PeerUnavailableError(
                f"{self.host}: no agent of zdqn has answered within {timeout_s:.0f} s, though ssh "
                f"runs. {self._last_words()}Look at what a login there does that takes so long: "
                f"`ssh {self.host} true`."
            )
        if self._error is not None:
            raise self._error

    def send(self, order: Frame) -> None:
        """Give an order; one that cannot be given any more is not: `lost` says why."""
        assert self._process.stdin is not None
        data = encode_frame(order)
        with self._lock, contextlib.suppress(OSError, ValueError):
            self._process.stdin.write(data)
            self._process.stdin.flush()

    def ask(self, question: str, arguments: Mapping[str, Any], timeout_s: float) -> Any:
        """Ask the agent, and wait for its answer.

        Raises:
            ZdqnError: what the agent says instead, or that the connection broke, or is too slow.
        """
        waiting = _Question()
        number = next(self._numbers)
        self._asked[number] = waiting
        try:
            if self.is_over:
                raise self._error or self._gone()
            self.send(AskOrder(number, question, dict(arguments)))
            if not waiting.done.wait(timeout_s):
                raise PeerUnavailableError(
                    f"{self.host}: the agent has not answered ({question}) within "
                    f"{timeout_s:.0f} s. Look at the load of that host."
                )
        finally:
            self._asked.pop(number, None)
        if waiting.answer is None:
            raise self._error or self._gone()
        return _read_answer(self.host, waiting.answer)

    # --- threads --------------------------------------------------------------------------------

    def _read_reports(self) -> None:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        greeting, reader = GreetingReader(self._hear), FrameReader(Report)
        try:
            while piece := os.read(descriptor, _READ_BYTES):
                if not self._greeted.is_set():
                    found = greeting.take(piece)
                    if found is None:
                        continue
                    piece = found
                    self._greeted.set()
                for report in reader.take(piece):
                    self._take(report)
        except (OSError, ProtocolError) as error:
            self._hear(str(error))
        self._break()

    def _take(self, report: Any) -> None:
        if isinstance(report, OutputReport):
            self._listener.output(report.name, report.line)
        elif isinstance(report, ErrorsReport):
            self._listener.errors(report.name, report.line)
        elif isinstance(report, EndedReport):
            self._listener.ended(report.name, report.code)
        elif isinstance(report, AnswerReport) and report.number in self._asked:
            waiting = self._asked[report.number]
            waiting.answer = report
            waiting.done.set()

    def _read_errors(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._hear(line.decode(errors="replace").rstrip())

    def _hear(self, line: str) -> None:
        if line:
            self._tail.append(line)
            if self._greeted.is_set():
                self._say(line)

    def _keep_alive(self) -> None:
        while not self._over.wait(ALIVE_PERIOD_S):
            self.send(AliveOrder())

    def _break(self) -> None:
        """Take note that nothing more will be heard, and say why."""
        if not self._closing:
            code = self._end_of_process()
            self._errors.join(_LAST_ERRORS_S)
            self._error = explain_ssh(
                self.host, code, list(self._tail), began=self._greeted.is_set()
            )
        self._over.set()
        self._greeted.set()
        for waiting in list(self._asked.values()):
            waiting.done.set()
        self._listener.lost(self, self._error or self._gone())
        if not self._closing:  # nobody may ever close what has broken
            self._let_go_of_pipes()

    def _end_of_process(self) -> int:
        try:
            return self._process.wait(_LAST_ERRORS_S)
        except subprocess.TimeoutExpired:
            self._process.kill()  # whatever it waits for
            return self._process.wait()

    def _gone(self) -> ZdqnError:
        return PeerUnavailableError(f"{self.host}: the connection was closed.")

    def _last_words(self) -> str:
        return f'It said: "{self._tail[-1]}". ' if self._tail else ""

    # --- ending ---------------------------------------------------------------------------------

    def finish(self, timeout_s: float) -> None:
        """Let the agent end all roles, and wait for its end."""
        self._closing = True
        assert self._process.stdin is not None
        with self._lock, contextlib.suppress(OSError):
            self._process.stdin.close()
        self._over.wait(timeout_s)

    def close(self) -> None:
        """Have the connection end now; the agent ends its roles then, as nobody is there."""
        self.finish(0)
        if not self._over.wait(_KILLED_S):
            with contextlib.suppress(OSError):
                self._process.kill()
        try:
            self._process.wait(_KILLED_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(_KILLED_S)
        self._let_go_of_pipes()

    def _let_go_of_pipes(self) -> None:
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert stream is not None
            with contextlib.suppress(OSError):  # what was not written yet
                stream.close()


class _Question:
    """One that waits for its answer."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.answer: AnswerReport | None = None


def _read_answer(host: str, answer: AnswerReport) -> Any:
    if not answer.error:
        return answer.answer
    kind = getattr(errors, answer.error, RoleFailedError)
    raise kind(f"{host}: {answer.message}")
