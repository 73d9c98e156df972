"""The configuration of a run that is looked at: of its folder, or else as its learner tells."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zdqn.config import Config, from_dict, load_config
from zdqn.errors import PeerUnavailableError, ZdqnError
from zdqn.launch.run_inquiry import TIMEOUT_S
from zdqn.records.run_files import RunFiles, is_plain
from zdqn.wire import remote_control
from zdqn.wire.keys.role_keys import RoleKeys

_NOT_BEGUN = "The configuration is written into the run's folder when training begins."
_NOBODY = "Nobody has answered at this address yet, who could tell the configuration."
_MEMORY = (
    "A memory does not know the configuration. Give the learner's address, or the run's directory."
)


class FoundConfig:
    """Finds a run's configuration, and takes another where the run has become another.

    One that came by the network is shown, and no code that it names is run for that.

    Args:
        directory: of the run; None if only an address is known.
        keys: an operator's, where servers have keys.

    Attributes:
        config: the last that could be read; None before the first.
        why: why there is none; "" if there is.
    """

    def __init__(self, directory: Path | None, keys: RoleKeys | None = None) -> None:
        self._path = RunFiles(directory).config if directory is not None else None
        self._keys = keys
        self._read: tuple[int, int] | None = None
        self._read_well = False
        self._asked_of: tuple[str, str] | None = None
        self.config: Config | None = None
        self.why = _NOBODY if directory is None else _NOT_BEGUN

    def look(self, answers: Mapping[str, Mapping[str, Any]]) -> None:
        """Look whether it is there by now; a learner is asked once for each run.

        Args:
            answers: of the run's servers to who has asked for their status, by role.
        """
        if self._path is not None and self._read_file(self._path):
            return
        if "learner" in answers:
            self._ask(answers["learner"])
        elif answers and self._path is None and self.config is None:
            self.why = _MEMORY

    def _read_file(self, path: Path) -> bool:
        """Read it, where the run has written one since the last look.

        Returns:
            Whether there is one that can be read.
        """
        try:
            stat = path.stat()
            if not is_plain(path):
                return False
        except OSError:
            return False
        key = stat.st_mtime_ns, stat.st_size
        if key != self._read:
            self._read = key
            try:
                self._take(load_config(path))
            except ZdqnError as error:  # of another version of zdqn, say
                self._read_well = False
                self._miss(error)
            else:
                self._read_well = True
        return self._read_well

    def _ask(self, learner: Mapping[str, Any]) -> None:
        address = str(learner["address"])
        run = address, str(learner.get("run", {}).get("run_id", ""))
        if run == self._asked_of:
            return
        try:
            values = remote_control.fetch_configuration(address, TIMEOUT_S, self._keys)
            self._take(from_dict(values, source="the learner's configuration"))
        except PeerUnavailableError as error:  # it may answer the next time
            self._miss(error)
            return
        except ZdqnError as error:  # an older learner does not tell it
            self._miss(error)
        self._asked_of = run

    def _take(self, config: Config) -> None:
        self.config, self.why = config, ""

    def _miss(self, error: ZdqnError) -> None:
        if self.config is None:
            self.why = f"The configuration cannot be shown: {error}"
