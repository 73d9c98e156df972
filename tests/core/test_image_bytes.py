"""What a transition of stacked images costs on the wire and in RAM, as in atari-pong.toml."""

from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from zdqn.config import load_config
from zdqn.core.intake import Intake
from zdqn.core.replay_room import plan_room
from zdqn.core.rollout import Rollout
from zdqn.core.store import TransitionStore
from zdqn.data import EnvironmentSpec
from zdqn.wire import block_payload
from zdqn.wire.memory_messages import BlockHeader

PONG = load_config(Path(__file__).parents[2] / "configs" / "atari-pong.toml")
SPEC = EnvironmentSpec((84, 84), "uint8", 6, PONG.environment.frame_stack)
FRAME_BYTES = 84 * 84
LIMIT = 1.2 * FRAME_BYTES
EPISODE_STEPS = 200  # far shorter than Pong's; each episode adds a frame that has no transition


class Pixels(gymnasium.Env):
    """84 x 84 bytes that differ from step to step."""

    action_space = gymnasium.spaces.Discrete(6)
    observation_space = gymnasium.spaces.Box(0, 255, (84, 84), np.uint8)

    def __init__(self):
        self.t = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return np.zeros((84, 84), np.uint8), {}

    def step(self, action):
        self.t += 1
        frame = np.full((84, 84), self.t % 251, np.uint8)
        return frame, 0.0, self.t == EPISODE_STEPS, False, {}


@pytest.fixture
def rollout():
    environments = SyncVectorEnv(
        [Pixels] * PONG.collector.environments, copy=False, autoreset_mode=AutoresetMode.NEXT_STEP
    )
    made = Rollout(
        environments,
        SPEC,
        n_step=PONG.algorithm.n_step,
        discount=PONG.algorithm.discount,
        block_transitions=PONG.collector.block_transitions,
        seed=0,
        label="collector-0",
    )
    yield made
    made.close()


def make_store(capacity):
    store = TransitionStore(
        capacity=capacity,
        prioritized=True,
        priority_exponent=0.6,
        priority_epsilon=1e-6,
        min_size=1,
        samples_per_insert=0.0,
        samples_per_insert_window=0.0,
        batch_size=32,
        block_transitions=PONG.collector.block_transitions,
        usual_frames_per_transition=PONG.usual_frames_per_transition,
        most_frames_per_transition=PONG.most_frames_per_transition,
        seed=0,
    )
    store.make_room(SPEC)
    return store


def messages(rollout, transitions):
    """Encoded blocks with at least so many transitions, and how many each has."""
    actions = np.zeros(PONG.collector.environments, np.int64)
    sequence = sent = 0
    while sent < transitions:
        while not rollout.full:
            rollout.step(actions, 0)
        block = rollout.take_block()
        header = BlockHeader(
            session=1,
            sequence=sequence,
            origin=SPEC.digest,
            frames=len(block.frames),
            transitions=len(block),
            environment_steps=rollout.environment_steps,
            episodes=rollout.episodes,
        )
        yield block_payload.encode_block(header, block), len(block)
        sequence, sent = sequence + 1, sent + len(block)


def test_the_configuration_is_that_of_the_goal():
    assert (PONG.environment.frame_stack, PONG.algorithm.n_step) == (4, 3)


def test_a_transition_takes_at_most_one_and_a_fifth_of_a_frame_on_the_wire(rollout):
    sizes = [(len(message), count) for message, count in messages(rollout, 3_000)]
    sent_bytes, transitions = np.sum(sizes, axis=0)
    assert FRAME_BYTES < sent_bytes / transitions <= LIMIT


def test_a_transition_takes_at_most_one_and_a_fifth_of_a_frame_in_ram(rollout):
    store = make_store(20_000)
    intake = Intake(store, n_step=PONG.algorithm.n_step)
    for message, _ in messages(rollout, 45_000):
        intake.insert(message)
    assert store.size == 20_000
    assert FRAME_BYTES < store.nbytes / store.size <= LIMIT


def test_and_so_much_is_what_is_reckoned_with():
    room = plan_room(
        SPEC, 10e9,
        capacity=PONG.replay.capacity,
        block_transitions=PONG.collector.block_transitions,
        usual_frames_per_transition=PONG.usual_frames_per_transition,
        most_frames_per_transition=PONG.most_frames_per_transition,
    )  # fmt: skip
    assert FRAME_BYTES < room.usual_bytes / PONG.replay.capacity <= LIMIT


@pytest.mark.parametrize("capacity", [1_000, 1_024, 1_777])
def test_and_no_transition_leaves_before_its_time_for_want_of_frames(rollout, capacity):
    store = make_store(capacity)
    intake = Intake(store, n_step=1)
    inserted = 0
    for message, count in messages(rollout, 4 * capacity):
        intake.insert(message)
        inserted += count
        assert store.size == min(inserted, capacity)
