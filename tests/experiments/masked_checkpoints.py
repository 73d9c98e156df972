"""Stored networks of the masked corridor, of any action values."""

import numpy as np
import torch

from tests.roles.conftest import quick_config
from tests.roles.masked_corridor import MASKS, true_values
from zdqn.core.agenda import Counters
from zdqn.data import EnvironmentSpec
from zdqn.records.checkpoints import Checkpoint, save_checkpoint

FORBIDDEN_FIRST = np.where(MASKS, np.nan_to_num(true_values()), 10.0)
"""Values of each place and action: highest where it is not allowed, else what it is worth."""
BEST = [0, 0, 2, 0]
"""What is best of what is allowed, at each place but the end."""


def save_values(path, *overrides, values=FORBIDDEN_FIRST):
    """Write a checkpoint of a linear network that has these values, shape (5, 3)."""
    config = quick_config(
        "environment.id=tests.roles.masked_corridor:MaskedCorridor",
        "environment.action_masks=true", "network.hidden=[]", *overrides,
    )  # fmt: skip
    weights = {
        "head.weight": torch.from_numpy(values.T.copy()).float(),
        "head.bias": torch.zeros(3),
    }
    spec = EnvironmentSpec((5,), "float32", 3, action_masks=True)
    save_checkpoint(path, Checkpoint(config, spec, weights, Counters()))
    return path
