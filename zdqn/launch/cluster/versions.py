"""Which zdqn this is: both ends of a launch must be the same."""

from __future__ import annotations

from zdqn.errors import MismatchError
from zdqn.wire.protocol import PROTOCOL_VERSION
from zdqn.wire.releases import own_release


def zdqn_version() -> str:
    """Give the version of this zdqn, and of the protocol that it speaks."""
    return f"{own_release() or 'unknown'} (protocol {PROTOCOL_VERSION})"


def check_version(host: str, theirs: str, *, python: str) -> None:
    """Refuse a host with another zdqn.

    Args:
        host: what it is called.
        theirs: what `zdqn_version` gives there.
        python: that was started there, for the way out.

    Raises:
        MismatchError: naming both.
    """
    ours = zdqn_version()
    if theirs != ours:
        raise MismatchError(
            f"{host} has zdqn {theirs}, and this machine {ours}. Install the same on both "
            f"({python} there), or give another python for it."
        )
