"""The ZeroMQ library beneath pyzmq: which one it is, and what it can do."""

from __future__ import annotations

import zmq

from zdqn.errors import ConfigError

LIBZMQ: tuple[int, int, int] = zmq.zmq_version_info()
"""Its version."""
OLDEST_SAFE = (4, 3, 3)
"""Before, whoever could connect could overflow a stack (CVE-2019-13132, until 4.3.2), or starve a
server of its encrypted clients (CVE-2020-15166)."""


def has_curve() -> bool:
    """Whether links can be encrypted."""
    return bool(zmq.has("curve"))


GET_CURVE = "Install pyzmq from a wheel: pip install --force-reinstall --only-binary pyzmq pyzmq"


def check_curve() -> None:
    """Refuse keys where they cannot be used.

    Raises:
        ConfigError: when this libzmq cannot encrypt.
    """
    if not has_curve():
        version = ".".join(map(str, LIBZMQ))
        raise ConfigError(
            f"Keys (--keys, security.keys) need a ZeroMQ that can encrypt, and libzmq {version}, "
            f"which this Python has, was built without CURVE. {GET_CURVE}"
        )
