"""The log of steps against a list of entries for each environment, none of them ever dropped."""

from typing import Any, NamedTuple

import numpy as np
import pytest

from zdqn.core.step_log import StepLog
from zdqn.data import EnvironmentSpec


class Entry(NamedTuple):
    """What the slow log keeps of a slot; its frame is its own number."""

    number: int
    environment: int
    starting: bool
    action: int
    terminated: bool
    version: int
    chosen_q: float


class SlowLog:
    """Knows by search what the quick one keeps up to date."""

    def __init__(self, environments):
        self.entries: list[Entry] = []
        self.best_q: dict[int, float] = {}
        self.waiting: set[int] = set()
        self.sent: set[int] = set()
        self.environments = range(environments)

    def of(self, environment):
        return [entry for entry in self.entries if entry.environment == environment]

    def before(self, entry):
        """Give the entry whose frame a step acted on; of a beginning, itself."""
        if entry.starting:
            return entry
        return [e for e in self.of(entry.environment) if e.number < entry.number][-1]

    def after(self, entry):
        """Give the next step of its episode, or None."""
        later = [e for e in self.of(entry.environment) if e.number > entry.number]
        return later[0] if later and not later[0].starting else None

    def append(self, entries, best_q, wait):
        for entry in entries:
            if best_q is not None and self.of(entry.environment):
                self.best_q[self.of(entry.environment)[-1].number] = best_q[entry.environment]
            self.entries.append(entry)
            self.waiting.add(entry.number)
        for environment in self.environments:
            mine = self.of(environment)
            self.waiting -= {e.number for e in mine[: max(len(mine) - wait, 0)]}

    def release(self, environments):
        self.waiting -= {e.number for e in self.entries if e.environment in environments}

    def ready(self):
        return [
            e.number
            for e in self.entries
            if not e.starting and e.number not in self.waiting and e.number not in self.sent
        ]

    def kept(self, environments, stack):
        """Give what a later block may need: unsent steps, newest ones, and their stacks' frames."""
        unsent = [e for e in self.entries if not e.starting and e.number not in self.sent]
        newest = [self.of(i)[-1] for i in range(environments) if self.of(i)]
        kept = {e.number for e in unsent}
        for entry in [*(self.before(e) for e in unsent), *newest]:
            for _ in range(stack):
                kept.add(entry.number)
                entry = self.before(entry)
        return kept


class Both:
    """Tells both logs the same."""

    def __init__(self, environments, stack, capacity=4000):
        spec = EnvironmentSpec((2,), "float64", 9, frame_stack=stack)
        self.log = StepLog(spec, environments=environments, capacity=capacity)
        self.slow = SlowLog(environments)
        self.count, self.stack, self.steps = environments, stack, 0

    def append(self, numbers, starting, rng, *, wait, estimate=False, ends=0.0):
        """Append entries of some environments, None: of all."""
        who = list(range(self.count)) if numbers is None else numbers
        start, count = len(self.slow.entries), len(who)
        starting = [bool(starting[i]) for i in who]
        over = [not begins and rng.random() < ends for begins in starting]
        actions, versions = rng.integers(0, 9, count), rng.integers(0, 1 << 40, count)
        values = rng.normal(size=(2, count)).astype(np.float32)
        chosen, best = values if estimate else (None, None)
        entries = [
            Entry(start + k, who[k], starting[k], int(actions[k]), over[k], int(versions[k]),
                  float(values[0, k]) if estimate else np.nan)
            for k in range(count)
        ]  # fmt: skip
        frames = np.array([[e.number, -e.number] for e in entries], np.float64).reshape(count, 2)
        array: Any = None if numbers is None else np.array(numbers, np.int64)
        self.log.append(
            array, actions, np.arange(start, start + count), frames, np.array(over, bool),
            np.zeros(count, bool), versions, chosen, best,
            np.array(starting, bool) if any(starting) else None, wait,
        )  # fmt: skip
        by_environment = None if best is None else dict(zip(who, best.tolist(), strict=True))
        self.slow.append(entries, by_environment, wait)
        self.steps += starting.count(False)
        return [e.environment for e in entries if e.terminated]

    def numbers(self):
        """Give the number of the entry in each slot, as its frame tells."""
        frames = self.log.frames[: self.log.end]
        assert np.array_equal(frames[:, 0], -frames[:, 1])
        return frames[:, 0].astype(int).tolist()

    def compare(self):
        log, slow = self.log, self.slow
        numbers = self.numbers()
        entries = [slow.entries[number] for number in numbers]
        slots = {number: slot for slot, number in enumerate(numbers)}
        following = log.following()
        for slot, entry in enumerate(entries):
            before = slots.get(slow.before(entry).number, slot)
            assert log.previous[slot] == before
            if before == slot:
                continue  # a beginning, or the oldest frame that is kept: the rest has no meaning
            assert log.actions[slot] == entry.action
            assert log.rewards[slot] == entry.number
            assert log.terminated[slot] == entry.terminated
            assert log.weight_versions[slot] == entry.version
            assert np.array_equal(log.chosen_q[slot], np.float32(entry.chosen_q), equal_nan=True)
            assert following[before] == slot
        for slot, entry in enumerate(entries):
            best = np.float32(slow.best_q.get(entry.number, np.nan))
            assert np.array_equal(log.best_q[slot], best, equal_nan=True)
            after = slow.after(entry)
            assert following[slot] == (-1 if after is None else slots[after.number])
        newest = [slow.of(i)[-1].number if slow.of(i) else None for i in range(self.count)]
        assert log.last.tolist() == [-1 if n is None else slots[n] for n in newest]
        assert log.environment_steps == self.steps
        ready = [numbers[slot] for slot in log.ready_steps()]
        assert ready == slow.ready()
        assert log.ready == len(ready)

    def forget(self, most):
        sent = self.log.ready_steps()[:most]
        self.slow.sent |= {self.numbers()[slot] for slot in sent}
        self.log.forget(sent)
        assert set(self.numbers()) == self.slow.kept(self.count, self.stack)
        assert self.numbers() == sorted(self.numbers())


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("count", "stack", "wait"), [(1, 1, 0), (1, 4, 3), (3, 2, 1), (4, 3, 5)])
def test_steps_in_lockstep(count, stack, wait, seed):
    rng = np.random.default_rng(seed)
    both = Both(count, stack)
    over = np.ones(count, bool)
    for _ in range(40):
        ended = both.append(None, over, rng, wait=wait, estimate=rng.random() < 0.5, ends=0.15)
        over = np.isin(np.arange(count), ended)
        both.compare()
        if rng.random() < 0.15:
            both.forget(rng.integers(0, 9))
            both.compare()


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("count", "stack", "n_step"), [(1, 2, 2), (3, 1, 1), (4, 4, 3), (5, 2, 6)])
def test_steps_of_some_or_all_that_end_when_they_like(count, stack, n_step, seed):
    rng = np.random.default_rng(seed)
    both = Both(count, stack)
    over = np.ones(count, bool)
    for _ in range(80):
        fewest = 0 if both.log.end else 1
        chosen = rng.permutation(count)[: rng.integers(fewest, count + 1)]
        who = None if rng.random() < 0.2 else [int(i) for i in chosen]
        estimate = rng.random() < 0.5
        wait = n_step - (not estimate)
        ended = both.append(who, over, rng, wait=wait, estimate=estimate, ends=0.1)
        over[range(count) if who is None else who] = False
        over[ended] = True
        both.log.release(np.array(ended, np.int64))
        both.slow.release(ended)
        assert both.log.in_episode(np.arange(count)).tolist() == (~over).tolist()
        both.compare()
        if rng.random() < 0.15:
            both.forget(rng.integers(0, 9))
            both.compare()


