"""Where a server listens, and who may come: decided, and refused, before any socket is opened."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from zdqn.config import Config
from zdqn.wire.addresses import Address, check_bind, parse_address
from zdqn.wire.keys.role_keys import RoleKeys, open_keys
from zdqn.wire.protocol import ServerRole

WITH_KEYS, THIS_MACHINE, OPEN = "keys", "this machine", "open"
"""Who may come, as a status says it."""


@dataclass(frozen=True)
class ServerPlace:
    """Where a server listens.

    Attributes:
        address: to bind.
        keys: of the server; None lets anybody in.
        security: who may come: `WITH_KEYS`, `THIS_MACHINE` or `OPEN`.
    """

    address: Address
    keys: RoleKeys | None
    security: str


def choose_place(
    role: ServerRole,
    config: Config,
    *,
    bind: str | None,
    insecure: bool,
    keys: str | Path | None,
) -> ServerPlace:
    """Choose where a server listens, and warn if strangers may come.

    Args:
        role: of the server.
        config: of the run.
        bind: address instead of that of the configuration.
        insecure: the user insists on an address that others can reach.
        keys: folder of keys instead of ``security.keys``.

    Raises:
        ConfigError: for an address that cannot be used, or that others can reach without keys.
        NotAllowedError: when a key is missing, or others can read it.
    """
    parameter = f"{role}.bind" if bind is None else "--bind"
    configured = config.memory.bind if role == "memory" else config.learner.bind
    address = parse_address(configured if bind is None else bind, parameter=parameter, bind=True)
    own = open_keys(config.security.keys if keys is None else keys, role)
    check_bind(address, parameter=parameter, insecure=insecure, has_keys=own is not None)
    security = WITH_KEYS if own is not None else THIS_MACHINE if address.is_loopback else OPEN
    if security == OPEN:
        logging.getLogger(f"zdqn.{role}").warning(
            "--insecure: whoever reaches %s can read, insert, and stop this run, and nothing is "
            "encrypted. `zdqn keys init` makes keys",
            address,
        )
    return ServerPlace(address, own, security)
