"""A store as small as tests want it, and a collector that sends blocks to one."""

from math import inf

import pytest

from zdqn.core.store import TransitionStore
from zdqn.rl.limiter import SamplesPerInsertLimiter
from zdqn.wire import block_payload
from zdqn.wire.memory_messages import BlockHeader


@pytest.fixture
def make_store():
    """Makes a store; with a spec, one that has room."""

    def make(spec=None, **changes):
        settings = {
            "capacity": 100, "prioritized": False, "priority_exponent": 0.6,
            "priority_epsilon": 1e-6, "min_size": 10, "samples_per_insert": 0.0, "batch_size": 4,
            "block_transitions": 5, "usual_frames_per_transition": 1.2,
            "most_frames_per_transition": inf,
            "seed": 0, **changes,
        }  # fmt: skip
        smallest = SamplesPerInsertLimiter.smallest_window(
            settings["samples_per_insert"], settings["batch_size"], settings["block_transitions"]
        )
        settings.setdefault("samples_per_insert_window", 2 * smallest)
        store = TransitionStore(**settings)
        if spec is not None:
            store.make_room(spec)
        return store

    return make


class Sender:
    """A collector that numbers its blocks."""

    def __init__(self, intake, spec, make_block, session):
        self._intake, self._spec, self._make_block = intake, spec, make_block
        self._session = session
        self.sequence = 0
        self.steps = 0

    def message(self, transitions=5, *, block=None, **changes):
        block = block or self._make_block(self._spec, transitions, seed=self.sequence)
        header = {
            "session": self._session, "sequence": self.sequence,
            "origin": self._spec.digest, "frames": len(block.frames),
            "transitions": len(block), "environment_steps": self.steps + len(block), "episodes": 0,
            **changes,
        }  # fmt: skip
        return block_payload.encode_block(BlockHeader(**header), block)

    def send(self, transitions=5, **changes):
        self._intake.insert(self.message(transitions, **changes))
        self.sequence += 1
        self.steps += transitions


@pytest.fixture
def make_sender(make_block):
    """Makes a collector that sends to an intake."""

    def make(intake, spec, *, session=1):
        return Sender(intake, spec, make_block, session)

    return make
