"""Whose a run directory is: one process writes into it, and one run's files are there."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from pathlib import Path

from zdqn.closing import Closing
from zdqn.errors import FileError, RunDirectoryTakenError, UsageError
from zdqn.records.run_files import RunFiles, open_run_directory
from zdqn.records.run_lock import RunLock, check_free

_MOST_NAMED = 3


class RunClaim(Closing):
    """The right to write a run into a folder. It is made, and locked, but nothing in it changes.

    A folder that holds a run already is refused, unless that run is gone on with or is to be
    overwritten. That happens in `clear`, once nothing can be refused any more.

    Args:
        directory: the folder; made (for its owner alone) if it is missing, and removed again if
            nothing was written to it.
        resume: run directory to go on from, or None.
        overwrite: whether a run that is there may be removed.
        launching: for the one who starts the process that writes, and claims it too.

    Attributes:
        overwrites: whether a run that is there is to be removed.

    Raises:
        RunDirectoryTakenError: when another process, or another run, has it.
        UsageError: when the run to go on from would be overwritten.
        FileError: when it cannot be made or written to.
    """

    def __init__(
        self,
        directory: Path,
        *,
        resume: Path | None = None,
        overwrite: bool = False,
        launching: bool = False,
    ) -> None:
        self._files = RunFiles(directory)
        self.overwrites = overwrite
        goes_on = resume is not None and is_same_directory(resume, directory)
        if goes_on and overwrite:
            raise UsageError(
                f"--overwrite would remove the run in {directory}, and --resume goes on from it. "
                f"Leave one of them out, or give another --run-dir."
            )
        self._is_new = not directory.exists()
        with ExitStack() as stack:
            stack.callback(self._remove_unused)
            open_run_directory(directory)
            self._lock = stack.enter_context(self._take_lock(launching))
            stack.callback(self._remove_unused_lock)
            if launching:
                check_free(self._files.lock)
            if not (goes_on or overwrite):
                self._check_empty()
            self._held = stack.pop_all()

    def _take_lock(self, launching: bool) -> RunLock:
        if launching:
            return RunLock(self._files.launch_lock)
        try:
            return RunLock(self._files.lock)
        except RunDirectoryTakenError:
            check_free(self._files.launch_lock)  # which names the command that a user knows
            raise

    def _check_empty(self) -> None:
        results = self._files.results()
        if results:
            names = [path.relative_to(self._files.path).as_posix() for path in results]
            more = ", ..." if len(names) > _MOST_NAMED else ""
            directory = self._files.path
            raise RunDirectoryTakenError(
                f"The run directory {directory} already holds a run "
                f"({', '.join(names[:_MOST_NAMED])}{more}). Go on with it (--resume {directory}), "
                f"give another --run-dir, or have that run removed (--overwrite)."
            )

    def clear(self) -> None:
        """Remove the results of a run that is to be overwritten, if one is there; nothing else.

        Raises:
            FileError: when something cannot be removed.
        """
        if self.overwrites:
            files = self._files
            leftovers = files.checkpoints.glob(".update-*.pt.*.tmp")
            _remove([*files.results(), *leftovers], [files.checkpoints])

    def clear_servers(self) -> None:
        """Remove addresses, logs and the count of starts of a run that is to be overwritten.

        Only where no server of the new run has started yet.

        Raises:
            FileError: when something cannot be removed.
        """
        if self.overwrites:
            files = self._files
            roles = ("memory", "learner", "collector-*", "evaluator-*")
            logs = [path for role in roles for path in files.logs.glob(f"{role}.log")]
            _remove([files.endpoints, files.learner_epoch, *logs], [files.logs])

    def clear_replay(self) -> None:
        """Remove the kept replay of a run that is to be overwritten, while no memory has it.

        Raises:
            FileError: when something cannot be removed.
        """
        if self.overwrites:
            files = [path for path in self._files.replay.rglob("*") if path.is_file()]
            _remove([path for path in files if path.name != "lock"], [])

    def close(self) -> None:
        """Let others have it."""
        self._held.close()

    def _remove_unused_lock(self) -> None:
        """Leave no lock in a folder where no run began."""
        if not self._files.results():
            self._lock.remove()

    def _remove_unused(self) -> None:
        if self._is_new:
            with suppress(OSError):  # there is something in it
                self._files.path.rmdir()


def is_same_directory(one: Path, other: Path) -> bool:
    """Whether two paths lead to one folder, which need not be there."""
    return one.resolve() == other.resolve()


def _remove(files: list[Path], folders: list[Path]) -> None:
    """Remove files, and folders if nothing else is in them."""
    for path in files:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise FileError(
                f"Cannot remove {path} of the run that is to be overwritten: {error.strerror}. "
                f"Give another --run-dir."
            ) from error
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()
