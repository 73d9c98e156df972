"""What servers answer to a collector of the corridor, and its configuration."""

import msgspec
import numpy as np

from tests.roles.conftest import quick_config
from tests.wire.fake_server import PONG
from zdqn.data import EnvironmentSpec
from zdqn.wire import codec, payloads
from zdqn.wire.model_messages import Weights
from zdqn.wire.protocol import Delivery

SPEC = EnvironmentSpec((5,), "float32", 2)


def configured(*overrides):
    return quick_config(
        "network.hidden=[]", "algorithm.n_step=1", "links.ping_period_s=0.01",
        "collector.block_transitions=4", "collector.block_age_s=1000", *overrides,
    )  # fmt: skip


def weights(*, steps=0, stopping=False, version=7, network=None):
    """A message with a network; without one, with one that always goes right."""
    arrays = network or {
        "head.weight": np.zeros((2, 5), np.float32),
        "head.bias": np.array([0, 1], np.float32),
    }
    header = Weights(
        run_id="r", weight_version=version, environment_steps=steps, updates=0, stopping=stopping,
        tensors=payloads.describe_tensors(arrays),
    )  # fmt: skip
    return bytes(codec.encode(header, tuple(arrays.values())))


def refusing(count, why):
    """Give a pong of a memory that has refused blocks."""
    return msgspec.structs.replace(PONG, delivery=Delivery(stored=-1, refused=count, reason=why))
