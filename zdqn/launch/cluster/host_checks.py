"""What an agent looks at on its host before a run begins; nothing is changed there."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from zdqn.launch.cluster.replay_need import ReplayNeed
from zdqn.roles.free_memory import available_bytes

_FULL_BYTES, _LOW_BYTES = 50e6, 1e9
"""Room on a disk for a few checkpoints of small networks; and for weeks of them."""
_PROCESS_BYTES = {"memory": 60e6, "learner": 300e6, "collector": 60e6, "evaluator": 250e6}
"""Memory of a process of each role, of a small network on the CPU, without the replay: those of
``configs/cartpole.toml`` take 50, 245, 51 and 238 MB. A larger network takes more."""
_REACH_S = 5.0
_ACCEPT_S = 0.2
_DOOR = "zdqn-door"


def look_at_host(
    directory: Path,
    ports: Iterable[int],
    roles: Sequence[str],
    replay: ReplayNeed | None = None,
) -> dict[str, Any]:
    """Look at folder, disk, memory and ports of this host.

    Args:
        directory: in which runs are to keep their files.
        ports: that servers are to listen on.
        roles: of the processes that are to run here.
        replay: what the memory takes besides, if it is to run here and that is to be looked at.

    Returns:
        ``facts``, a few words each, and ``problems``: subject, whether a run would fail, what is
        so, and the way out.
    """
    there = next(path for path in (directory, *directory.parents) if path.exists())
    disk, memory = shutil.disk_usage(there).free, available_bytes()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    problems: list[list[Any]] = []
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        problems.append(
            ["run directory", True, f"{there} is not writable, and {directory} would be there",
             "Give another directory for this host."]
        )  # fmt: skip
    if disk < _LOW_BYTES:
        problems.append(
            ["disk", disk < _FULL_BYTES, f"{disk / 1e9:.2f} GB free in {there}",
             "Make room, or give a directory on another disk."]
        )  # fmt: skip
    problems += _room(roles, replay, memory=memory, disk=disk)
    problems += [["ports", True, f"port {port} is taken", _OTHER_PORT] for port in taken(ports)]
    facts = [f"{cores} cores", f"{memory / 1e9:.1f} GB memory", f"{disk / 1e9:.0f} GB disk"]
    if replay is not None:
        facts.append(replay.text)
    return {"facts": facts, "problems": problems}


def _room(
    roles: Sequence[str], replay: ReplayNeed | None, *, memory: float, disk: float
) -> Iterator[list[Any]]:
    """Hold what processes and replay will take against what is free."""
    need = sum(_PROCESS_BYTES[role] for role in roles)
    if replay is not None:
        free, where = (disk, "the disk") if replay.on_disk else (memory, "memory")
        if replay.nbytes > free:  # as the memory will refuse it
            yield ["memory", True, f"{free / 1e9:.2f} GB of {where} free, and the replay takes "
                   f"{replay.nbytes / 1e9:.2f} GB",
                   "Lower replay.capacity, or give the memory another host."]  # fmt: skip
            return
        need += 0 if replay.on_disk else replay.nbytes
    if memory < need:
        with_replay = " with the replay" if replay is not None and not replay.on_disk else ""
        several = "es" if len(roles) > 1 else ""
        yield ["memory", False, f"{memory / 1e9:.2f} GB free for {len(roles)} process{several}"
               f"{with_replay}, which take {need / 1e9:.2f} GB or more",
               "Run fewer of them here, or end what else runs."]  # fmt: skip


_OTHER_PORT = (
    "Another run, or another program, has it: end that (`zdqn status`, `zdqn stop`), or give "
    "another port in [memory] or [learner]; 0 takes free ones."
)


def taken(ports: Iterable[int]) -> list[int]:
    """Give those ports that nobody can listen on now."""
    found = []
    for port in ports:
        with socket.socket() as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                tried.bind(("", port))
            except OSError:
                found.append(port)
    return found


def try_to_reach(addresses: Iterable[tuple[str, int]]) -> dict[str, str]:
    """Try to connect.

    Args:
        addresses: hosts and ports.

    Returns:
        ``host:port`` to why it cannot be reached; "" for those that can.
    """
    return {f"{host}:{port}": _reach(host, port) for host, port in addresses}


def _reach(host: str, port: int) -> str:
    try:
        socket.create_connection((host, port), _REACH_S).close()
    except OSError as error:
        return str(error.strerror or error)
    return ""


class Doorkeeper:
    """Listens on ports for a while, so that others can try to reach them."""

    def __init__(self) -> None:
        self._sockets: list[socket.socket] = []
        self._left = threading.Event()

    def listen(self, ports: Iterable[int]) -> Mapping[str, int]:
        """Listen; a port that is taken has somebody who listens already.

        Returns:
            Each port that was asked for to the one that others can try.
        """
        found = {}
        for port in ports:
            found[str(port)] = port
            listening = socket.socket()
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.settimeout(_ACCEPT_S)
            try:
                listening.bind(("", port))
                listening.listen()
            except OSError:
                listening.close()
                continue
            found[str(port)] = listening.getsockname()[1]
            self._sockets.append(listening)
            threading.Thread(
                target=_accept, args=(listening, self._left), name=_DOOR, daemon=True
            ).start()
        return found

    def leave(self) -> None:
        """Listen no more."""
        self._left.set()
        for listening in self._sockets:
            with contextlib.suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
                listening.close()
        self._sockets.clear()
        self._left = threading.Event()


def _accept(listening: socket.socket, left: threading.Event) -> None:
    while not left.is_set():
        try:
            listening.accept()[0].close()
        except TimeoutError:
            continue
        except OSError:
            return
