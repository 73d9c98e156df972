"""Has an episode played with the newest weights of a run, now and then, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import IO

import msgspec

from zdqn.closing import Closing
from zdqn.experiments.dashboard.seen import Film
from zdqn.records.run_files import RunFiles

SHARE = 0.05
"""Of a processor's time that playing takes at most; and it is the last to get any."""
LEAST_PAUSE_S = 15.0

_MODULE = "zdqn.experiments.dashboard.film_child"
_BEGINS = "An episode is shown once the run has kept weights: a best network, or a checkpoint."
_KEPT_NONE = "The run has kept no weights to play with: neither a best network nor a checkpoint."
_FAILED = "The process that plays an episode broke. `zdqn play` on the run tells more."
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class FilmHeader(msgspec.Struct, frozen=True, kw_only=True):
    """What the process that plays an episode says before its picture.

    Attributes:
        why: why there is no picture; "" if there is one.
        columns: see `zdqn.experiments.dashboard.seen.Film`; so are `frames`, `width`, `height`,
            `frame_s` and `text`.
        computed_s: seconds of a processor that it took; None if it did not come to tell.
    """

    why: str = ""
    columns: int = 1
    frames: int = 1
    width: int = 0
    height: int = 0
    frame_s: float = 0.0
    text: str = ""
    computed_s: float | None = None


class FilmMaker(Closing):
    """Makes films of a run, one at a time, when there are newer weights and nothing else to do.

    Args:
        directory: of the run.
        allow_code: modules of which the run's configuration may name code.
        clock: seconds that never go back.

    Attributes:
        film: the newest; None before the first.
        why: why there is none, or no newer one; "" if there is.
    """

    def __init__(
        self,
        directory: Path,
        *,
        allow_code: Collection[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._files = RunFiles(directory)
        self._allow_code = tuple(allow_code)
        self._clock = clock
        self.film: Film | None = None
        self.why = _BEGINS
        self._process: subprocess.Popen[bytes] | None = None
        self._output: IO[bytes] | None = None
        self._began_s = self._next_s = clock()
        self._played: tuple[str, int] | None = None
        self._count = 0

    def advance(self, *, is_over: bool = False) -> None:
        """Take what has been played, or begin to play; it never waits.

        Args:
            is_over: whether the run has ended: its best network is preferred to newer weights.
        """
        if self._process is not None:
            if self._process.poll() is not None:
                self._take()
        elif self._clock() >= self._next_s:
            newest = newest_weights(self._files, best_only=is_over)
            if newest is None:
                if self._played is None:
                    self.why = _KEPT_NONE if is_over else _BEGINS
                return
            path, changed = newest
            if (path.name, changed) != self._played:
                self._played = path.name, changed
                self._begin(path)

    def _begin(self, path: Path) -> None:
        self._began_s = self._clock()
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed when it was read
        if self.film is None:
            self.why = "An episode is being played. Training comes first, so it may take a while."
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own module, and a path
                [sys.executable, "-P", "-m", _MODULE, str(path.absolute()), "0", *self._allow_code],
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=subprocess.DEVNULL,
                env={**os.environ, **dict.fromkeys(_THREADS, "1")},
            )
        except OSError as error:
            self.why = f"No process could be started to play an episode: {error.strerror}."
            self._rest()

    def _take(self) -> None:
        assert self._output is not None
        self._output.seek(0)
        line, image = self._output.readline(), self._output.read()
        try:
            told = msgspec.json.decode(line, type=FilmHeader)
        except msgspec.MsgspecError:
            told = FilmHeader(why=_FAILED)
        self._rest(told.computed_s)
        self.why = told.why
        if told.why:
            return
        self._count += 1
        self.film = Film(
            number=self._count,
            image=image,
            columns=told.columns,
            frames=told.frames,
            width=told.width,
            height=told.height,
            frame_s=told.frame_s,
            text=told.text,
            made_s=time.time(),
        )

    def _rest(self, computed_s: float | None = None) -> None:
        """Let go of what has played, and wait until it has taken no more than its share of time."""
        now_s = self._clock()
        took_s = now_s - self._began_s if computed_s is None else computed_s
        self._next_s = now_s + max(LEAST_PAUSE_S, took_s / SHARE)
        if self._output is not None:
            self._output.close()
        self._process = self._output = None

    def close(self) -> None:
        """End the process that plays, if there is one."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._rest()


def newest_weights(files: RunFiles, *, best_only: bool = False) -> tuple[Path, int] | None:
    """Find the weights that a run has kept last.

    Args:
        files: of the run.
        best_only: whether the best network is preferred to newer weights.

    Returns:
        The file, and when it was written (in nanoseconds); None if there is none.
    """
    paths = [files.best, *files.checkpoints.glob("update-*.pt")]
    if best_only and files.best.exists():
        paths = paths[:1]
    found: list[tuple[int, Path]] = []
    for path in paths:
        with suppress(OSError):  # it was pruned meanwhile
            found.append((path.stat().st_mtime_ns, path))
    if not found:
        return None
    changed, path = max(found)
    return path, changed
