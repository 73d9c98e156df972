"""What a replay needs, and that it holds its capacity whatever the episodes."""

from math import ceil, inf
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from zdqn.core.accumulator import Accumulator
from zdqn.core.intake import Intake
from zdqn.core.replay_room import most_frames_a_transition, plan_room
from zdqn.core.store import TransitionStore
from zdqn.data import EnvironmentSpec
from zdqn.wire import block_payload
from zdqn.wire.memory_messages import BlockHeader

IMAGE = EnvironmentSpec((84, 84), "uint8", 6, 4)
VECTOR = EnvironmentSpec((4,), "float32", 2)


def plan(available=inf, *, spec=IMAGE, **changes):
    given = {
        "capacity": 1000, "block_transitions": 32, "usual_frames_per_transition": 1.1875,
        "most_frames_per_transition": inf, **changes,
    }  # fmt: skip
    return plan_room(spec, available, **given)


COLUMNS = 1000 * (64 + IMAGE.record_dtype.itemsize)


def test_usually_blocks_are_full_and_at_worst_each_transition_is_alone():
    room = plan()
    assert room.usual_frames == ceil(1032 * 1.1875)
    assert room.usual_bytes == room.usual_frames * 7056 + COLUMNS
    assert room.most_frames == 8 * 1032
    assert room.most_bytes == room.most_frames * 7056 + COLUMNS
    assert room.sure_transitions == 1000
    assert plan(capacity=64_000).most_frames == 8 * 65_000  # blocks that are joined


def test_there_is_room_for_the_block_with_the_most_frames():
    assert plan(capacity=1).usual_frames == 2 * 4 * 32
    assert plan(capacity=1, most_frames_per_transition=0.1).most_frames == 2 * 4 * 32


def test_no_more_is_expected_than_a_transition_can_have():
    assert plan(usual_frames_per_transition=9.0).usual_frames == 8 * 1032


def test_half_of_what_is_left_free_may_be_taken_and_no_more():
    usual = plan().usual_bytes
    room = plan(usual + 2000 * 7056)
    assert room.most_frames == room.usual_frames + 1000
    assert room.sure_transitions == room.most_frames // 8 - 32 < 1000
    assert plan(usual).most_frames == plan(usual - 1).most_frames == room.usual_frames
    assert plan(1e12) == plan()


def test_a_limit_on_frames_is_kept_and_reckoned_with():
    room = plan(most_frames_per_transition=2.0)
    assert room.usual_frames == room.most_frames == 2 * 1096
    assert room.sure_transitions == 2 * 1096 // 8 - 32
    assert plan(1.0, most_frames_per_transition=2.0).most_frames == 2 * 1096


def test_more_rows_than_a_record_can_name_are_not_made():
    room = plan(capacity=10**9)
    assert room.most_frames == 2**31 - 1
    assert room.sure_transitions < room.transitions


def test_it_is_said_in_a_line():
    small = plan(spec=VECTOR, usual_frames_per_transition=2.0)
    assert small.describe() == "replay of 1,000 transitions, 0.1 MB"
    assert plan().describe() == (
        "replay of 1,000 transitions, 8.8 MB, up to 58.4 MB with short episodes or part-full blocks"
    )
    assert plan(plan().usual_bytes).describe().endswith("8.8 MB; then it still holds 121 or more")


# --- by experiment --------------------------------------------------------------------------------


def transitions_of(block):
    """What is in a block, each transition with its own copy of its stacks."""
    for record in block.records:
        yield (
            block.frames[record["observation"]].tolist(),
            block.frames[record["next_observation"]].tolist(),
            float(record["reward"]),
        )


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    capacity=st.sampled_from([1, 7, 64, 257, 700]),
    n_step=st.integers(1, 6),
    stack=st.integers(1, 5),
    environments=st.integers(1, 6),
    extra=st.integers(0, 20),
    shortest=st.integers(1, 4),
    longest=st.sampled_from([0, 3, 40]),
    part_full=st.sampled_from([0.0, 0.2, 1.0]),
)
def test_the_replay_holds_its_capacity_whatever_the_episodes_and_blocks(
    seed, capacity, n_step, stack, environments, extra, shortest, longest, part_full
):
    """Environments with episodes of random lengths, against a list of the newest transitions."""
    rng = np.random.default_rng(seed)
    spec = EnvironmentSpec((2,), "int32", 2, stack)
    block_transitions = environments + extra
    store = TransitionStore(
        capacity=capacity, prioritized=bool(rng.random() < 0.5), priority_exponent=0.6,
        priority_epsilon=1e-6, min_size=1, samples_per_insert=0.0, samples_per_insert_window=0.0,
        batch_size=4, block_transitions=block_transitions,
        usual_frames_per_transition=1 + environments * (stack - 1 + n_step) / block_transitions,
        most_frames_per_transition=inf, seed=seed,
    )  # fmt: skip
    assert store.make_room(spec).sure_transitions == capacity
    intake = Intake(store, n_step=n_step)
    accumulator = Accumulator(
        spec, environments=environments, n_step=n_step, discount=0.9,
        block_transitions=block_transitions,
    )  # fmt: skip
    expected: list[tuple[Any, Any, float]] = []
    waiting: list[bytes] = []
    clock, steps, sequence = 0, 0, 0
    ends = np.zeros(environments, np.int64)

    while len(expected) < 3 * capacity + 10:
        clock += 1
        for number in range(environments):
            frame = np.array([number, clock], np.int32)
            if ends[number] <= clock:
                ends[number] = clock + shortest + rng.integers(0, longest + 1) + 1
                accumulator.begin(number, frame)
                continue
            over = bool(clock + 1 >= ends[number])
            accumulator.step(number, 0, float(clock), frame, over, False, 0)
            steps += 1
        while accumulator.full or (accumulator.pending and rng.random() < part_full):
            block = accumulator.take_block()
            assert block is not None
            assert len(block.frames) <= most_frames_a_transition(spec) * len(block)
            expected += transitions_of(block)
            header = BlockHeader(
                session=1, sequence=sequence, origin=spec.digest, frames=len(block.frames),
                transitions=len(block), environment_steps=steps, episodes=0,
            )  # fmt: skip
            sequence += 1
            waiting.append(block_payload.encode_block(header, block))
            if rng.random() < 0.7:  # else they wait, and may be joined
                assert not intake.insert_together(waiting)
                waiting.clear()
                assert store.size == min(len(expected), capacity)
    assert not intake.insert_together(waiting)
    assert store.size == capacity
    batch = store.draw(64, 2)
    for row, key in enumerate(batch.keys.tolist()):
        assert len(expected) - capacity <= key
        observation, following, reward = expected[key]
        assert batch.observations[row].reshape(stack, 2).tolist() == observation
        assert batch.next_observations[row].reshape(stack, 2).tolist() == following
        assert batch.rewards[row] == np.float32(reward)


def test_a_line_for_people_has_large_numbers_in_groups():
    line = plan(spec=VECTOR, capacity=1_000_000, usual_frames_per_transition=2.0).describe()
    assert line.startswith("replay of 1,000,000 transitions, ")
