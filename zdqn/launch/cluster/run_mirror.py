"""The files of a run, as its learner's host has them, kept on the launcher's machine too."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zdqn.errors import ZdqnError
from zdqn.launch.cluster.agent_place import read_launch_id
from zdqn.records.run_files import RunFiles

if TYPE_CHECKING:
    from zdqn.launch.cluster.cluster_hosts import ClusterHosts

MOST_BYTES = 8 * 2**20
"""Of one answer."""
_PERIOD_S = 1.0
_FILES = RunFiles(Path())
_APPENDED = (_FILES.metrics.name, _FILES.evaluations.name)
_REPLACED = (_FILES.config.name, _FILES.summary.name, _FILES.identity.name)
_AT_THE_END = (_FILES.best.name,)
MIRRORED = (*_APPENDED, *_REPLACED, *_AT_THE_END)
"""Names of the files of a run that an agent gives away."""


def read_news(directory: Path, known: Mapping[str, list[int]]) -> dict[str, dict[str, Any]]:
    """Read what has come to the files of a run.

    Args:
        directory: of the run.
        known: name to bytes that are known, and to when the file was changed then (ns).

    Returns:
        Name to where a piece begins, the piece, the file's size and when it was changed; only for
        those with news, and of at most `MOST_BYTES` together with those before.
    """
    found: dict[str, dict[str, Any]] = {}
    room = MOST_BYTES
    for name, (size, changed) in known.items():
        path = directory / name
        if name not in MIRRORED or not path.is_file() or room <= 0:
            continue
        status = path.stat()
        grown = status.st_size > size and (name in _APPENDED or changed == status.st_mtime_ns)
        if (status.st_size, status.st_mtime_ns) == (size, changed):
            continue
        begin = size if grown else 0
        with path.open("rb") as file:
            file.seek(begin)
            piece = file.read(room)
        room -= len(piece)
        found[name] = {"begin": begin, "piece": piece, "changed": status.st_mtime_ns}
    return found


def mirror_of(directory: Path, hosts: ClusterHosts, learner: str) -> RunMirror:
    """Give what copies the files of a run here, where its folder there is not this very one.

    Args:
        directory: of the run here.
        hosts: of the run.
        learner: the learner's host.
    """
    if hosts.places[learner].launch_id == read_launch_id(directory):
        return RunMirror(directory, lambda _known: {})
    return RunMirror(
        directory, lambda known: hosts.ask(learner, "read_news", {"known": dict(known)})
    )


class RunMirror:
    """Copies what comes to the files of a run, in a thread, until it is left.

    Args:
        directory: of the run here.
        ask: asks the learner's host for what `read_news` gives there.
    """

    def __init__(
        self,
        directory: Path,
        ask: Callable[[Mapping[str, list[int]]], dict[str, dict[str, Any]]],
    ) -> None:
        self._directory = directory
        self._ask = ask
        self._known: dict[str, list[int]] = {}
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._copy_until_left, daemon=True)

    def __enter__(self) -> RunMirror:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._left.set()
        self._thread.join()

    def finish(self) -> None:
        """Copy all there is, with what was left for the end.

        Raises:
            ZdqnError: when the learner's host does not answer any more.
        """
        self._left.set()
        self._thread.join()
        self.copy_all()

    def copy_all(self) -> None:
        """Copy all there is, now.

        Raises:
            ZdqnError: when the learner's host does not answer.
        """
        while self.copy(MIRRORED):
            pass

    def copy(self, names: Iterable[str]) -> bool:
        """Copy what is new in some files; whether there was anything."""
        news = self._ask({name: self._known.get(name, [0, 0]) for name in names})
        for name, piece in news.items():
            path = self._directory / name
            self._write(path, piece["begin"], piece["piece"])
            os.utime(path, ns=(piece["changed"], piece["changed"]))  # it tells when a run ended
            self._known[name] = [piece["begin"] + len(piece["piece"]), piece["changed"]]
        return bool(news)

    def _write(self, path: Path, begin: int, piece: bytes) -> None:
        if begin == 0:
            beside = path.with_name(f".{path.name}.new")
            beside.write_bytes(piece)
            beside.replace(path)
            return
        with path.open("r+b") as file:
            file.seek(begin)
            file.write(piece)

    def _copy_until_left(self) -> None:
        while not self._left.wait(_PERIOD_S):
            try:
                self.copy((*_APPENDED, *_REPLACED))
            except (ZdqnError, OSError):
                continue  # the host is away, or a disk full: who supervises the run says so
