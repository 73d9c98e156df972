"""The processes of a benchmark: real roles to be measured, and workers that load them."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from zdqn.benchmarks.subjects import MOST_TRANSITIONS, Writer, make_block
from zdqn.closing import Closing
from zdqn.config import Config
from zdqn.data import EnvironmentSpec
from zdqn.errors import RoleFailedError
from zdqn.wire import codec
from zdqn.wire.addresses import parse_address
from zdqn.wire.asking import Reply, ask
from zdqn.wire.keys.allow_list import KeyRole
from zdqn.wire.keys.role_keys import open_keys
from zdqn.wire.membership import new_session
from zdqn.wire.node import Node
from zdqn.wire.protocol import Goodbye, Header, Hello, Spec, Status, StatusRequest
from zdqn.wire.request_sockets import Client
from zdqn.wire.transition_sockets import TransitionSender

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

Link: TypeAlias = "Connection[Any, Any]"
"""A worker's end of its pipe; it raises EOFError when the benchmark is over."""

LOOPBACK = "tcp://127.0.0.1:0"

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_ANSWER_S = 300.0
_END_S = 20.0
_LOOK_S = 0.002
_ROW_LOOK_S = 0.05
"""A row says itself when it was written: to ask more often would only disturb who is measured."""
_TIMEOUT_S = 20.0


def use_one_thread_each() -> None:
    """Let numerical libraries use one thread in every process that starts from now on."""
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))


@dataclass(frozen=True)
class _Failure:
    text: str


class Worker(Closing):
    """A process that does what it is told through a pipe, and ends with it.

    Args:
        work: a function at the top of a module; called with a `Link` and the arguments.
        arguments: plain values.
    """

    def __init__(self, work: Callable[..., None], *arguments: Any) -> None:
        spawning = multiprocessing.get_context("spawn")
        self._name = work.__name__
        self._link, theirs = spawning.Pipe()
        self._process = spawning.Process(
            target=_work, args=(work, theirs, arguments), daemon=True, name=work.__name__
        )
        self._process.start()
        theirs.close()

    def send(self, value: Any) -> None:
        """Tell it something."""
        with contextlib.suppress(BrokenPipeError):  # `receive` says why
            self._link.send(value)

    def receive(self, timeout_s: float = _ANSWER_S) -> Any:
        """Give what it says next.

        Raises:
            RoleFailedError: when it broke, or says nothing in time.
        """
        if not self._link.poll(timeout_s):
            raise RoleFailedError(f"{self._name} has not answered for {timeout_s:g} s.")
        try:
            value = self._link.recv()
        except (EOFError, ConnectionResetError) as error:
            raise RoleFailedError(f"{self._name} ended without a word.") from error
        if isinstance(value, _Failure):
            raise RoleFailedError(f"{self._name} broke:\n{value.text}")
        return value

    def pause(self) -> None:
        """Stop it where it is, so that something else can be measured meanwhile."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        if self._process.pid is not None and self._process.is_alive():
            os.kill(self._process.pid, number)

    def close(self) -> None:
        """Hang up, and see that it ends."""
        self.go_on()
        self._link.close()
        self._process.join(_END_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _work(work: Callable[..., None], link: Link, arguments: Sequence[Any]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the benchmark, which hangs up
    try:
        work(link, *arguments)
    except EOFError:
        pass
    except BaseException:  # noqa: BLE001 - the benchmark raises it again
        with contextlib.suppress(OSError):
            link.send(_Failure(traceback.format_exc()))


def tell_all(workers: Sequence[Worker], value: Any) -> list[Any]:
    """Tell several workers the same and give their answers."""
    for worker in workers:
        worker.send(value)
    return [worker.receive() for worker in workers]


class Questioner(Closing):
    """Asks a memory or learner how it does.

    Args:
        address: of its REQ/REP socket; with keys, a memory's.
        keys: folder of keys; "" without.
    """

    def __init__(self, address: str, keys: str = "") -> None:
        server = parse_address(address, parameter="the address")
        self._nodes = [Node(keys=open_keys(keys, role)) for role in ("operator", "collector")]
        self._client, self._as_collector = (node.client(server, "memory") for node in self._nodes)

    def status(self) -> dict[str, Any]:
        """Give its status."""
        return codec.expect(_ask(self._client, StatusRequest()).message, Status).values

    def introduce(self, spec: EnvironmentSpec) -> None:
        """Say hello as a collector that knows its environment, and leave at once."""
        self.leave(self.join(spec))

    def join(self, spec: EnvironmentSpec) -> int:
        """Say hello as a collector; gives its session."""
        session = new_session()
        hello = Hello(role="collector", name="bench", session=session, spec=Spec.of(spec))
        _ask(self._as_collector, hello)
        return session

    def leave(self, session: int) -> None:
        """Say goodbye for such a collector."""
        _ask(self._as_collector, Goodbye(session=session, statistics={}))

    def close(self) -> None:
        """Close the connection."""
        for part in (self._client, self._as_collector, *self._nodes):
            part.close()


def _ask(client: Client, header: Header) -> Reply:
    reply = ask(client, header, server="server", timeout_s=_TIMEOUT_S)
    if reply is None:
        raise RoleFailedError(f"{client.address} has not answered for {_TIMEOUT_S:g} s.")
    return reply


def make_node(config: Config, role: KeyRole) -> Node:
    """Give what makes a role's sockets, with its key if the configuration has keys."""
    return Node(keys=open_keys(config.security.keys, role))


