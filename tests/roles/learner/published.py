"""Weights as if they had been published."""

from zdqn.roles.learner.publications import Published
from zdqn.wire import codec, payloads
from zdqn.wire.model_messages import Weights


def published(version, **arrays):
    """Encode arrays as a learner does, under a packed version."""
    header = Weights(
        run_id="r",
        weight_version=version,
        environment_steps=0,
        updates=0,
        stopping=False,
        tensors=payloads.describe_tensors(arrays),
    )
    return Published(version, codec.encode(header, tuple(arrays.values())))
