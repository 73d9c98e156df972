"""What an agent can be asked, each answered by a method; nothing else is."""

from __future__ import annotations

import getpass
import platform
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from zdqn.errors import ProtocolError, RoleFailedError
from zdqn.launch.cluster.agent_place import AgentPlace
from zdqn.launch.cluster.host_checks import Doorkeeper, look_at_host, try_to_reach
from zdqn.launch.cluster.host_keys import hosts_in, make_host_keys, put_host_keys
from zdqn.launch.cluster.replay_need import ReplayNeed
from zdqn.launch.cluster.rotated_log import read_log
from zdqn.launch.cluster.run_mirror import read_news
from zdqn.launch.cluster.versions import zdqn_version


class AgentAnswers:
    """Answers questions.

    Args:
        settle: told the place that the launcher has chosen, and for how long it may be silent (s).
        keep: told that roles are to go on without the launcher, and how often each may be started
            again.
    """

    def __init__(
        self, settle: Callable[[AgentPlace, float], None], keep: Callable[[int], None]
    ) -> None:
        self._settle = settle
        self._place: AgentPlace | None = None
        self._door = Doorkeeper()
        self._known: dict[str, Callable[..., Any]] = {
            "who": self._who,
            "look": self._look,
            "listen": self._door.listen,
            "reach": try_to_reach,
            "leave": self._door.leave,
            "visit": self._visit_at,
            "read_log": self._read_log,
            "signal": self._signal,
            "settle": self._settle_at,
            "keep": keep,
            "make_keys": self._make_keys,
            "put_keys": self._put_keys,
            "let_in": self._let_in,
            "read_news": self._read_news,
        }

    def answer(self, question: str, arguments: Mapping[str, Any]) -> Any:
        """Give what was asked for.

        Raises:
            ZdqnError: what hinders it.
        """
        if question not in self._known:
            raise ProtocolError(f'the agent knows no question "{question}"')
        return self._known[question](**arguments)

    def _who(self) -> dict[str, str]:
        return {
            "zdqn": zdqn_version(),
            "python": platform.python_version(),
            "host": socket.gethostname(),
            "user": getpass.getuser(),
        }

    def _look(
        self, directory: str, ports: list[int], roles: list[str], replay: dict[str, Any] | None
    ) -> dict[str, Any]:
        need = ReplayNeed(**replay) if replay is not None else None
        found = look_at_host(absolute_there(directory), ports, roles, need)
        return {**self._who(), **found}

    def _visit_at(self, directory: str, host: str) -> dict[str, Any]:
        """Look at what another agent keeps here, and leave it there."""
        place = AgentPlace(absolute_there(directory), host)
        self._place = place
        return {
            "directory": str(place.directory),
            "keys": str(place.keys),
            "launch_id": place.launch_id(),
            "lives": place.is_taken(),
            "ends": place.read().get("ends", {}),
        }

    def _read_log(self, name: str, begin: int, tail: int) -> dict[str, Any]:
        return read_log(self._here().logs / f"{name}.log", begin, tail)

    def _signal(self, name: str, number: int) -> bool:
        """Send a signal to what another agent keeps here; to the agent itself as ``agent``."""
        return self._here().send_signal(name, number)

    def _settle_at(self, directory: str, host: str, silent_s: float) -> dict[str, str]:
        place = AgentPlace(absolute_there(directory), host)
        self._place = place
        self._settle(place, silent_s)
        return {
            "directory": str(place.directory),
            "keys": str(place.keys),
            "launch_id": place.launch_id(),
        }

    def _make_keys(self, roles: list[str]) -> dict[str, str]:
        return make_host_keys(self._here().keys, roles)

    def _put_keys(self, publics: dict[str, str], allowed: dict[str, list[str]]) -> None:
        put_host_keys(self._here().keys, publics, allowed)

    def _let_in(self) -> dict[str, dict[str, str]]:
        return hosts_in(self._here().keys)

    def _read_news(self, known: dict[str, list[int]]) -> dict[str, dict[str, Any]]:
        return read_news(self._here().directory, known)

    def _here(self) -> AgentPlace:
        if self._place is None:
            raise RoleFailedError("the agent was asked before it was told where to be")
        return self._place


def absolute_there(directory: str) -> Path:
    """Give a path of this host: relative ones start from the home folder."""
    return Path.home() / Path(directory).expanduser()
