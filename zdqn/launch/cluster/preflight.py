"""What would keep a run on several hosts from working, found before anything starts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from zdqn.errors import (
    AddressInUseError,
    ConfigError,
    FileError,
    MismatchError,
    NotAllowedError,
    PeerUnavailableError,
    RoleFailedError,
    ZdqnError,
)
from zdqn.launch.cluster.cluster_hosts import ClusterHosts, for_each
from zdqn.launch.cluster.cluster_plan import ClusterPlan
from zdqn.launch.cluster.replay_need import ReplayNeed

_KINDS: Mapping[str, type[ZdqnError]] = {
    "ports": AddressInUseError,
    "reach": PeerUnavailableError,
    "memory": ConfigError,  # as the memory itself refuses a replay without room
}
_BY_CODE: Mapping[int, type[ZdqnError]] = {
    kind.exit_code: kind
    for kind in (
        AddressInUseError, ConfigError, FileError, MismatchError, NotAllowedError,
        PeerUnavailableError, RoleFailedError,
    )
}  # fmt: skip


class HostFinding(NamedTuple):
    """What was found of a host.

    Attributes:
        host: what it is called.
        verdict: "good", "odd" (a run works, and may fail later) or "bad".
        text: what was found.
        remedy: what to do about it; "" where `text` says it, or there is nothing to do.
        exit_code: of the error that a run would end with; 0 unless it is bad.
    """

    host: str
    verdict: str
    text: str
    remedy: str = ""
    exit_code: int = 0


def look_at_cluster(
    plan: ClusterPlan, hosts: ClusterHosts, replay: ReplayNeed | None = None
) -> list[HostFinding]:
    """Look at every host at the same time, and at who reaches whom.

    Args:
        plan: of the run.
        hosts: that have been opened, as far as they could be.
        replay: what the memory will take for its replay; None where that is not looked at.
    """
    failed = dict(hosts.failed)
    answers: dict[str, dict[str, Any]] = {}
    memory = plan.host_of("memory").name

    def look(host: str) -> None:
        answers[host] = hosts.ask(
            host,
            "look",
            {
                "directory": plan.hosts[host].directory,
                "ports": ports_on(plan, host),
                "roles": [process.role for process in plan.on(host)],
                "replay": replay.to_dict() if replay is not None and host == memory else None,
            },
        )

    living = [host for host in plan.hosts if host not in failed]
    failed |= for_each(living, look)
    unreachable = _who_reaches_whom(plan, hosts, [host for host in living if host in answers])
    return [
        finding
        for host in plan.hosts
        for finding in _findings(host, failed.get(host), answers.get(host), unreachable.get(host))
    ]


def ports_on(plan: ClusterPlan, host: str) -> list[int]:
    """Give the ports that servers take on a host, those that are not any free ones."""
    ports = [plan.port_of(p.role) for p in plan.on(host) if p.role in ("memory", "learner")]
    return [port for named in ports if named for port in (named - 1, named)]


def _who_reaches_whom(
    plan: ClusterPlan, hosts: ClusterHosts, living: Iterable[str]
) -> dict[str, list[str]]:
    """Have every host try to reach every server; gives what each cannot, in sentences."""
    doors: dict[str, tuple[str, str, int]] = {}
    living = list(living)
    for role in ("memory", "learner"):
        host = plan.host_of(role).name
        if host in living:
            port = plan.port_of(role)
            opened = hosts.ask(host, "listen", {"ports": [port]})
            address = hosts.places[host].address
            doors[f"{address}:{opened[str(port)]}"] = (role, address, opened[str(port)])
    found: dict[str, list[str]] = {}

    def reach(host: str) -> None:
        asked = [[address, port] for _, address, port in doors.values()]
        told = hosts.ask(host, "reach", {"addresses": asked})
        found[host] = [
            f"it cannot reach the {doors[door][0]} at {door}: {why}"
            for door, why in told.items()
            if why
        ]

    for_each(living, reach)
    for_each(living, lambda host: hosts.ask(host, "leave", {}))
    return found


def _findings(
    host: str,
    error: ZdqnError | None,
    answer: Mapping[str, Any] | None,
    unreachable: Iterable[str] | None,
) -> Iterator[HostFinding]:
    if error is not None or answer is None:
        text = str(error).removeprefix(f"{host}: ")
        yield HostFinding(host, "bad", text, exit_code=error.exit_code if error else 70)
        return
    problems = [(subject, bad, text, way) for subject, bad, text, way in answer["problems"]]
    problems += [("reach", True, text, _OPEN_THE_WAY) for text in unreachable or ()]
    for subject, is_bad, text, remedy in problems:
        code = _KINDS.get(subject, FileError).exit_code if is_bad else 0
        yield HostFinding(host, "bad" if is_bad else "odd", text, remedy, code)
    if not problems:
        facts = ", ".join(
            [f"zdqn {answer['zdqn']}", f"Python {answer['python']}", *answer["facts"]]
        )
        yield HostFinding(host, "good", facts)


_OPEN_THE_WAY = (
    "Let its firewall pass that port and the one below it, or give the host of the server an "
    "address in [[hosts]] that others can reach."
)


def refuse_what_is_bad(findings: Iterable[HostFinding]) -> None:
    """Keep a run from starting that would fail.

    Raises:
        ZdqnError: naming all that is bad, with the exit code of the first, as ``--check`` has it.
    """
    found = [finding for finding in findings if finding.verdict == "bad"]
    if found:
        text = "".join(f"\n  {one.host}: {one.text}. {one.remedy}" for one in found)
        raise _BY_CODE.get(found[0].exit_code, RoleFailedError)(f"The run would not work:{text}")
