"""What weights must be before they are taken over; for tensors and arrays alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zdqn.errors import MismatchError


def check_schema(what: str, expected: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Require the same names, dtypes and shapes, and show every difference.

    Args:
        what: the subject of the message, such as ``weights``.
        expected: tensors or arrays by name.
        found: the same.

    Raises:
        MismatchError: if anything differs.
    """
    ours = {name: describe(tensor) for name, tensor in expected.items()}
    theirs = {name: describe(tensor) for name, tensor in found.items()}
    differences = [
        *(f"{name} is missing ({ours[name]})" for name in ours if name not in theirs),
        *(f"{name} is unknown ({theirs[name]})" for name in theirs if name not in ours),
        *(
            f"{name} is {theirs[name]} and should be {ours[name]}"
            for name in ours
            if name in theirs and ours[name] != theirs[name]
        ),
    ]
    if differences:
        raise MismatchError(
            f"{what} do not fit this network: {'; '.join(differences)}. Both sides need the same "
            "environment and network settings."
        )


def check_finite(arrays: Mapping[str, NDArray[Any]]) -> None:
    """Require numbers that can be computed with.

    Args:
        arrays: weights by name.

    Raises:
        MismatchError: if a value is infinite or NaN.
    """
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            count = int(np.count_nonzero(~np.isfinite(array)))
            raise MismatchError(
                f"weights refused: {count} of {array.size} values of {name} are not finite. "
                "The training that made them has diverged; lower its learning rate, or clip its "
                "gradients."
            )


def describe(tensor: Any) -> str:
    """Give dtype and shape, alike for tensors and arrays."""
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
