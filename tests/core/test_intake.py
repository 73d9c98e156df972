"""Blocks that are stored together are stored as they would be one by one."""

import numpy as np
import pytest

from zdqn.config import load_config
from zdqn.data import EnvironmentSpec
from zdqn.roles.replaying import build_broker
from zdqn.wire import codec
from zdqn.wire.protocol import BlockHeader


def make_broker(spec, *overrides):
    config = load_config(
        None, ["collector.block_transitions=16", "replay.capacity=4000", "replay.min_size=1",
               *overrides],
    )  # fmt: skip
    broker = build_broker(config, session=1)
    broker.agree(spec, 10**12)
    return broker


def encode(spec, block, sequence, **changes):
    values = {
        "session": 5, "sequence": sequence, "spec_digest": spec.digest,
        "frames": len(block.frames), "transitions": len(block.records),
        "environment_steps": 16 * (sequence + 1), "episodes": sequence,
        **changes,
    }  # fmt: skip
    return codec.encode_block(BlockHeader(**values), block)


def contents(broker):
    """All that is stored, by key."""
    replay = broker._replay
    batch = replay.sample(1, 4000)
    order = np.unique(batch.keys, return_index=True)[1]
    return {name: array[order] for name, array in vars(batch).items() if name != "probabilities"}


@pytest.mark.parametrize("stack", [1, 3])
@pytest.mark.parametrize("kind", ["uniform", "prioritized"])
@pytest.mark.parametrize("transitions", [1, 5])
def test_together_is_what_one_by_one_is(make_block, stack, kind, transitions):
    spec = EnvironmentSpec((2, 3), "uint8", 4, stack)
    blocks = [make_block(spec, transitions, seed=seed) for seed in range(6)]
    messages = [encode(spec, block, number) for number, block in enumerate(blocks)]
    together, single = (make_broker(spec, f'replay.kind="{kind}"') for _ in range(2))
    assert together._insert_joined(messages)
    for message in messages:
        single.insert(message)
    assert together.progress() == single.progress()
    one, other = contents(together), contents(single)
    assert len(one["keys"]) == 6 * transitions
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])
    together._replay.check_valid()


def odd_ones(spec, good, make_block):
    bad_action = make_block(spec, 3)
    bad_action.records["action"] = [0, spec.num_actions, 1]
    bad_reference = make_block(spec, 3)
    bad_reference.records["observation"][1] = len(bad_reference.frames)
    bad_reward = make_block(spec, 3)
    bad_reward.records["reward"] = [0, np.inf, 1]
    return {
        "garbage": b"garbage",
        "cut": encode(spec, good, 1)[:-1],
        "foreign": encode(spec, good, 1, spec_digest=1),
        "empty": encode(spec, good, 1, frames=1),
        "action": encode(spec, bad_action, 1),
        "reference": encode(spec, bad_reference, 1),
        "reward": encode(spec, bad_reward, 1),
    }


@pytest.mark.parametrize(
    "odd", ["garbage", "cut", "foreign", "empty", "action", "reference", "reward"]
)
def test_an_odd_one_is_refused_alone_and_named(make_block, odd):
    spec = EnvironmentSpec((4,), "float32", 2)
    broker = make_broker(spec)
    good = make_block(spec, 3)
    messages = [encode(spec, good, 0), odd_ones(spec, good, make_block)[odd], encode(spec, good, 2)]
    errors = broker.insert_together(messages)
    assert len(errors) == broker.refused == 1
    assert broker.size == 6
    assert broker.ledger.lost == 1


def test_a_block_that_came_before_is_dropped_and_counted(make_block):
    spec = EnvironmentSpec((4,), "float32", 2)
    broker = make_broker(spec)
    messages = [encode(spec, make_block(spec, 2), number) for number in (0, 1, 1, 2)]
    assert broker.insert_together(messages) == []
    assert (broker.size, broker.ledger.duplicated, broker.ledger.received) == (6, 1, 3)


def test_a_large_part_of_a_small_ring_is_not_evicted_at_once(make_block):
    spec = EnvironmentSpec((4,), "float32", 2)
    broker = make_broker(spec, "replay.capacity=8")
    messages = [encode(spec, make_block(spec, 4), number) for number in range(10)]
    assert not broker._insert_joined(messages)
    assert broker.insert_together(messages) == []
    assert broker.size == 8


@pytest.mark.parametrize(("frame_bytes", "stored"), [(2047, 1), (2048, 3)])
def test_only_small_blocks_are_joined(make_block, monkeypatch, frame_bytes, stored):
    spec = EnvironmentSpec((frame_bytes,), "uint8", 2)
    broker = make_broker(spec)
    assert broker.block_bytes == 16 * frame_bytes
    sizes = []
    store = broker.store

    def count(block):
        sizes.append(len(block))
        store(block)

    monkeypatch.setattr(broker, "store", count)
    messages = [encode(spec, make_block(spec, 2), number) for number in range(3)]
    assert broker.insert_together(messages) == []
    assert len(sizes) == stored
    assert sum(sizes) == broker.size == 6


def test_without_a_spec_a_block_has_no_size():
    config = load_config(None, ["collector.block_transitions=16"])
    assert build_broker(config, session=1).block_bytes == 0


def test_the_limiter_says_how_many_blocks_it_wants(make_block):
    spec = EnvironmentSpec((4,), "float32", 2)
    broker = make_broker(spec, "replay.samples_per_insert=1", "algorithm.batch_size=16")
    broker.store(make_block(spec, 1))
    window = broker.limiter.window
    wanted = broker.wanted_blocks(100)
    assert wanted == int(window / 2 // 16) >= 1
    for _ in range(wanted):
        assert broker.wants_inserts()
        broker.store(make_block(spec, 16))
    assert broker.wanted_blocks(100) == 0
    assert not broker.wants_inserts()
