"""What the replay of a run will take on the memory's host, found where the run is launched."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from typing import Any, NamedTuple

from zdqn.config import Config
from zdqn.data import EnvironmentSpec
from zdqn.errors import EnvironmentFailedError, ZdqnError

PATIENCE_S = 20.0
"""How long an environment may take to be made."""


class ReplayNeed(NamedTuple):
    """What a memory will take for its replay, besides what its process takes.

    Attributes:
        nbytes: of RAM or disk; 0 where it is not known.
        on_disk: whether it is of a disk.
        text: what it is, in a few words; or why it is not known.
    """

    nbytes: int
    on_disk: bool
    text: str

    def to_dict(self) -> Mapping[str, Any]:
        """Give it as plain values."""
        return self._asdict()


def find_replay_need(config: Config, *, patience_s: float = PATIENCE_S) -> ReplayNeed:
    """Compute what a memory will, from what an environment of this machine looks like.

    Args:
        config: of the run.
        patience_s: after so long an environment is not waited for any more.
    """
    from zdqn.roles.building_replay import build_store  # an agent needs none of it

    on_disk = config.replay.storage == "disk"
    try:
        room = build_store(config).find_room(_describe_environment(config, patience_s))
    except ZdqnError as error:
        return ReplayNeed(0, on_disk, f"how large its replay gets is not known here: {error}")
    return ReplayNeed(room.usual_bytes, on_disk, room.describe())


def _describe_environment(config: Config, patience_s: float) -> EnvironmentSpec:
    """Make an environment, in a thread that is left behind if that hangs."""
    from zdqn.roles.building import build_environments

    made: list[EnvironmentSpec | ZdqnError] = []

    def make() -> None:
        try:
            environments, spec = build_environments(config, None, count=1, vectorization="sync")
        except ZdqnError as error:
            made.append(error)
        else:
            with contextlib.closing(environments):
                made.append(spec)

    thread = threading.Thread(target=make, name="environment", daemon=True)
    thread.start()
    thread.join(patience_s)
    if not made:
        raise EnvironmentFailedError(
            f"{config.environment.id} has not been made within {patience_s:g} s."
        )
    (result,) = made
    if isinstance(result, ZdqnError):
        raise result
    return result
