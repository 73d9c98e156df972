import itertools

import pytest

from zdqn.errors import ConfigError, MismatchError
from zdqn.rl.limiter import SamplesPerInsertLimiter

RATIOS = (0.1, 0.3, 1.0, 2.5, 8.0, 32.0)
BATCHES = (1, 32, 500)
BLOCKS = (1, 7, 128)
ALL = list(itertools.product(RATIOS, BATCHES, BLOCKS))


def make(ratio, batch, block, *, min_size=0, window=None):
    if window is None:
        window = 2 * SamplesPerInsertLimiter.smallest_window(ratio, batch, block)
    return SamplesPerInsertLimiter(
        ratio, min_size=min_size, window=window, batch_size=batch, block_transitions=block
    )


def run(limiter, batch, block, *, rounds, inserts_a_turn, samples_a_turn):
    """Let both sides do what they may; stop when neither may do anything."""
    errors: list[float] = []
    for _ in range(rounds):
        moved = False
        for _ in range(inserts_a_turn):
            if limiter.wants_inserts():
                limiter.inserted(block)
                moved = True
        allowed = limiter.allowed_batches(limiter.inserts, batch, samples_a_turn)
        limiter.sampled(allowed * batch)
        if not moved and allowed == 0:
            return errors, True
        if limiter.inserts > limiter.min_size + 2 * block:
            errors.append(limiter.error)
    return errors, False


@pytest.mark.parametrize(("fast_inserts", "fast_samples"), [(1, 1), (50, 1), (1, 50)])
@pytest.mark.parametrize("window_factor", [1.0, 1.5, 2.0])
def test_the_two_sides_never_wait_for_each_other(fast_inserts, fast_samples, window_factor):
    for ratio, batch, block in ALL:
        window = window_factor * SamplesPerInsertLimiter.smallest_window(ratio, batch, block)
        limiter = make(ratio, batch, block, min_size=3 * block - 1, window=window)
        errors, stuck = run(
            limiter, batch, block, rounds=200, inserts_a_turn=fast_inserts,
            samples_a_turn=fast_samples,
        )  # fmt: skip
        assert not stuck, (ratio, batch, block)
        assert limiter.samples > 0 or limiter.error + limiter.window / 2 < batch
        highest = max(limiter.window / 2, ratio * block)  # the crossing of min_size may overshoot
        assert all(-limiter.window / 2 - 0.01 <= error <= highest + 0.01 for error in errors)
        counted = limiter.inserts - limiter.min_size
        assert abs(limiter.achieved - ratio) <= (highest + 0.01) / counted


def test_just_below_the_smallest_window_both_sides_stop():
    # ratio 1, B = 4, C = 4: the smallest window is 8. With 7, an error of 0 lets neither move.
    limiter = make(1.0, 4, 4, window=8)
    limiter.window = 7.0  # the constructor would refuse it
    assert not limiter.wants_inserts()
    assert limiter.allowed_batches(100, 4, 1) == 0
    limiter.window = 8.0
    assert limiter.wants_inserts()
    assert limiter.allowed_batches(100, 4, 1) == 1


@pytest.mark.parametrize(("ratio", "batch", "block"), ALL)
def test_below_the_smallest_window_there_is_an_error_that_locks_both(ratio, batch, block):
    smallest = SamplesPerInsertLimiter.smallest_window(ratio, batch, block)
    for window, locks in ((smallest * 0.99, True), (smallest, False)):
        limiter = make(ratio, batch, block)
        limiter.window = window
        # The middle of the gap between what either side needs, reached by counting by hand.
        limiter.samples = -((window / 2 - ratio * block) + (batch - window / 2)) / 2
        waiting = not limiter.wants_inserts() and limiter.allowed_batches(1, batch, 1) == 0
        assert waiting is locks


def test_a_window_that_would_lock_is_refused_with_the_smallest_that_works():
    assert SamplesPerInsertLimiter.smallest_window(8.0, 32, 16) == 160
    with pytest.raises(ConfigError) as caught:
        make(8.0, 32, 16, window=159)
    message = str(caught.value)
    assert "replay.samples_per_insert_window = 159" in message
    assert "wait for each other for ever" in message
    assert "works is 160" in message
    assert make(8.0, 32, 16, window=160).window == 160


def test_no_window_is_no_choice():
    with pytest.raises(ConfigError, match=r"samples_per_insert_window = 0 is too small"):
        make(8.0, 32, 16, window=0)


def test_without_a_ratio_any_window_goes_and_only_the_size_matters():
    limiter = make(0.0, 32, 16, min_size=10, window=1)
    assert limiter.allowed_batches(9, 32, 5) == 0
    limiter.inserted(10_000)
    assert limiter.wants_inserts()
    limiter.sampled(10**9)
    assert limiter.wants_inserts()
    assert limiter.allowed_batches(10, 32, 5) == 5


def test_the_insert_that_crosses_the_least_size_counts_its_surplus():
    limiter = make(2.0, 4, 8, min_size=10)
    limiter.inserted(8)
    assert limiter.error == 0
    assert limiter.achieved == 0.0
    assert limiter.allowed_batches(8, 4, 1) == 0
    limiter.inserted(8)
    assert limiter.error == 2.0 * 6
    assert limiter.allowed_batches(16, 4, 100) == int((12 + 20) / 4)
    limiter.sampled(12)
    assert limiter.error == 0
    assert limiter.achieved == 2.0
    assert (limiter.inserts, limiter.samples) == (16, 12)


