"""What a memory says of a collector's blocks: passed on aloud, and the end where it takes none."""

from __future__ import annotations

import logging

from zdqn.errors import MismatchError
from zdqn.wire.protocol import Delivery

logger = logging.getLogger("zdqn.collector")

PINGS_IN_VAIN = 5


class RefusalWatch:
    """Looks at each answer to a ping.

    Attributes:
        refused: blocks of this collector that the memory has refused.
    """

    def __init__(self) -> None:
        self._stored = -1
        self._in_vain = 0
        self.refused = 0

    def look(self, delivery: Delivery | None) -> None:
        """Take note of what the memory says.

        Args:
            delivery: what it said; None if it knows of no blocks of this collector.

        Raises:
            MismatchError: when `PINGS_IN_VAIN` answers told of refused blocks, and none of a stored
                one: it would go on for ever.
        """
        if delivery is None:
            self._stored, self._in_vain, self.refused = -1, 0, 0
            return
        more = delivery.refused > self.refused
        if more:
            logger.warning(
                "the memory has refused %d blocks of this collector so far: %s",
                delivery.refused,
                delivery.reason,
            )
        if delivery.stored > self._stored:
            self._in_vain = 0
        elif more:
            self._in_vain += 1
        self._stored, self.refused = delivery.stored, delivery.refused
        if self._in_vain >= PINGS_IN_VAIN:
            raise MismatchError(
                f"The memory refuses all that this collector sends, {self.refused} blocks so far: "
                f"{delivery.reason}. Start memory, learner and collector with one configuration, "
                f"of one version of zdqn."
            )
