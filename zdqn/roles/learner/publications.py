"""Weights as a learner publishes them: numbered, encoded once, broadcast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from numpy.typing import NDArray

from zdqn.core.agenda import Counters
from zdqn.core.publication_pace import PublicationPace
from zdqn.data import WeightVersion
from zdqn.rl.layer_descriptions import LayerDescription
from zdqn.wire import codec, payloads
from zdqn.wire.addresses import parse_address
from zdqn.wire.model_messages import NetworkLayer, TensorInfo, Weights

_BYTES_PER_S_HERE = 100e6
_BYTES_PER_S_TO_OTHERS = 20e6
"""A sixth of what a network of 1 Gbit/s carries."""


@dataclass(frozen=True)
class Published:
    """Weights as they were last published.

    Attributes:
        weight_version: packed version.
        message: the encoded `Weights`, sent to whoever asks.
        network: how action values follow from them.
    """

    weight_version: int
    message: bytes
    network: tuple[NetworkLayer, ...] = ()

    @cached_property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """Views of the weights in the message, by name; read-only."""
        message = codec.decode(self.message)
        return payloads.read_weights(message, codec.expect(message, Weights))


class Publisher(Protocol):
    """Sends a message to every subscriber."""

    def publish(self, message: bytes) -> None:
        """Send; never blocks."""


def make_pace(least_s: float, endpoint: str) -> PublicationPace:
    """Say how often weights can be published.

    Args:
        least_s: seconds between two, as configured.
        endpoint: where they are published.
    """
    here = parse_address(endpoint, parameter="the address of the weights").is_loopback
    return PublicationPace(least_s, _BYTES_PER_S_HERE if here else _BYTES_PER_S_TO_OTHERS)


class Publications:
    """Numbers what is published.

    Args:
        publisher: where it goes.
        run_id: of the run.
        learner_epoch: count of this run's starts of a learner.

    Attributes:
        version: of the weights that were published last; -1 before the first.
    """

    def __init__(self, publisher: Publisher, *, run_id: str, learner_epoch: int) -> None:
        self._publisher = publisher
        self._run_id = run_id
        self._learner_epoch = learner_epoch
        self._message: bytes | None = None
        self._network: tuple[NetworkLayer, ...] = ()
        self._tensors: tuple[TensorInfo, ...] = ()  # of one network: described once
        self.version = -1

    @property
    def weight_version(self) -> WeightVersion:
        """Of the weights that were published last."""
        return WeightVersion(self._learner_epoch, self.version)

    def count_on(self, version: int) -> None:
        """Go on after the versions of an earlier start."""
        self.version = version

    def describe(self, layers: Sequence[LayerDescription]) -> None:
        """Tell readers how action values follow from what is published."""
        self._network = tuple(NetworkLayer(**layer._asdict()) for layer in layers)

    def publish(
        self, arrays: dict[str, NDArray[Any]], counters: Counters, *, stopping: bool = False
    ) -> Published:
        """Broadcast weights as a new version.

        Args:
            arrays: of the run's network, by name; copied into the message, and not read later.
            counters: how far training is.
            stopping: whether training is over.

        Returns:
            What was sent.
        """
        self.version += 1
        self._tensors = self._tensors or payloads.describe_tensors(arrays)
        header = Weights(
            run_id=self._run_id,
            weight_version=self.weight_version.pack(),
            environment_steps=counters.environment_steps,
            updates=counters.updates,
            stopping=stopping,
            tensors=self._tensors,
            network=self._network,
        )
        message = self._message = codec.encode(header, tuple(arrays.values()))
        self._publisher.publish(message)
        return Published(header.weight_version, message, self._network)

    def republish(self) -> None:
        """Broadcast the last version again, for those who missed it."""
        if self._message is not None:
            self._publisher.publish(self._message)