def test_it_begins_empty():
    log = StepLog(EnvironmentSpec((2,), "uint8", 3), environments=2, capacity=5)
    assert (log.capacity, log.end, log.ready, log.environment_steps) == (5, 0, 0, 0)
    assert log.frames.shape == (5, 2)
    assert log.frames.dtype == np.uint8
    assert log.last.tolist() == [-1, -1]
    assert log.ready_steps().tolist() == log.following().tolist() == []
    assert not log.in_episode(np.arange(2)).any()
    assert log.new_frames == slice(0, 0)


def play(both, rows, wait=2):
    """A beginning in all, and steps of all."""
    rng = np.random.default_rng(0)
    for row in range(rows + 1):
        both.append(None, np.full(both.count, row == 0), rng, wait=wait)


def test_a_cut_ends_the_episode_with_the_step_that_was_last():
    both = Both(3, 1)
    play(both, 3)
    assert both.log.ready == 3
    both.log.cut(np.array([0, 2]))
    assert both.log.in_episode(np.arange(3)).tolist() == [False, True, False]
    assert np.flatnonzero(both.log.truncated[: both.log.end]).tolist() == [9, 11]
    assert both.log.ready_steps().tolist() == [3, 4, 5, 6, 8, 9, 11]
    assert both.log.ready == 7


def test_an_episode_given_up_before_its_first_step_leaves_no_step():
    both = Both(2, 1)
    play(both, 0)
    both.log.cut(np.array([1]))
    assert both.log.in_episode(np.arange(2)).tolist() == [True, False]
    assert both.log.ready == 0


def test_a_truncated_episode_is_over():
    log = StepLog(EnvironmentSpec((1,), "float32", 2), environments=2, capacity=9)
    frames, no = np.zeros((2, 1), np.float32), np.zeros(2, bool)
    log.append(None, 0, 0, frames, no, no, 0, None, None, ~no, 0)
    log.append(None, 0, 0, frames, no, np.array([False, True]), 0, None, None, None, 0)
    assert log.in_episode(np.arange(2)).tolist() == [True, False]


def test_what_arrived_after_the_last_forget_knows_where_it_came_from():
    rng = np.random.default_rng(0)
    both = Both(3, 1)
    play(both, 2)
    assert both.log.new_frames == slice(0, 9)
    assert [both.log.origin(slot) for slot in range(9)] == [
        (0, 0), (1, 0), (2, 0), (0, 3), (1, 3), (2, 3), (0, 6), (1, 6), (2, 6),
    ]  # fmt: skip
    both.forget(9)
    end = both.log.end
    assert both.log.new_frames == slice(end, end)
    both.append([2, 0], np.zeros(3, bool), rng, wait=2)
    both.append([1], np.zeros(3, bool), rng, wait=2)
    assert both.log.new_frames == slice(end, end + 3)
    assert [both.log.origin(end + k) for k in range(3)] == [(2, 8), (0, 8), (1, 9)]


def test_what_it_hands_about_cannot_be_written_to():
    both = Both(2, 1)
    play(both, 1)
    with pytest.raises(ValueError, match="read-only"):
        both.log.last[0] = 7
