"""Addresses as a user types them: checked here, because ZeroMQ barely does.

libzmq truncates a port of 99999, and connects to a host that does not exist without a word.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
from dataclasses import dataclass
from pathlib import Path

from zdqn.errors import AddressInUseError, ConfigError

MAX_IPC_PATH_BYTES = 107
_HOST = re.compile(r"[\w.-]+|[0-9a-fA-F.:]+(%\w+)?")
_WILDCARDS = ("0.0.0.0", "::")  # noqa: S104 - recognized here, not bound


@dataclass(frozen=True)
class Address:
    """A parsed ZeroMQ address.

    Attributes:
        transport: "tcp" or "ipc".
        host: name or address of a tcp host, without brackets; "" for ipc.
        port: 0 to 65535; 0 for ipc.
        path: of an ipc socket; "" for tcp.
    """

    transport: str
    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        if self.transport == "ipc":
            return f"ipc://{self.path}"
        host = f"[{self.host}]" if self.is_ipv6 else self.host
        return f"tcp://{host}:{self.port}"

    @property
    def is_ipv6(self) -> bool:
        """Whether it is a numeric IPv6 address; a name is looked up as IPv4.

        libzmq tries only the first answer to a look-up: where ``localhost`` is ``::1`` first, it
        would never reach a server on 127.0.0.1.
        """
        return ":" in self.host

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.transport == "ipc" or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def companion(self) -> Address:
        """Give the address of the one-way socket that goes with a REQ/REP one: a port below."""
        if self.transport == "ipc":
            return Address("ipc", path=f"{self.path}.data")
        return Address("tcp", self.host, self.port - 1)

    def advertised(self) -> Address:
        """Give this bound address as others can use it: no wildcard, but this machine's name."""
        if self.transport == "tcp" and self.host in _WILDCARDS:
            return Address("tcp", socket.gethostname(), self.port)
        return self

    def reached_through(self, dialled: Address) -> Address:
        """Give this address as a client that dialled `dialled` on the same server can reach it."""
        if self.transport == "ipc" or dialled.transport == "ipc":
            return self
        return Address("tcp", dialled.host, self.port)


def parse_address(text: str, *, parameter: str, bind: bool = False) -> Address:
    """Check an address.

    Args:
        text: such as ``tcp://127.0.0.1:5556``, ``tcp://[::1]:5556`` or ``ipc:///tmp/zdqn/memory``.
        parameter: what to call it in messages, such as ``--memory``.
        bind: whether it is to be bound; then port 0 is allowed, and ``*`` as a host.

    Raises:
        ConfigError: naming the parameter, its value and the rule.
    """
    transport, separator, rest = text.partition("://")
    if not separator or transport not in ("tcp", "ipc"):
        raise ConfigError(
            f'{parameter} is "{text}"; it must begin with tcp:// or ipc://, such as '
            f"tcp://127.0.0.1:5556."
        )
    if transport == "ipc":
        if not rest or "\0" in rest or len(rest.encode()) > MAX_IPC_PATH_BYTES - len(".data"):
            raise ConfigError(
                f'{parameter} is "{text}"; the path of an ipc:// address must have 1 to '
                f"{MAX_IPC_PATH_BYTES - len('.data')} bytes, a limit of the operating system."
            )
        return Address("ipc", path=rest)
    host, separator, port_text = rest.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not separator or not (_HOST.fullmatch(host) or (host == "*" and bind)):
        raise ConfigError(
            f'{parameter} is "{text}"; it must name a host and a port, such as '
            f"tcp://127.0.0.1:5556."
        )
    # a server takes the port below as well, so that 1 would leave none
    rule = "2 to 65535, or 0 for a free one" if bind else "1 to 65535"
    allowed = range(2 if bind else 1, 65536)
    is_number = re.fullmatch("[0-9]{1,5}", port_text) is not None
    if not is_number or (int(port_text) not in allowed and not (bind and int(port_text) == 0)):
        raise ConfigError(f'{parameter} is "{text}"; the port must be a number from {rule}.')
    return Address("tcp", "0.0.0.0" if host == "*" else host, int(port_text))  # noqa: S104


def check_bind(address: Address, *, parameter: str, insecure: bool, has_keys: bool = False) -> None:
    """Refuse to listen where strangers could connect, unless they would need a key.

    Args:
        address: to bind.
        parameter: what to call it in messages.
        insecure: the user insists.
        has_keys: whether only those with an allowed key are let in.

    Raises:
        ConfigError: when others could connect, without keys, and `insecure` is False.
    """
    if has_keys or insecure:
        return
    if not address.is_loopback:
        raise ConfigError(
            f"{parameter} is {address}, which other machines can reach, and this link has neither "
            f"encryption nor authentication. Make keys (`zdqn keys init`) and give them with "
            f"--keys; or bind to 127.0.0.1 and tunnel through ssh (ssh -L); or add --insecure if "
            f"you trust everybody on that network."
        )
    if address.transport == "ipc":
        _check_ipc_folder(address, parameter)


def _check_ipc_folder(address: Address, parameter: str) -> None:
    """Refuse a socket where other users could connect to it, or put theirs in its place."""
    folder = Path(address.path).absolute().parent
    try:
        status = folder.stat()
    except OSError:
        return  # binding says so
    if status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise ConfigError(
            f"{parameter} is {address}, but other users of this machine can enter {folder}. Give "
            f"a path in a folder of yours alone (`mkdir -m 700 FOLDER`); or give keys with --keys; "
            f"or add --insecure if you trust everybody on this machine."
        )


def check_resolves(address: Address, *, parameter: str) -> None:
    """Refuse a host name that cannot be looked up, which ZeroMQ would retry in silence for ever.

    Raises:
        ConfigError: naming the host.
    """
    if address.transport != "tcp":
        return
    family = socket.AF_INET6 if address.is_ipv6 else socket.AF_INET
    try:
        socket.getaddrinfo(address.host, address.port, family, socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # a label that is too long is a UnicodeError
        raise ConfigError(
            f"{parameter} is {address}, but the host name {address.host!r} cannot be looked up "
            f"({error}). Check its spelling, or give its IP address."
        ) from error


def taken(address: Address) -> AddressInUseError:
    """Say that another process listens at an address, and what to do."""
    return AddressInUseError(
        f"Another process already listens on {address}. Stop it (`zdqn status` and `zdqn stop` "
        f"show and end a run), or give another port with --bind, or memory.bind or learner.bind "
        f"of the configuration; port 0 takes a free one."
    )
