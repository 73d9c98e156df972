"""A run that its agents keep, without a launcher: asked over ssh, from where it was launched."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from zdqn.closing import Closing
from zdqn.errors import PeerUnavailableError, UsageError, ZdqnError
from zdqn.launch.cluster.cluster_hosts import ClusterHosts, together
from zdqn.launch.cluster.cluster_placement import ClusterPlacement
from zdqn.launch.cluster.cluster_record import ClusterRecord, Ends, read_record, write_record
from zdqn.launch.cluster.connecting import use_for
from zdqn.launch.cluster.detaching import start_all
from zdqn.launch.cluster.run_mirror import mirror_of
from zdqn.launch.cluster.run_orders import check_restartable, extend_plan, parse_addition
from zdqn.records.endpoints import read_endpoints

_TICK_S = 0.5
_AGENT = "agent"


class Visit(Closing):
    """A look at the hosts of a run that its agents keep.

    A host that cannot be reached hinders only what is asked of it.

    Args:
        directory: of the run on this machine.
        say: told what a person should know.

    Raises:
        FileError: when it is no run of `zdqn launch`.
        ZdqnError: when no host can be reached.
    """

    def __init__(self, directory: Path, say: Callable[[str], None]) -> None:
        self._directory = directory.absolute()
        self._say = say
        self.record = read_record(self._directory)
        self._hosts = self._open(self.record)

    def _open(self, record: ClusterRecord) -> ClusterHosts:
        hosts = _hosts_of(record, self._directory, self._say, errand="visit")
        try:
            hosts.open_what_can_be()
            if len(hosts.failed) == len(record.plan.hosts):
                raise together(hosts.failed)
        except BaseException:
            hosts.close()
            raise
        return hosts

    def _is_away(self, host: str) -> bool:
        return host in self._hosts.failed

    def log_names(self) -> list[str]:
        """Name the logs that there are: of every process."""
        return [process.name for process in self.record.plan.processes]

    def main_logs(self) -> list[str]:
        """Name those in which each line stands once: all that can be read."""
        for error in self._hosts.failed.values():
            self._say(f"warning: {error}")
        plan = self.record.plan
        return [process.name for process in plan.processes if not self._is_away(process.host)]

    def read_log(self, name: str, begin: int, tail: int) -> dict[str, Any]:
        """Read what has come to the log of a process; see `zdqn.launch.cluster.rotated_log`."""
        host = next(p.host for p in self.record.plan.processes if p.name == name)
        told: dict[str, Any] = self._hosts.ask(
            host, "read_log", {"name": name, "begin": begin, "tail": tail}
        )
        return told

    def restart(self, name: str) -> str:
        """Have a process end; its agent starts it again.

        Raises:
            UsageError: when it cannot be restarted.
            PeerUnavailableError: when it does not run.
        """
        host = check_restartable(self.record.plan, name)
        if not self._signal(host, name, signal.SIGTERM):
            raise PeerUnavailableError(
                f"{name} does not run on {host}. `zdqn logs {self._directory} --role {name}` says "
                f"why it ended."
            )
        return f"{name} was told to end, and is started again"

    def _signal(self, host: str, name: str, number: int) -> bool:
        return bool(self._hosts.ask(host, "signal", {"name": name, "number": int(number)}))

    # --- more, and less -------------------------------------------------------------------------

    def add(self, text: str) -> str:
        """Start more clients on a host that runs nothing of this run yet.

        Raises:
            UsageError: when something of it runs there: its agent starts nothing new.
            ZdqnError: when they cannot be started.
        """
        addition = parse_addition(text)
        before = self.record.plan
        if addition.host in before.hosts:
            raise UsageError(
                f"--add is {text}, but the agent of {addition.host} keeps what it has, as the run "
                f"was launched with --detach. Give another host, or take this one out first: "
                f"`zdqn launch --remove {addition.host} {self._directory}`."
            )
        plan = extend_plan(before, addition)
        more = plan.processes[len(before.processes) :]
        alone = replace(plan, hosts={addition.host: plan.hosts[addition.host]})
        own = replace(self.record, plan=alone)
        with self._open_new(own) as hosts:
            placement = ClusterPlacement(plan, hosts.places, directory=self._directory)
            start_all(
                placement,
                hosts,
                more,
                endpoints=read_endpoints(self._directory),
                log_level="info",
                show=lambda _name, _line: None,
            )
            hosts.keep(plan.config.launch.max_restarts)
        self._remember(replace(self.record, plan=plan, ends=None))
        return f"added {', '.join(process.name for process in more)}"

    def _open_new(self, record: ClusterRecord) -> ClusterHosts:
        """Open a host that is new, with keys that the servers let in."""
        hosts = _hosts_of(record, self._directory, self._say, others=self._lines())
        try:
            hosts.open()
            if hosts.keys is not None:
                self._hosts.put_lists(hosts.keys.lines)
        except BaseException:
            hosts.close()
            raise
        return hosts

    def _lines(self) -> dict[str, dict[str, str]]:
        """Read which keys the hosts have made; of one that is away, which are let in."""
        if not self.record.secure:
            return {}
        plan = self.record.plan
        learner = plan.host_of("learner").name
        let_in = self._hosts.ask(learner, "let_in", {}) if self._hosts.failed else {}
        return {
            host: let_in.get(host, {}) if self._is_away(host) else self._hosts.ask(
                host, "make_keys", {"roles": sorted({p.role for p in plan.on(host)})}
            )
            for host in plan.hosts
        }  # fmt: skip

    def remove(self, host: str) -> str:
        """End what runs on a host, and let its keys in no more.

        Raises:
            UsageError: when a server runs there.
        """
        plan = self.record.plan
        less = plan.without(host)
        names = ", ".join(process.name for process in plan.on(host))
        away = self._is_away(host)
        if not away:
            self._signal(host, _AGENT, signal.SIGTERM)
        if self.record.secure:
            lines = {name: told for name, told in self._lines().items() if name != host}
            self._hosts.put_lists(lines)
        self._remember(replace(self.record, plan=less))
        said = f"removed {host}, with {names}"
        if away:
            said += "; it does not answer: what goes on there was not told to end"
        return f"{said}; its keys are let in no more" if self.record.secure else said

    def _remember(self, record: ClusterRecord) -> None:
        self.record = record
        write_record(self._directory, record)

    # --- the end --------------------------------------------------------------------------------

    def end_agents(self) -> str:
        """Have every agent end what it keeps, for a run whose servers do not answer; say so."""
        hosts = self.living()
        for host in hosts:
            self._signal(host, _AGENT, signal.SIGTERM)
        if not hosts:
            return "no server answers, and no host that does keeps anything: nothing is left to end"
        return f"the learner does not answer; asked {', '.join(hosts)} to end what they keep"

    def wait_for_the_end(self, timeout_s: float) -> bool:
        """Wait until no agent that answers keeps anything; whether that came to be."""
        pause = threading.Event()
        waited_s = 0.0
        while self.living():
            if waited_s >= timeout_s:
                return False
            pause.wait(_TICK_S)
            waited_s += _TICK_S
        return True

    def living(self) -> list[str]:
        """Name the hosts that answer, and whose agents keep something."""
        hosts = [host for host in self.record.plan.hosts if not self._is_away(host)]
        return [host for host in hosts if self._look(host)["lives"]]

    def ends(self) -> dict[str, int | None]:
        """Give how each process ended that has; see `Ends`.

        Raises:
            ZdqnError: when a host cannot be reached: what goes on there is not known.
        """
        if self._hosts.failed:
            raise _unknown(self._hosts.failed, self._directory)
        found: dict[str, int | None] = {}
        for host in self.record.plan.hosts:
            seen = self._look(host)
            if not seen["lives"]:
                found |= {process.name: None for process in self.record.plan.on(host)}
            found |= {name: int(code) for name, code in seen["ends"].items()}
        return found

    def _look(self, host: str) -> dict[str, Any]:
        planned = self.record.plan.hosts[host]
        where = {"directory": f"{planned.directory}/{self.record.run}", "host": host}
        found: dict[str, Any] = self._hosts.ask(host, "visit", where)
        return found

    def collect(self) -> None:
        """Copy the files of the run here, and write down how it ended once all of it has.

        Raises:
            ZdqnError: when the learner's host does not answer.
        """
        host = self.record.plan.host_of("learner").name
        if self._is_away(host):
            raise _unknown(self._hosts.failed, self._directory)
        is_over = not self._hosts.failed and not self.living()
        mirror_of(self._directory, self._hosts, host).copy_all()
        if is_over:
            self._remember(replace(self.record, ends=self.ends()))

    def close(self) -> None:
        """Let go of the connections; what agents keep goes on."""
        self._hosts.close()


def _hosts_of(
    record: ClusterRecord, directory: Path, say: Callable[[str], None], **more: Any
) -> ClusterHosts:
    return ClusterHosts(
        record.plan,
        run=record.run,
        directory=directory,
        use=use_for(record.plan, local=record.local),
        secure=record.secure,
        say=say,
        **more,
    )


def _unknown(away: Mapping[str, ZdqnError], directory: Path) -> ZdqnError:
    """Say of hosts that cannot be reached what that means for the end of a run."""
    error = together(away)
    return type(error)(
        f"{error} Whether something of the run goes on there is not known. `zdqn stop {directory}` "
        f"ends it, when it can be reached."
    )


def worst_code(ends: Ends) -> int:
    """Give the worst exit code of processes: 0, or the highest, that of a signal as 128 and it.

    An end that is not known counts as that of a server which did not answer.
    """
    codes = (PeerUnavailableError.exit_code if code is None else code for code in ends.values())
    return max((128 - code if code < 0 else code for code in codes), default=0)


def try_to_collect(directory: Path, say: Callable[[str], None]) -> Ends | None:
    """Copy the files of a run here that its agents keep, or kept.

    Returns:
        The `Visit.ends` of its processes; None if its hosts do not answer.
    """
    try:
        with Visit(directory, say) as visit:
            visit.collect()
            return visit.ends()
    except ZdqnError:
        return None
