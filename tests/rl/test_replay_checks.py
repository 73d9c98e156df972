"""A replay whose arrays were copied, cut or changed in the middle of everything."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zdqn.data import EnvironmentSpec
from zdqn.rl.action_masks import pack_masks
from zdqn.rl.replay import Replay
from zdqn.rl.replay_arrays import allocate_in_ram
from zdqn.rl.replay_checks import longest_run

SPECS = [
    EnvironmentSpec((3,), "float32", 7),
    EnvironmentSpec((5, 5), "uint8", 7, 3, action_masks=True),
]


class Arrays(dict[str, Any]):
    """Arrays that outlive their replay."""

    def __call__(self, name, shape, dtype):
        return self.setdefault(name, allocate_in_ram(name, shape, dtype))

    def copy(self):
        return Arrays({name: array.copy() for name, array in self.items()})


def make_replay(spec, arrays, kind, capacity):
    return Replay(
        spec, capacity=capacity, frame_capacity=6 * capacity, prioritized=kind == "prioritized",
        priority_exponent=0.6, priority_epsilon=1e-6, rng=np.random.default_rng(1),
        allocate=arrays, kept=True,
    )  # fmt: skip


def numbered(spec, first, transitions):
    """Transitions that say in every part which they are."""
    stack = spec.frame_stack
    numbers = np.arange(first, first + transitions + stack)
    frames = np.zeros((len(numbers), *spec.observation_shape), spec.dtype)
    frames[...] = (numbers % 251).reshape(-1, *[1] * len(spec.observation_shape))
    records = np.zeros(transitions, spec.record_dtype)
    rows = np.arange(transitions)[:, None] + np.arange(stack)
    records["observation"], records["next_observation"] = rows, rows + 1
    records["action"], records["reward"] = numbers[:transitions] % 7, numbers[:transitions]
    records["priority"] = -1.0
    return frames, records


def masks_of(spec, first, transitions):
    """Masks of the frames of `numbered`: the bits of their numbers."""
    if not spec.action_masks:
        return None
    return (np.arange(first, first + transitions + spec.frame_stack) % 127).astype(np.uint8)[
        :, None
    ]


def insert(replay, spec, transitions, note=b""):
    first = replay.next_key
    replay.insert(*numbered(spec, first, transitions), note, masks_of(spec, first, transitions))


def check_all(replay, spec):
    """Every transition that it holds is the one that was inserted under its key."""
    replay.check_valid()
    if replay.size == 0:
        return
    batch = replay.sample(64)
    assert np.array_equal(batch.rewards, batch.keys)
    assert np.array_equal(batch.actions, batch.keys % 7)
    for offset, stacks in ((0, batch.observations), (1, batch.next_observations)):
        frames = stacks.reshape(64, spec.frame_stack, -1)
        wished = (batch.keys[:, None] + np.arange(spec.frame_stack) + offset) % 251
        assert (frames == wished[:, :, None]).all()
        if spec.action_masks:
            masks = batch.next_allowed if offset else batch.allowed
            newest = (batch.keys + spec.frame_stack - 1 + offset) % 127
            assert (pack_masks(masks)[:, 0] == newest).all()


def use(replay, spec, rng, inserts, arrays, moments):
    """Insert, draw and give priorities; gives a copy and the state of some moments."""
    state = replay.state_dict()
    for number in range(inserts):
        insert(replay, spec, int(rng.integers(1, 20)), b"%d" % number)
        batch = replay.sample(4)
        replay.update_priorities(batch.keys, rng.random(4))
        if rng.random() < 0.15:
            state = replay.state_dict()
        if number in moments:
            yield arrays.copy(), state, replay.state_dict()


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("kind", ["uniform", "prioritized"])
def test_between_two_inserts_all_of_it_comes_back_whatever_state_was_loaded(spec, kind):
    rng, arrays = np.random.default_rng(0), Arrays()
    replay = make_replay(spec, arrays, kind, 50)
    for copied, state, wished in use(replay, spec, rng, 120, arrays, range(120)):
        again = make_replay(spec, copied, kind, 50)
        again.load_state_dict(state)
        assert again.recover(replay.highest_priority).dropped == 0
        wished.pop("rng")
        assert wished == {key: again.state_dict()[key] for key in wished}
        check_all(again, spec)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), kind=st.sampled_from(["uniform", "prioritized"]))
@pytest.mark.parametrize("spec", SPECS)
def test_any_mixture_of_old_and_new_pages_gives_nothing_that_was_not_inserted(spec, seed, kind):
    """As a loss of power leaves it: of each page what it was then, or later."""
    rng, arrays = np.random.default_rng(seed), Arrays()
    replay = make_replay(spec, arrays, kind, 50)
    inserts = int(rng.integers(2, 60))
    moments = sorted({int(rng.integers(inserts)), inserts - 1})
    (before, state, _), *_, (after, _, _) = (
        list(use(replay, spec, rng, inserts, arrays, moments)) * 2
    )
    for name, array in after.items():
        old, new = before[name].reshape(-1).view(np.uint8), array.reshape(-1).view(np.uint8)
        for start in range(0, len(new), 64):
            if rng.random() < 0.5:
                new[start : start + 64] = old[start : start + 64]
    again = make_replay(spec, after, kind, 50)
    again.load_state_dict(state)
    again.recover()
    check_all(again, spec)
    insert(again, spec, 9)
    check_all(again, spec)


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32))
@pytest.mark.parametrize("spec", SPECS)
def test_flipped_bits_cost_what_they_hit_and_nothing_wrong_comes_back(spec, seed):
    rng, arrays = np.random.default_rng(seed), Arrays()
    replay = make_replay(spec, arrays, "prioritized", 50)
    list(use(replay, spec, rng, 30, arrays, ()))
    state = replay.state_dict()
    for _ in range(int(rng.integers(1, 4))):
        name = sorted(arrays)[rng.integers(len(arrays))]
        flat = arrays[name].reshape(-1).view(np.uint8)
        flat[rng.integers(len(flat))] ^= 1 << rng.integers(8)
    again = make_replay(spec, arrays, "prioritized", 50)
    again.load_state_dict(state)
    recovered = again.recover()
    assert recovered.dropped == replay.size - again.size
    check_all(again, spec)


@pytest.mark.parametrize("spec", SPECS)
def test_killed_inside_an_insert_the_others_stay(spec, monkeypatch):
    arrays = Arrays()
    replay = make_replay(spec, arrays, "prioritized", 50)
    list(use(replay, spec, np.random.default_rng(3), 30, arrays, ()))
    state, held = replay.state_dict(), replay.size
    assert replay._checks is not None

    def die(_entry):
        raise KeyboardInterrupt

    monkeypatch.setattr(replay._checks.log, "append", die)
    with pytest.raises(KeyboardInterrupt):
        insert(replay, spec, 8)
    again = make_replay(spec, arrays, "prioritized", 50)
    again.load_state_dict(state)
    dropped = again.recover().dropped
    assert 0 < dropped < 40  # what the unfinished one has overwritten
    assert again.size == held - dropped
    check_all(again, spec)


def test_notes_come_back_of_what_is_there_and_no_state_knows():
    spec, arrays = SPECS[0], Arrays()
    replay = make_replay(spec, arrays, "uniform", 50)
    replay.insert(*numbered(spec, 0, 4), b"one")
    state = replay.state_dict()
    replay.insert(*numbered(spec, 4, 4), b"two")
    replay.insert(*numbered(spec, 8, 4), b"three")
    again = make_replay(spec, arrays, "uniform", 50)
    again.load_state_dict(state)
    assert again.recover().notes == [b"two", b"three"]


def test_no_random_number_is_drawn_twice_once_draws_are_skipped():
    spec, arrays = SPECS[0], Arrays()
    replay = make_replay(spec, arrays, "uniform", 50)
    replay.insert(*numbered(spec, 0, 50))
    state = replay.state_dict()
    drawn = replay.sample(50).keys
    replay.load_state_dict(state)
    assert np.array_equal(replay.sample(50).keys, drawn)
    replay.load_state_dict(state)
    replay.skip_draws()
    assert not np.array_equal(replay.sample(50).keys, drawn)


@pytest.mark.parametrize(
    ("flags", "run"),
    [("", (0, 0)), ("000", (3, 3)), ("111", (0, 3)), ("0110111", (4, 7)), ("1101", (0, 2))],
)
def test_the_longest_run_is_found(flags, run):
    assert longest_run(np.array([flag == "1" for flag in flags], np.bool_)) == run
