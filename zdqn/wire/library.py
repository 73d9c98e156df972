"""The ZeroMQ library beneath pyzmq: which one it is, and what it can do."""

from __future__ import annotations

import zmq

LIBZMQ: tuple[int, int, int] = zmq.zmq_version_info()
"""Its version."""
OLDEST_SAFE = (4, 3, 3)
"""Before, whoever could connect could overflow a stack (CVE-2019-13132, until 4.3.2), or starve a
server of its encrypted clients (CVE-2020-15166)."""


def has_curve() -> bool:
    """Whether links can be encrypted."""
    return bool(zmq.has("curve"))
