"""Which zdqn a peer is of: told among its capabilities, for logs and status and nothing else.

A field of the hello would be refused by servers that do not know it; a capability that a side does
not know means nothing to it, so that every peer of the protocol can be told.
"""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterable
from functools import cache

_CAPABILITY = re.compile(r"zdqn/([\w.+!-]{1,64})", re.ASCII)


@cache
def own_release() -> str:
    """Give the version of this zdqn; "" where it is not installed, but a folder on the path."""
    try:
        return importlib.metadata.version("zdqn")
    except importlib.metadata.PackageNotFoundError:
        return ""


def tell_release() -> tuple[str, ...]:
    """Give the capability that says it; none where it is not known."""
    return (f"zdqn/{own_release()}",) if own_release() else ()


def release_of(capabilities: Iterable[str]) -> str:
    """Give the version of the zdqn that a peer says it is of; "" if it does not.

    Args:
        capabilities: of the peer.
    """
    found = map(_CAPABILITY.fullmatch, capabilities)
    return next((match[1] for match in found if match), "")


def describe_difference(peer: str, release: str, us: str) -> str:
    """Say that a peer is of another zdqn; "" if it is not, or one of both does not say.

    Args:
        peer: what it is called.
        release: of the peer.
        us: what this side is.
    """
    ours = own_release()
    if "" in (release, ours) or release == ours:
        return ""
    return (
        f"{peer} is of zdqn {release}, and this {us} of {ours}. They speak the same protocol and "
        f"go on; install one version on both if what only one of them knows is missed."
    )
