"""The learner's end of the samples link: requests on their way while it computes."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from zdqn.closing import Closing
from zdqn.core.reply_size import ReplySize
from zdqn.data import Batch, EnvironmentSpec
from zdqn.errors import ProtocolError
from zdqn.roles.learner.shared_slots import Setting, SharedSlots
from zdqn.wire import codec, payloads
from zdqn.wire.asking import raise_refusal
from zdqn.wire.memory_messages import Batches, NotReady, Progress, SampleRequest, Slot
from zdqn.wire.protocol import ErrorReply
from zdqn.wire.request_sockets import PipelinedClient

logger = logging.getLogger("zdqn.learner")

_WAIT_MS = 200
"""How long the memory may hold a request; short, so that a dead one is noticed."""
_SILENCE_S = 3.0


class _Asked(NamedTuple):
    batches: int
    slot: Slot | None


class SampleStream(Closing):
    """Asks a memory for batches, several requests ahead.

    Priorities of earlier batches ride on the next request. When the memory falls silent the
    connection is made anew, and what was on its way is forgotten: sampling can be asked again.

    Args:
        client: connected to the memory.
        session: of this learner.
        spec: of the environment.
        batch_size: transitions of one batch.
        batches_per_request: most batches in one reply; see `ReplySize`.
        requests_in_flight: requests on their way.
        shared_memory: ``links.shared_memory``.
        before_waiting: called when there is no answer yet.
        clock: seconds that never go back.

    Attributes:
        reply_size: how many batches it asks for.
        progress: the memory's counters in its last answer, or None.
        waiting_for: why there is no batch, in the memory's words; "" while there are.
        waited_s: seconds spent waiting for answers, all in all.
    """

    def __init__(
        self,
        client: PipelinedClient,
        *,
        session: int,
        spec: EnvironmentSpec,
        batch_size: int,
        batches_per_request: int,
        requests_in_flight: int,
        shared_memory: Setting,
        before_waiting: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._clock = clock
        self._session = session
        self._spec = spec
        self._batch_size = batch_size
        self.reply_size = ReplySize(batch_size * spec.sample_bytes, batches_per_request)
        self._requests_in_flight = requests_in_flight
        self._slots = SharedSlots(
            shared_memory,
            batch_bytes=payloads.slot_bytes(batch_size, spec),
            slot_bytes=payloads.slot_bytes(batch_size * self.reply_size.most, spec),
            requests_in_flight=requests_in_flight,
        )
        self._before_waiting = before_waiting
        self._asked: deque[_Asked] = deque()
        self._answered_s = self._clock()
        self._given = 0
        self._given_s = 0.0
        self._keys: list[NDArray[np.int64]] = []
        self._priorities: list[NDArray[np.float32]] = []
        self.progress: Progress | None = None
        self.waiting_for = ""
        self.waited_s = 0.0

    def write_back(self, keys: NDArray[np.int64], priorities: NDArray[np.float32]) -> None:
        """Send priorities, with the next request.

        Args:
            keys: of the items, shape (B,), int64.
            priorities: of the same, shape (B,), float32; for Q-learning |TD error|.
        """
        self._keys.append(keys)
        self._priorities.append(priorities)

    def receive(self, most_batches: int | None) -> Batch | None:
        """Give the next reply's transitions, all batches in one; wait a little if need be.

        Args:
            most_batches: how many batches are still of use in all; None for any number.

        Returns:
            The transitions, or None if none came yet; `waiting_for` says why.

        Raises:
            MismatchError: when the memory refused.
            FencedError: when a newer learner has taken over.
        """
        if self._given:
            self.reply_size.learned(self._given, self._clock() - self._given_s)
            self._given = 0
        self._ask_ahead(most_batches)
        body = self._client.receive(0)
        if body is None:
            self._before_waiting()
            started_s = self._clock()
            body = self._client.receive(_WAIT_MS)
            self.waited_s += self._clock() - started_s
        if body is None:
            self._notice_silence()
            return None
        self._answered_s = self._clock()
        return self._read(body, self._asked.popleft().slot, most_batches)

    def _ask_ahead(self, most_batches: int | None) -> None:
        while len(self._asked) < self._requests_in_flight:
            batches = self.reply_size.batches
            if most_batches is not None:
                asked = sum(asked.batches for asked in self._asked)
                batches = min(batches, most_batches - asked)
            if batches < 1:
                return
            keys, priorities = self._take_priorities()
            slot = self._slots.take()
            request = SampleRequest(
                session=self._session,
                batch_size=self._batch_size,
                batches=batches,
                wait_ms=_WAIT_MS,
                priorities=len(keys),
                slot=slot,
            )
            if not self._client.send(codec.encode(request, (keys, priorities))):
                self._slots.give_back(slot)
                return
            if not self._asked:
                self._answered_s = self._clock()
            self._asked.append(_Asked(batches, slot))

    def _take_priorities(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        if not self._keys:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        keys, priorities = np.concatenate(self._keys), np.concatenate(self._priorities)
        self._keys.clear()
        self._priorities.clear()
        return keys, priorities

    def _read(self, body: memoryview, slot: Slot | None, most_batches: int | None) -> Batch | None:
        message = codec.decode(body)
        header = message.header
        if isinstance(header, Batches):
            self.progress, self.waiting_for = header.progress, ""
            # the next request travels while these batches are learned from
            self._ask_ahead(None if most_batches is None else most_batches - header.batches)
            frames = self._slots.answered(slot, shared=header.shared)
            batch = payloads.read_batches(message, self._spec, frames)[1]
            self._given, self._given_s = header.batches, self._clock()
            return batch
        self._slots.give_back(slot)
        if isinstance(header, NotReady):
            self.progress = header.progress
            self.waiting_for = _describe(header)
            return None
        if isinstance(header, ErrorReply):
            raise_refusal(header, "memory", self._client.address)
        raise ProtocolError(f"the memory answered a sample request with {header.kind.name}")

    def _notice_silence(self) -> None:
        if not self._asked or self._clock() - self._answered_s < _SILENCE_S:
            return
        self.waiting_for = f"the memory at {self._client.address}, which does not answer"
        self._client.reconnect()
        self._asked.clear()
        self._slots.renew()

    def close(self) -> None:
        """Close the socket."""
        self._client.close()
        self._slots.close()


def _describe(answer: NotReady) -> str:
    if answer.reason == "filling":
        return f"data: the memory holds {answer.size:,} of {answer.needed:,} transitions"
    if answer.reason == "limited":
        return "data: replay.samples_per_insert holds sampling back until more is collected"
    if answer.reason == "unread":
        return "data: earlier answers of the memory are still on their way"
    return "an environment: the memory has not heard of one"
