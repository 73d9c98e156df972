"""Where servers are to listen, and those that are up."""

from __future__ import annotations

import errno
import socket
import statistics
from collections.abc import Iterator
from contextlib import suppress

from zdqn.config import Config
from zdqn.doctor.findings import Finding, bad, good, odd
from zdqn.errors import (
    AddressInUseError,
    ConfigError,
    MismatchError,
    PeerUnavailableError,
    ZdqnError,
)
from zdqn.wire.addresses import Address, parse_address
from zdqn.wire.held_port import HeldPort
from zdqn.wire.keys.role_keys import RoleKeys
from zdqn.wire.protocol import ServerRole
from zdqn.wire.releases import describe_difference
from zdqn.wire.remote_control import LinkSpeed, fetch_status, measure_link

_TIMEOUT_S = 3.0
_SLOW_ROUND_TRIP_S = 0.02
_SLOW_BYTES_PER_S = 10e6
_ONE_WAY = {"memory": "transitions", "learner": "weights"}
"""Server to its one-way link, a port below."""


def examine_ports(config: Config) -> Iterator[Finding]:
    """Look at whether the servers could listen where the configuration has them listen."""
    for role, bind in (("memory", config.memory.bind), ("learner", config.learner.bind)):
        subject = f"{role}'s port"
        try:
            address = parse_address(bind, parameter=f"{role}.bind", bind=True)
            yield good(subject, _try_ports(address))
        except AddressInUseError as error:
            yield _taken(subject, role, bind, error)
        except ConfigError as error:
            yield bad(subject, error)
        except OSError as error:
            text = f"{role}.bind is {bind}, where nothing can listen: {error.strerror}."
            yield bad(subject, ConfigError(text), "Give an address of this machine.")


def _try_ports(address: Address) -> str:
    """Listen for a moment at an address and its companion, and say that it went well."""
    if address.transport == "ipc":
        return f"{address} is a file"
    if not address.port:
        return f"{address}: a free one is taken at the start"
    for each in (address, address.companion()):
        HeldPort(each).close()
    return f"{address} and the port below it are free"


def _taken(subject: str, role: str, bind: str, error: AddressInUseError) -> Finding:
    """Say who is there, if it is a zdqn."""
    with suppress(ZdqnError):
        status = fetch_status(bind, _TIMEOUT_S)
        return odd(
            subject,
            f"a {status['role']} of zdqn is up there already{_of_run(status)}",
            f"Good if it is the one that you mean (zdqn doctor --{role} {bind} looks at it); else "
            f"end it with zdqn stop {bind}, or choose another port.",
        )
    return bad(subject, error)


def examine_server(role: ServerRole, given: str, keys: RoleKeys | None = None) -> Iterator[Finding]:
    """Look at a server that should be up, the way to it, and the port of its one-way link.

    Args:
        role: "memory" or "learner".
        given: its address.
        keys: an operator's, where servers have keys.
    """
    address = None
    try:
        address = parse_address(given, parameter=f"--{role}")
        status = fetch_status(given, _TIMEOUT_S, keys)
    except ZdqnError as error:
        absent = address if isinstance(error, PeerUnavailableError) else None
        yield bad(role, error, _why_not(absent) if absent is not None else "")
        return
    if status["role"] != role:
        other = status["role"]
        wrong = MismatchError(f"What answers at {given} is a {other}, not a {role}.")
        yield bad(role, wrong, f"Give it as --{other}, and --{role} the address that it printed.")
        return
    yield good(role, f"{given} is up{_of_run(status)}")
    release = str(status.get("zdqn", ""))
    if difference := describe_difference(f"the {role} at {given}", release, "machine"):
        yield odd(f"{role}'s zdqn", difference, f"Install zdqn {release} here, or this one there.")
    try:
        yield _describe_speed(role, measure_link(given, _TIMEOUT_S, keys, role))
    except ZdqnError as error:
        yield odd(f"way to the {role}", str(error), "Look again when it is less busy.")
    if address.transport == "tcp":
        yield _one_way(role, address.companion())


def _of_run(status: dict[str, object]) -> str:
    run = status.get("run")
    run_id = run.get("run_id") if isinstance(run, dict) else status.get("run_id")
    return f", of run {run_id}" if run_id else ", of no run so far"


def _describe_speed(role: str, speed: LinkSpeed) -> Finding:
    trips_s = speed.round_trips_s
    median_s = statistics.median(trips_s)
    text = (
        f"there and back in {1e3 * median_s:.2f} ms, at most {1e3 * trips_s[-1]:.2f} ms; "
        f"{speed.bytes_per_s / 1e6:,.0f} MB/s"
    )
    subject = f"way to the {role}"
    if median_s > _SLOW_ROUND_TRIP_S or speed.bytes_per_s < _SLOW_BYTES_PER_S:
        remedy = "Put learner and memory on one machine, or near each other; collectors may be far."
        return odd(subject, text, remedy)
    return good(subject, text)


def _one_way(role: str, address: Address) -> Finding:
    subject = f"{role}'s {_ONE_WAY[role]}"
    reason = _connect(address)
    if reason:
        error = PeerUnavailableError(f"{address} cannot be reached: {reason}.")
        return bad(subject, error, "Open this port in the firewall too: a server has two.")
    return good(subject, f"{address} can be reached")


def _why_not(address: Address) -> str:
    """Say what is there instead of an answer."""
    if address.transport == "ipc":
        return "A file at that path is no sign that a server is up. Start it, or mend the path."
    reason = _connect(address)
    if reason == "":
        return (
            "Something listens there, but does not answer as a zdqn does. Is it the port of its "
            "one-way link (one below), a zdqn with keys, or another program?"
        )
    return f"{reason[0].upper()}{reason[1:]}. Start the server, or mend the address."


def _connect(address: Address) -> str:
    """Connect as plain TCP does; give why it did not work, or ""."""
    try:
        socket.create_connection((address.host, address.port), _TIMEOUT_S).close()
    except TimeoutError:
        return "no answer from that machine at all: it is down, or a firewall drops what is sent"
    except OSError as error:
        if error.errno == errno.ECONNREFUSED:
            return "the machine is up, and nothing listens at that port"
        return f"the system says: {error.strerror or error}"
    return ""
