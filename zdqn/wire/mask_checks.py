"""What a memory holds the masks of a block against."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from zdqn.data import EnvironmentSpec
from zdqn.errors import ProtocolError


def check_masks(masks: NDArray[np.uint8], records: NDArray[Any], spec: EnvironmentSpec) -> None:
    """Refuse masks that say nothing, or something else than the records.

    Args:
        masks: of the frames of a block, shape (F, spec.mask_bytes); see `zdqn.data.Block`.
        records: shape (T,), dtype `spec.record_dtype`, whose references and actions have been
            checked.
        spec: of the environment.

    Raises:
        ProtocolError: when there is a bit of no action; when an action was not allowed; or when
            nothing is allowed where something is expected to follow.
    """
    width = spec.mask_bytes
    spare = 8 * width - spec.num_actions
    if spare and int(np.maximum.reduce(masks[:, -1])) >> (8 - spare):
        raise ProtocolError(
            f"a block holds a mask with bits of actions beyond the {spec.num_actions} that there "
            f"are"
        )
    actions = records["action"]
    rows = records["observation"][:, -1]
    # by one number a byte, in half of the time that rows and columns take
    taken = masks.reshape(-1).take(rows * width + (actions >> 3)) >> (actions & 7) & 1
    if not taken.all():
        action = int(actions[int(taken.argmin())])
        raise ProtocolError(f"a block holds the action {action} where its mask does not allow it")
    if b"\0" not in masks.tobytes():  # then there is an action in each
        return
    goes_on = records["discount"] > 0
    if not masks[records["next_observation"][goes_on, -1]].any(axis=1).all():
        raise ProtocolError(
            "a block holds a mask that allows nothing where the discount is not 0: an episode goes "
            "on there"
        )
