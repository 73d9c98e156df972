"""Where each role of a run is: pure functions of what was seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from zdqn.experiments.dashboard.seen import Seen
from zdqn.launch.lines import printable
from zdqn.launch.run_view import Member

_HERE = "this machine"
_MOST_NAMED = 2


@dataclass(frozen=True)
class Places:
    """Which host everybody is on, by one name for each host as far as that can be told.

    Attributes:
        servers: role of a server to its host.
        members: role and name of a member to its host; who does not tell is missing.
    """

    servers: Mapping[str, str]
    members: Mapping[tuple[str, str], str]

    @property
    def is_one(self) -> bool:
        """Whether no two roles are known to be on different hosts."""
        return len({*self.servers.values(), *self.members.values()}) <= 1

    def of(self, member: Member) -> str:
        """Give a member's host; "" if it is not known."""
        return self.members.get((member.role, member.name), "")


def find_places(seen: Seen) -> Places:
    """Find out where everybody is.

    Servers are where they were asked; a member is where its name says (``collector-0@gamma``), or
    at the address that it came from. Who came from a loopback address is on the host of the server
    that tells of it.
    """
    servers = {role: _host_in(address) for role, address in seen.endpoints.items()}
    learner, view = seen.view.learner, seen.view
    teller = servers.get("learner") or servers.get("memory") or ""
    if learner is not None and "memory" not in servers and "://" in learner.memory.address:
        dialled = _host_in(learner.memory.address)
        servers["memory"] = teller if _is_loopback(dialled) and teller else dialled
    came_from = {
        (member.role, member.name): teller if _is_loopback(member.host) else member.host
        for member in view.members
    }
    names: dict[str, set[str]] = {}
    for member in view.members:
        named = _host_in_name(member.name)
        if named:
            names.setdefault(came_from[member.role, member.name], set()).add(named)
    known = {host: min(all_of) for host, all_of in names.items() if len(all_of) == 1 and host}
    members = {}
    for key, host in came_from.items():
        place = _host_in_name(key[1]) or known.get(host, host)
        if place:
            members[key] = place
    return Places({role: known.get(host, host) for role, host in servers.items()}, members)


def _host_in(address: str) -> str:
    """Give the host of a server's address."""
    host = address.partition("://")[2].rpartition(":")[0]
    return host.removeprefix("[").removesuffix("]") or _HERE


def _host_in_name(name: str) -> str:
    """Give the host that a name such as ``collector-0@gamma`` or ``collector@gamma:917`` has."""
    return name.rpartition("@")[2].partition(":")[0] if "@" in name else ""


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host in ("localhost", _HERE)


def describe_places(places: Places, seen: Seen) -> dict[str, str]:
    """Say of each role where it is, such as ``on beta``; of none if all are on one host."""
    if places.is_one:
        return {}
    of_role = {role: [host] for role, host in places.servers.items()}
    for member in seen.view.members:
        host = places.of(member)
        if host and member.is_living and host not in of_role.setdefault(member.role, []):
            of_role[member.role].append(host)
    return {role: _on(hosts) for role, hosts in of_role.items() if hosts}


def _on(hosts: list[str]) -> str:
    named = [printable(host) for host in hosts[:_MOST_NAMED]]
    more = len(hosts) - len(named)
    if more:
        return f"on {', '.join(named)} and {more:,} more"
    return f"on {' and '.join(named)}"