def test_the_window_holds_back_whoever_is_ahead():
    limiter = make(1.0, 2, 2, window=8)
    assert limiter.allowed_batches(1, 2, 0) == 0
    assert limiter.allowed_batches(1, 2, 100) == 2  # down to -4
    limiter.sampled(4)
    assert limiter.allowed_batches(1, 2, 100) == 0
    for _ in range(4):  # from -4 up to 4
        assert limiter.wants_inserts()
        limiter.inserted(2)
    assert not limiter.wants_inserts()


def test_an_empty_replay_is_never_sampled():
    limiter = make(1.0, 1, 1, min_size=0)
    assert limiter.allowed_batches(0, 1, 3) == 0
    assert limiter.allowed_batches(1, 1, 3) == 2


def test_a_batch_that_the_window_can_never_let_through_is_refused():
    limiter = make(2.0, 4, 8, window=20)
    limiter.check_batch_size(4)
    with pytest.raises(MismatchError, match="batches of 5 do not fit a window of 20"):
        limiter.check_batch_size(5)
    make(0.0, 4, 8, window=20).check_batch_size(10**6)


def test_evictions_after_the_start_do_not_lock_the_learner_out():
    limiter = make(1.0, 1, 1, min_size=100)
    limiter.inserted(100)
    assert limiter.allowed_batches(90, 1, 1) == 1


@pytest.mark.parametrize(
    ("ratio", "min_size", "window", "name"),
    [
        (-1.0, 0, 0, "replay.samples_per_insert = -1.0"),
        (float("nan"), 0, 0, "replay.samples_per_insert = nan"),
        (1.0, -1, 0, "replay.min_size = -1"),
        (1.0, 0, -2, "replay.samples_per_insert_window = -2"),
    ],
)
def test_negative_numbers_are_refused(ratio, min_size, window, name):
    with pytest.raises(ConfigError, match=name):
        make(ratio, 1, 1, min_size=min_size, window=window)


def test_a_limiter_goes_on_where_another_was():
    limiter, other = make(1.0, 1, 1, min_size=5), make(1.0, 1, 1, min_size=5)
    limiter.inserted(9)
    limiter.sampled(3)
    other.load_state_dict(limiter.state_dict())
    assert (other.error, other.achieved) == (limiter.error, limiter.achieved) == (1.0, 0.75)


# --- imported transitions -------------------------------------------------------------------------


def owed_by_hand(inserts, ratio, min_size):
    """Count transition by transition: (how many, imported) in the order of their inserts."""
    there, owed = 0, 0.0
    for count, imported in inserts:
        for _ in range(count):
            if not imported and there >= min_size:
                owed += ratio
            there += 1
    return owed


@pytest.mark.parametrize("min_size", [0, 4, 100])
@pytest.mark.parametrize(
    "inserts",
    [
        [(5, False)],
        [(5, True)],
        [(5, True), (5, False)],
        [(2, False), (50, True), (3, False), (7, True), (200, False)],
        [(3, True), (90, False), (3, True), (90, False)],
    ],
)
def test_no_samples_are_owed_for_what_is_imported_nor_for_the_first(inserts, min_size):
    limiter = make(2.0, 1, 1, min_size=min_size)
    for count, imported in inserts:
        limiter.inserted(count, count if imported else 0)
    assert limiter.error == owed_by_hand(inserts, 2.0, min_size)
    assert limiter.inserts == sum(count for count, _ in inserts)


def test_what_is_imported_counts_as_inserted_before_what_came_with_it():
    limiter = make(1.0, 1, 1, min_size=4)
    limiter.inserted(10, imported=3)
    assert limiter.error == 6.0  # three imported, one to fill the replay


def test_what_is_imported_holds_nobody_back_and_fills_the_replay():
    limiter = make(8.0, 1, 1, min_size=100)
    limiter.inserted(100_000, imported=100_000)
    assert limiter.wants_inserts()
    assert limiter.allowed_batches(100_000, 1, 1) == 1
    limiter.inserted(1)
    assert limiter.error == 8.0  # collected ones count from the first on
    free = make(0.0, 1, 1, min_size=100)
    free.inserted(100, imported=100)
    assert free.wants_inserts()
    assert free.allowed_batches(100, 1, 5) == 5


def test_what_turns_out_to_be_imported_later_is_owed_no_samples():
    limiter = make(1.0, 1, 1, min_size=5)
    limiter.inserted(25)
    limiter.forgive(15)
    assert limiter.error == 5.0
    limiter.forgive(1000)
    assert limiter.error == 0.0
    limiter.inserted(1)
    assert limiter.error == 1.0


def test_a_limiter_goes_on_with_what_was_imported_and_without_an_earlier_one_knows_of_none():
    limiter, other, earlier = (make(1.0, 1, 1, min_size=5) for _ in range(3))
    limiter.inserted(9, imported=7)
    limiter.inserted(4)
    other.load_state_dict(limiter.state_dict())
    assert other.error == limiter.error == 6.0
    earlier.load_state_dict({"inserts": 13, "samples": 0})
    assert earlier.error == 8.0
