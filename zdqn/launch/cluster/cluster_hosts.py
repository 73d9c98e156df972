"""All hosts of a run: connected at the same time, given keys, and asked to start roles."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from zdqn.closing import Closing
from zdqn.errors import ZdqnError
from zdqn.launch.cluster.cluster_placement import HostPlace
from zdqn.launch.cluster.cluster_plan import ClusterPlan, PlannedHost
from zdqn.launch.cluster.cluster_record import own_keys_of
from zdqn.launch.cluster.frames import SignalOrder
from zdqn.launch.cluster.host_connector import ANSWER_S, Errand, HostConnector
from zdqn.launch.cluster.host_link import HostLink
from zdqn.launch.cluster.host_session import HostSession
from zdqn.launch.cluster.run_keys import RunKeys
from zdqn.launch.cluster.ssh_commands import SshUse
from zdqn.launch.starting import StartedProcess


class ClusterHosts(Closing):
    """The hosts of a run.

    Args:
        plan: of the run.
        run: what its folder is called on every host.
        directory: of the run on this machine.
        use: how ssh is called; None plays every host with a process of this machine.
        secure: whether keys are made.
        errand: what its agents are for.
        say: told what a person should know, with the host.
        others: the keys of hosts that are in the run, and not in the plan: host to role to line.

    Attributes:
        places: of the hosts that have been opened, by name.
        failed: host to why it could not be opened.
        say: as given; may be changed.
        keys: of the run; None where it has none.
    """

    def __init__(
        self,
        plan: ClusterPlan,
        *,
        run: str,
        directory: Path,
        use: SshUse | None,
        secure: bool,
        errand: Errand = "run",
        say: Callable[[str], None],
        others: Mapping[str, dict[str, str]] | None = None,
    ) -> None:
        self._plan = plan
        self._errand = errand
        self.say = say
        self.keys = RunKeys(own_keys_of(directory), others or {}) if secure else None
        self._connector = HostConnector(plan.ssh, use, run=run, errand=errand, say=self._tell)
        self._sessions: dict[str, HostSession] = {}
        self.failed: dict[str, ZdqnError] = {}
        self.places: dict[str, HostPlace] = {}

    def open(self) -> None:
        """Connect to every host, at the same time, and give each the keys it needs.

        Raises:
            ZdqnError: when one cannot be used; all that cannot are named.
        """
        self.open_what_can_be()
        if self.failed:
            raise together(self.failed)
        if self._errand == "run":
            self._give_keys(self._sessions)

    def open_what_can_be(self) -> None:
        """Connect to every host that is not connected; `failed` says why others are not."""
        new = [host for host in self._plan.hosts.values() if host.name not in self._sessions]
        for host in new:
            self._sessions[host.name] = HostSession(
                host.name, connect=self._connect_to(host), say=self._tell
            )
        self.failed = in_parallel({host.name: self._sessions[host.name].open for host in new})
        for name in self.failed:
            del self._sessions[name]

    def _connect_to(self, host: PlannedHost) -> Callable[[HostSession], HostLink]:
        return lambda session: self._connect(host, session)

    def _connect(self, host: PlannedHost, session: HostSession) -> HostLink:
        """Make a connection that is ready for roles."""
        link = self._connector.connect(host, session)
        try:
            comes_back = host.name in self.places
            place = self._connector.find_place(host, link, secure=self.keys is not None)
            self.places[host.name] = place
            if self.keys is not None and self._errand == "run":
                roles = {"roles": self._roles_on(host.name)}
                self.keys.take(host.name, link.ask("make_keys", roles, ANSWER_S))
                if comes_back:  # the others know its keys
                    wanted = self.keys.wanted_by(self._plan, host.name)
                    link.ask("put_keys", wanted, ANSWER_S)
        except ZdqnError:
            link.close()
            raise
        return link

    def _roles_on(self, host: str) -> list[str]:
        return sorted({process.role for process in self._plan.on(host)})

    def start(self, argv: Sequence[str], environment: Mapping[str, str]) -> StartedProcess:
        """Start a process where the plan has it; a `zdqn.launch.starting.ProcessStarter`."""
        role, name = argv[-2:]
        (host,) = (process.host for process in self._plan.processes if process.name == name)
        own = self._plan.hosts[host].environment
        return self._sessions[host].start(role, name, {**own, **environment})

    def ask(self, host: str, question: str, arguments: Mapping[str, Any]) -> Any:
        """Ask the agent of a host.

        Raises:
            ZdqnError: what it says instead, or why the host could not be opened.
        """
        if host in self.failed:
            raise self.failed[host]
        return self._sessions[host].ask(question, arguments, ANSWER_S)

    def answers(self, host: str) -> bool:
        """Whether the agent of a host answers now."""
        try:
            self.ask(host, "who", {})
        except ZdqnError:
            return False
        return True

    def signal(self, host: str, name: str, number: int) -> None:
        """Send a signal to a process of a host."""
        self._sessions[host].tell(SignalOrder(name, number))

    def _tell(self, line: str) -> None:
        self.say(line)

    # --- more, and less -------------------------------------------------------------------------

    def extend(self, plan: ClusterPlan) -> None:
        """Open the hosts that a larger plan has more, and let servers know of their keys.

        Raises:
            ZdqnError: when one cannot be used; the plan stays as it was then.
        """
        before, self._plan = self._plan, plan
        self.open_what_can_be()
        if self.failed:
            self._plan = before
            raise together(self.failed)
        changed = [host for host in plan.hosts if plan.on(host) != before.on(host)]
        if self.keys is not None:
            for host in changed:  # it may run a role now that it had no key of
                told = self.ask(host, "make_keys", {"roles": self._roles_on(host)})
                self.keys.take(host, told)
        self._give_keys({*changed, *self._servers()})

    def remove(self, host: str, plan: ClusterPlan) -> None:
        """End what runs on a host, and let its keys in no more.

        Args:
            host: that is to go.
            plan: without it.
        """
        self._plan = plan
        self._sessions.pop(host).finish()
        self.places.pop(host)
        if self.keys is not None:
            self.keys.forget(host)
        self._give_keys(self._servers())

    def put_lists(self, lines: Mapping[str, Mapping[str, str]]) -> None:
        """Let the servers know who is let in; nobody else is.

        Args:
            lines: of everybody but this machine: host to role to a line of a list.

        Raises:
            ZdqnError: when a server's host does not answer.
        """
        if self.keys is not None:
            self.keys.replace(lines)
        self._give_keys(self._servers())

    def _servers(self) -> set[str]:
        return {self._plan.host_of(role).name for role in ("memory", "learner")}

    def _give_keys(self, hosts: Iterable[str]) -> None:
        """Let hosts know whom to trust, and servers whom to let in."""
        keys = self.keys
        if keys is None:
            return
        keys.make_own()

        def give(host: str) -> None:
            self.ask(host, "put_keys", keys.wanted_by(self._plan, host))

        failed = for_each(hosts, give)
        if failed:
            raise together(failed)

    # --- ending ---------------------------------------------------------------------------------

    def keep(self, max_restarts: int) -> None:
        """Have every agent keep its roles when this launcher has gone.

        Raises:
            ZdqnError: when one cannot be told.
        """
        told = {"max_restarts": max_restarts}
        failed = for_each(self._sessions, lambda host: self.ask(host, "keep", told))
        if failed:
            raise together(failed)

    def close(self) -> None:
        """Have every agent end, with all that it still runs, and let go of the connections."""
        in_parallel({name: one.finish for name, one in self._sessions.items()})


def for_each(hosts: Iterable[str], do: Callable[[str], object]) -> dict[str, ZdqnError]:
    """Do something for each of several hosts at the same time.

    Returns:
        Host to why it could not be.
    """
    return in_parallel({host: functools.partial(do, host) for host in hosts})


def in_parallel(tasks: Mapping[str, Callable[[], object]]) -> dict[str, ZdqnError]:
    """Do something for each of several hosts at the same time.

    Args:
        tasks: host to what is to be done.

    Returns:
        Host to why it could not be.
    """
    failed: dict[str, ZdqnError] = {}

    def attempt(host: str) -> None:
        try:
            tasks[host]()
        except ZdqnError as error:
            failed[host] = error

    if tasks:
        with ThreadPoolExecutor(max_workers=len(tasks)) as pool:
            list(pool.map(attempt, tasks))
    return {host: failed[host] for host in tasks if host in failed}


def together(failed: Mapping[str, ZdqnError]) -> ZdqnError:
    """Make one error of several, of the kind of the first."""
    errors = list(failed.values())
    if len(errors) == 1:
        return errors[0]
    text = "".join(f"\n  {error}" for error in errors)
    return type(errors[0])(f"{len(errors)} hosts cannot be used:{text}")