def _stop_with(link: Link) -> threading.Event:
    """Give an event that is set when the benchmark hangs up."""
    stop = threading.Event()

    def wait() -> None:
        with contextlib.suppress(EOFError, OSError):
            link.recv()
        stop.set()

    threading.Thread(target=wait, daemon=True).start()
    return stop


# --- the memory ---------------------------------------------------------------------------------


def _serve_memory(link: Link, config: Config, bind: str) -> None:
    from zdqn.roles.memory import Memory

    with Memory(config, bind=bind, on_bound=link.send, stop=_stop_with(link)) as memory:
        memory.run()


class MemoryProcess(Closing):
    """A real memory in a process of its own, which knows its environment.

    Args:
        config: of the memory.
        spec: of the environment.
        bind: where it listens.

    Attributes:
        worker: the process.
    """

    def __init__(self, config: Config, spec: EnvironmentSpec, *, bind: str = LOOPBACK) -> None:
        self.config = config
        self.spec = spec
        self.worker = Worker(_serve_memory, config, bind)
        endpoints = self.worker.receive()
        self.samples, self.transitions = endpoints["samples"], endpoints["transitions"]
        self._questioner = Questioner(self.samples, config.security.keys)
        self._questioner.introduce(spec)

    def status(self) -> dict[str, Any]:
        """Give its status."""
        return self._questioner.status()

    def wait_for(self, transitions: int) -> None:
        """Wait until it has stored so many transitions in its life.

        Raises:
            RoleFailedError: when none has come for a while.
        """
        stored = -1
        deadline_s = 0.0
        while stored < transitions:
            now = self.status()["transitions"]
            if now != stored:
                stored, deadline_s = now, time.monotonic() + _TIMEOUT_S
            elif time.monotonic() > deadline_s:
                raise RoleFailedError(f"{transitions} transitions were sent, {stored} came.")
            time.sleep(_LOOK_S)

    def fill(self, transitions: int) -> None:
        """Have it store so many transitions more, or a few more than that."""
        before = self.status()["transitions"]
        blocks = -(-transitions // MOST_TRANSITIONS)
        block = make_block(self.spec, MOST_TRANSITIONS, np.random.default_rng(0))
        with (
            make_node(self.config, "collector") as node,
            connect_sender(node, self.config, self.transitions) as sender,
        ):
            for message in Writer(self.spec).write(block, blocks):
                sender.send(message, _never)
            self.wait_for(before + blocks * MOST_TRANSITIONS)

    def close(self) -> None:
        """End it."""
        self._questioner.close()
        self.worker.close()


def _never() -> bool:
    return False


def connect_sender(
    node: Node, config: Config, address: str, *, watched: bool = False
) -> TransitionSender:
    """Connect the sending end of a transitions link, with a collector's options."""
    return node.sender(
        parse_address(address, parameter="the transitions address"),
        high_water_mark=config.transition_high_water_mark,
        buffer_bytes=config.transition_buffer_bytes,
        watched=watched,
    )


# --- the learner --------------------------------------------------------------------------------


def _serve_learner(link: Link, config: Config, memory: str, directory: Path) -> None:
    from zdqn.roles.learner.role import Learner

    stop = _stop_with(link)
    with Learner(
        config,
        memory=memory,
        run_directory=directory,
        bind=LOOPBACK,
        on_bound=link.send,
        stop=stop,
    ) as learner:
        learner.run()


class LearnerProcess(Closing):
    """A real learner in a process of its own, which knows its environment.

    Args:
        config: of the learner; rates are taken from one row of metrics to another.
        memory: where it samples.
        directory: for its files.

    Attributes:
        worker: the process.
    """

    def __init__(self, config: Config, memory: MemoryProcess, directory: Path) -> None:
        self.worker = Worker(_serve_learner, config, memory.samples, directory)
        endpoints = self.worker.receive()
        self.model, self.weights = endpoints["model"], endpoints["weights"]
        self._questioner = Questioner(self.model)
        self._questioner.introduce(memory.spec)

    def wait_for_updates(self, updates: int = 1) -> None:
        """Wait until it has made so many updates."""
        deadline_s = time.monotonic() + _ANSWER_S
        while self._progress().get("updates", 0) < updates:
            if time.monotonic() > deadline_s:
                raise RoleFailedError(f"The learner made no {updates} updates.")
            time.sleep(_LOOK_S)

    def updates_per_s(self, seconds: float) -> float:
        """Measure its speed, by its own clock, for `seconds` at least."""
        first = self._next_row()
        time.sleep(seconds)
        last = self._next_row()
        return float(last["updates"] - first["updates"]) / float(last["wall_s"] - first["wall_s"])

    def _next_row(self) -> dict[str, Any]:
        before = self._progress().get("wall_s")
        deadline_s = time.monotonic() + _TIMEOUT_S
        while (row := self._progress()).get("wall_s") == before:
            if time.monotonic() > deadline_s:
                raise RoleFailedError("The learner reports no progress any more.")
            time.sleep(_ROW_LOOK_S)
        return row

    def _progress(self) -> dict[str, Any]:
        progress: dict[str, Any] = self._questioner.status().get("progress", {})
        return progress

    def close(self) -> None:
        """End it, and its memory."""
        self._questioner.close()
        self.worker.close()
