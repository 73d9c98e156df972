"""One host of a run, for as long as the run goes on: its connection, made again when it breaks."""

from __future__ import annotations

import contextlib
import json
import queue
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from zdqn.closing import Closing
from zdqn.errors import PeerUnavailableError, ZdqnError
from zdqn.launch.child_main import GRACE_S
from zdqn.launch.cluster.frames import CloseInputOrder, InputOrder, SignalOrder, StartOrder
from zdqn.launch.cluster.host_link import HostLink
from zdqn.launch.plan import restart_delay_s

_SAY_AGAIN_S = 30.0
_END: None = None


class RemoteProcess:
    """A process on another machine, as `zdqn.launch.starting.StartedProcess` wants it.

    Args:
        session: of its host.
        order: that starts it.
    """

    def __init__(self, session: HostSession, order: StartOrder) -> None:
        self.order = order
        self._session = session
        self._output: queue.Queue[bytes | None] = queue.Queue()
        self._errors: queue.Queue[bytes | None] = queue.Queue()
        self._code = 0
        self._over = threading.Event()

    def write_input(self, data: bytes) -> None:
        """Hand it bytes on its standard input, at once, or as soon as it has started."""
        self._session.tell(InputOrder(self.order.name, data))

    def close_input(self) -> None:
        """End its standard input."""
        self._session.tell(CloseInputOrder(self.order.name))

    def output_lines(self) -> Iterator[bytes]:
        """Give each line of its standard output."""
        return iter(self._output.get, _END)

    def error_lines(self) -> Iterator[bytes]:
        """Give each line of its standard error."""
        return iter(self._errors.get, _END)

    def wait(self) -> int:
        """Wait for its end and give its exit code, or minus the signal that ended it."""
        self._over.wait()
        return self._code

    def signal(self, number: int) -> None:
        """Send it, and everything that it has started, a signal."""
        if not self._over.is_set():
            self._session.tell(SignalOrder(self.order.name, number))

    def kill(self) -> None:
        """End it, and everything that it has started, at once."""
        self.signal(signal.SIGKILL)

    # --- what its host tells --------------------------------------------------------------------

    def take_output(self, line: bytes) -> None:
        """Take a line of its standard output."""
        self._output.put(line)

    def take_errors(self, line: bytes) -> None:
        """Take a line of its standard error."""
        self._errors.put(line)

    def take_end(self, code: int) -> None:
        """Take its end; the first counts."""
        if not self._over.is_set():
            self._code = code
            self._output.put(_END)
            self._errors.put(_END)
            self._over.set()

    def give_up(self) -> None:
        """Take note that it shall not start any more."""
        ended = {"signal": "", "reason": "it was not to start any more"}
        self._output.put(json.dumps({"ended": ended}).encode())
        self.take_end(0)

    def lose(self, error: ZdqnError) -> None:
        """Take note that nothing will be heard of it any more: for this run it has ended."""
        failed = {"kind": type(error).__name__, "message": str(error), "traceback": ""}
        self._output.put(json.dumps({"failed": failed, "lost": True}).encode())
        self.take_end(PeerUnavailableError.exit_code)


class HostSession(Closing):
    """A host: what is started there waits until it can be reached.

    Args:
        host: what it is called.
        connect: makes a connection that is ready for roles, hearing of its end in the listener it
            is given.
        say: told what a person should know of the host.
    """

    def __init__(
        self,
        host: str,
        *,
        connect: Callable[[HostSession], HostLink],
        say: Callable[[str], None],
    ) -> None:
        self.host = host
        self._connect = connect
        self._say = say
        self._lock = threading.RLock()
        self._link: HostLink | None = None
        self._processes: dict[str, RemoteProcess] = {}
        self._waiting: list[Any] = []
        self._reconnecting: threading.Thread | None = None
        self._closed = threading.Event()

    def open(self) -> None:
        """Connect for the first time.

        Raises:
            ZdqnError: why that is not possible.
        """
        self._link = self._connect(self)

    def start(self, role: str, name: str, environment: Mapping[str, str]) -> RemoteProcess:
        """Start a process, now or once the host can be reached."""
        order = StartOrder(role, name, dict(environment))
        process = RemoteProcess(self, order)
        with self._lock:
            self._processes[name] = process
            self.tell(order)
            if self._link is None and self._reconnecting is None:
                self._reconnecting = threading.Thread(target=self._reconnect, daemon=True)
                self._reconnecting.start()
        return process

    def tell(self, order: Any) -> None:
        """Give an order, now or once the host can be reached; an end does not wait for that."""
        with self._lock:
            if self._link is not None:
                self._link.send(order)
            elif isinstance(order, CloseInputOrder | SignalOrder):
                process = self._processes.pop(order.name, None)
                self._waiting = [one for one in self._waiting if one.name != order.name]
                if process is not None:
                    process.give_up()
            elif not self._closed.is_set():
                self._waiting.append(order)

    def ask(self, question: str, arguments: Mapping[str, Any], timeout_s: float) -> Any:
        """Ask its agent.

        Raises:
            ZdqnError: what the agent says instead, or that it cannot be reached now.
        """
        link = self._link
        if link is None:
            raise PeerUnavailableError(f"{self.host}: it cannot be reached now.")
        return link.ask(question, arguments, timeout_s)

    def _reconnect(self) -> None:
        failures, silent_s = 0, _SAY_AGAIN_S
        while not self._closed.is_set():
            try:
                link = self._connect(self)
            except ZdqnError as error:
                failures += 1
                pause_s = restart_delay_s(failures)
                if silent_s >= _SAY_AGAIN_S:
                    names = ", ".join(self._processes)
                    self._say(f"waiting for {self.host}, to start {names} there: {error}")
                    silent_s = 0.0
                silent_s += pause_s
                self._closed.wait(pause_s)
                continue
            with self._lock:
                if link.is_over:  # already again; `lost` was told before it was ours
                    continue
                self._link, self._reconnecting = link, None
                waiting, self._waiting = self._waiting, []
                for order in waiting:
                    link.send(order)
            self._say(f"{self.host} is back")
            return

    # --- what its link hears --------------------------------------------------------------------

    def output(self, name: str, line: bytes) -> None:
        """Take a line that a process wrote for its launcher."""
        if process := self._processes.get(name):
            process.take_output(line)

    def errors(self, name: str, line: bytes) -> None:
        """Take a line that it logged."""
        if process := self._processes.get(name):
            process.take_errors(line)

    def ended(self, name: str, code: int) -> None:
        """Take its end."""
        with self._lock:
            process = self._processes.pop(name, None)
        if process is not None:
            process.take_end(code)

    def lost(self, link: HostLink, error: ZdqnError) -> None:
        """Take note that a connection broke, and all that was started through it is no more."""
        with self._lock:
            if link is not self._link:
                return  # it has never been ready
            self._link = None
            lost, self._processes = self._processes, {}
        for process in lost.values():
            process.lose(error)

    def finish(self) -> None:
        """Let the agent end, with all that still runs there, and let go of the connection."""
        self._closed.set()
        if (link := self._link) is not None:
            link.finish(GRACE_S)
            link.close()
        self.close()
        for process in list(self._processes.values()):  # which has waited for the host
            process.give_up()

    def close(self) -> None:
        """Let go of the connection."""
        self._closed.set()
        link, thread = self._link, self._reconnecting
        if link is not None:
            link.close()
        if thread is not None:
            with contextlib.suppress(RuntimeError):
                thread.join()
