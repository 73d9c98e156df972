"""Masks from a step to a sampled batch: over accumulator, wire, intake, replay and reply."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zdqn.core.accumulator import Accumulator
from zdqn.core.intake import Intake
from zdqn.data import EnvironmentSpec
from zdqn.errors import ProtocolError, UsageError
from zdqn.wire import block_payload, codec, payloads
from zdqn.wire.memory_messages import Batches, BlockHeader, Progress

PROGRESS = Progress(**dict.fromkeys(Progress.__struct_fields__, 0))
CAPACITY = 40


class Masked:
    """Episodes of some environments; each frame is a number, from which its mask follows."""

    def __init__(self, seed, actions, *, stack, n_step, environments=3):
        self.rng = np.random.default_rng(seed)
        self.spec = EnvironmentSpec((1,), "float32", actions, stack, action_masks=True)
        self.masks = np.zeros((4000, actions), np.bool_)
        self.count, self.frames = environments, 0
        self.now = np.full(environments, -1)
        self.accumulator = Accumulator(
            self.spec, environments=environments, n_step=n_step, discount=0.9,
            block_transitions=8,
        )  # fmt: skip

    def observe(self, count, *, ends=None):
        """Give new frames with their masks, which may be empty where episodes end for good."""
        numbers = np.arange(self.frames, self.frames + count)
        self.frames += count
        masks = self.rng.random((count, self.spec.num_actions)) < 0.4
        goes_on = np.ones(count, bool) if ends is None else ~ends
        forced = self.rng.integers(0, self.spec.num_actions, count)
        masks[goes_on, forced[goes_on]] = True
        self.masks[numbers] = masks
        return numbers, numbers.astype(np.float32)[:, None], masks

    def step(self):
        idle, going = np.flatnonzero(self.now < 0), np.flatnonzero(self.now >= 0)
        if len(idle):
            self.now[idle], frames, masks = self.observe(len(idle))
            self.accumulator.begin(idle, frames, masks)
        if len(going):
            actions = [
                int(self.rng.choice(np.flatnonzero(self.masks[number])))
                for number in self.now[going]
            ]
            terminated, truncated = self.rng.random((2, len(going))) < 0.15
            numbers, frames, masks = self.observe(len(going), ends=terminated)
            self.accumulator.step(
                going, actions, np.zeros(len(going)), frames, terminated, truncated, 7,
                allowed=masks,
            )  # fmt: skip
            self.now[going] = np.where(terminated | truncated, -1, numbers)

    def blocks(self):
        while True:
            self.step()
            while self.accumulator.full:
                yield self.accumulator.take_block()

    def check(self, batch):
        stack = self.spec.frame_stack
        for observations, found in (
            (batch.observations, batch.allowed),
            (batch.next_observations, batch.next_allowed),
        ):
            newest = observations.reshape(len(batch), stack)[:, -1].astype(int)
            np.testing.assert_array_equal(found, self.masks[newest])
        assert batch.allowed[np.arange(len(batch)), batch.actions].all()
        assert batch.next_allowed[batch.discounts > 0].any(axis=1).all()


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    actions=st.integers(1, 20),
    stack=st.integers(1, 3),
    n_step=st.integers(1, 4),
    prioritized=st.booleans(),
    together=st.booleans(),
)
def test_each_sampled_transition_has_the_masks_of_its_observations(
    make_store_of, seed, actions, stack, n_step, prioritized, together
):
    """The replay is filled four times over, so that both of its rings have gone round."""
    masked = Masked(seed, actions, stack=stack, n_step=n_step)
    spec = masked.spec
    store = make_store_of(spec, capacity=CAPACITY, block_transitions=8, prioritized=prioritized)
    intake = Intake(store, n_step=n_step)
    messages, steps = [], 0
    for sent, block in enumerate(masked.blocks()):
        steps += len(block.records)
        header = BlockHeader(
            session=5, sequence=sent, origin=spec.digest, frames=len(block.frames),
            transitions=len(block.records), environment_steps=steps, episodes=0,
        )  # fmt: skip
        messages.append(block_payload.encode_block(header, block))
        if len(messages) == 3 or not together:
            assert intake.insert_together(messages) == []
            messages = []
        if store.size:
            head = Batches(batch_size=4, batches=2, size=store.size, progress=PROGRESS)
            buffer, out = payloads.allocate_batches(head, spec)
            store.draw(4, 2, out)
            _, read = payloads.read_batches(codec.decode(buffer.tobytes()), spec)
            masked.check(read)
            masked.check(store.draw(4, 2))
        if store.limiter.inserts > 4 * CAPACITY:
            break


@pytest.fixture(scope="module")
def make_store_of():
    """Makes a store that has room."""
    from zdqn.core.store import TransitionStore

    def make(spec, **changes):
        store = TransitionStore(
            **{
                "priority_exponent": 0.6, "priority_epsilon": 1e-6, "min_size": 1,
                "samples_per_insert": 0.0, "samples_per_insert_window": 0.0, "batch_size": 4,
                "usual_frames_per_transition": 1.2, "most_frames_per_transition": 3.0, "seed": 0,
                **changes,
            }
        )  # fmt: skip
        store.make_room(spec)
        return store

    return make


# --- what an accumulator refuses ------------------------------------------------------------------

SPEC = EnvironmentSpec((1,), "float32", 3, action_masks=True)
FRAME = np.zeros(1, np.float32)


def begun(mask=(True, False, True), spec=SPEC):
    accumulator = Accumulator(spec, environments=1, n_step=1, discount=0.9, block_transitions=8)
    accumulator.begin(0, FRAME, mask)
    return accumulator


def test_an_action_that_was_not_allowed_is_refused_and_nothing_of_it_is_kept():
    accumulator = begun()
    with pytest.raises(UsageError, match=r"actions holds 1, .*allows \[0, 2\]"):
        accumulator.step(0, 1, 0.0, FRAME, False, False, 7, allowed=[1, 1, 1])
    accumulator.step(0, 2, 0.0, FRAME, False, False, 7, allowed=[0, 1, 0])
    with pytest.raises(UsageError, match=r"actions holds 2, .*allows \[1\]"):
        accumulator.step(0, 2, 0.0, FRAME, True, False, 7)
    accumulator.step(0, 1, 0.0, FRAME, True, False, 7)
    assert accumulator.environment_steps == 2
    block = accumulator.take_block()
    assert block is not None
    assert block.masks is not None
    assert block.masks.tolist() == [[0b101], [0b010], [0]]


def test_a_mask_is_needed_where_the_spec_has_some_and_refused_where_it_has_none():
    with pytest.raises(UsageError, match="allowed is missing"):
        begun(None)
    with pytest.raises(UsageError, match="allowed allows nothing"):
        begun([0, 0, 0])
    with pytest.raises(UsageError, match="allowed is missing"):
        begun().step(0, 0, 0.0, FRAME, False, True, 7)
    plain = EnvironmentSpec((1,), "float32", 3)
    with pytest.raises(UsageError, match="allowed is given"):
        begun([1, 1, 1], plain)
    assert begun(None, plain).take_block() is None


def test_a_memory_counts_a_block_with_an_action_that_was_not_allowed_and_says_why(make_store_of):
    store = make_store_of(SPEC, capacity=CAPACITY, block_transitions=8, prioritized=False)
    intake = Intake(store, n_step=1)
    accumulator = begun()
    accumulator.step(0, 2, 0.0, FRAME, True, False, 7)
    block = accumulator.take_block()
    assert block is not None
    header = BlockHeader(
        session=5, sequence=0, origin=SPEC.digest, frames=2, transitions=1, environment_steps=1,
        episodes=1,
    )  # fmt: skip
    block.records["action"] = 1
    with pytest.raises(ProtocolError, match="the action 1 where its mask does not allow it"):
        intake.insert(block_payload.encode_block(header, block))
    assert (intake.refused, store.size) == (1, 0)
    assert "mask does not allow it" in intake.refusals[5].reason
