import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zdqn.core.ledger import Ledger


def accept(ledger, session, sequence, *, transitions=10, steps=None, episodes=0):
    steps = (sequence + 1) * transitions if steps is None else steps
    return ledger.accept(session, sequence, transitions, steps, episodes)


def test_an_empty_ledger_knows_of_nothing():
    ledger = Ledger()
    assert (ledger.received, ledger.lost, ledger.duplicated) == (0, 0, 0)
    assert ledger.environment_steps == ledger.episodes == 0
    assert ledger.write_off(1, 5) == 0
    assert ledger.lost == 0


def test_blocks_without_gaps_are_all_received():
    ledger = Ledger()
    assert all(accept(ledger, 1, sequence, episodes=sequence // 2) for sequence in range(10))
    assert (ledger.received, ledger.lost, ledger.duplicated) == (10, 0, 0)
    assert (ledger.environment_steps, ledger.episodes) == (100, 4)


def test_a_gap_is_counted_by_its_length_and_its_steps_are_not_lost():
    ledger = Ledger()
    accept(ledger, 1, 0)
    accept(ledger, 1, 5)
    assert (ledger.received, ledger.lost) == (2, 4)
    assert ledger.environment_steps == 60  # the collector's own count includes the lost blocks


def test_a_block_that_comes_twice_is_dropped_and_counted():
    ledger = Ledger()
    assert accept(ledger, 1, 0)
    assert not accept(ledger, 1, 0)
    assert (ledger.received, ledger.duplicated, ledger.environment_steps) == (1, 1, 10)


def test_sessions_are_counted_apart():
    ledger = Ledger()
    accept(ledger, 1, 0)
    accept(ledger, 2, 0)
    accept(ledger, 1, 1)
    accept(ledger, 2, 3)
    assert (ledger.received, ledger.lost, ledger.environment_steps) == (4, 2, 60)


@given(
    st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["arrives", "lost", "twice"]))),
    st.lists(st.booleans(), min_size=3, max_size=3),
)
def test_received_and_lost_add_up_to_what_was_sent(schedule, finished):
    """Every collector sends blocks 0, 1, ...; the link drops and repeats some of them."""
    ledger = Ledger()
    sent = [0, 0, 0]
    arrived = [0, 0, 0]
    first = [0, 0, 0]
    last = [-1, -1, -1]
    repeated = 0
    for session, fate in schedule:
        sequence = sent[session]
        sent[session] += 1
        if fate == "lost":
            continue
        assert accept(ledger, session, sequence)
        if last[session] < 0:
            first[session] = sequence
        last[session] = sequence
        arrived[session] += 1
        if fate == "twice":
            repeated += 1
            assert not accept(ledger, session, sequence)
    assert ledger.received == sum(arrived)
    assert ledger.duplicated == repeated
    spans = [last[session] + 1 - first[session] for session in range(3)]
    assert ledger.received + ledger.lost == sum(spans)
    assert ledger.environment_steps == 10 * sum(spans)
    for session in range(3):  # the tail of a session that left is known from its goodbye
        if finished[session] and arrived[session]:
            missing = ledger.write_off(session, sent[session])
            assert missing == sent[session] - last[session] - 1
            assert ledger.write_off(session, sent[session]) == missing  # not twice
            spans[session] = sent[session] - first[session]
    assert ledger.received + ledger.lost == sum(spans)


def test_a_restarted_memory_counts_on_from_where_a_session_is():
    before, after = Ledger(), Ledger()
    for sequence in range(4):
        accept(before, 1, sequence, episodes=1)
    for sequence in range(6, 9):  # blocks 4 and 5 died with the first memory
        accept(after, 1, sequence, episodes=3)
    assert (after.received, after.lost) == (3, 0)
    assert after.environment_steps == 30  # not the 60 that earlier memories may have counted
    assert after.episodes == 0


def test_the_first_block_of_a_session_counts_all_its_steps():
    ledger = Ledger()
    accept(ledger, 1, 0, transitions=8, steps=12, episodes=2)  # n-step: more steps than transitions
    assert (ledger.environment_steps, ledger.episodes) == (12, 2)


def test_what_was_written_off_and_comes_after_all_is_not_lost():
    ledger = Ledger()
    accept(ledger, 1, 0)
    assert ledger.write_off(1, 4) == 3
    assert ledger.lost == 3
    assert accept(ledger, 1, 2)
    assert (ledger.received, ledger.lost) == (2, 1)  # block 1 is missing; 3 may still come
    assert accept(ledger, 1, 3)
    assert (ledger.received, ledger.lost) == (3, 1)


@pytest.mark.parametrize(("refused", "came", "lost"), [(0, 4, 3), (2, 4, 1), (3, 4, 0), (9, 4, 0)])
def test_what_was_sent_is_stored_refused_or_lost_and_never_two_of_them(refused, came, lost):
    ledger = Ledger()
    accept(ledger, 1, 0)
    for _ in range(refused):
        ledger.refuse(1)
    assert ledger.write_off(1, came) == lost
    ledger = Ledger()
    accept(ledger, 1, 0)
    for _ in range(refused):
        ledger.refuse(1)
    accept(ledger, 1, came)
    assert ledger.lost == lost
    accept(ledger, 1, came + 2)
    assert ledger.lost == lost + 1, "earlier refusals excuse nothing later"


def test_a_refused_block_of_a_stranger_opens_no_account():
    ledger = Ledger()
    ledger.refuse(1)
    assert ledger.accounts == {}


@pytest.mark.parametrize("blocks_sent", [0, 1, 2])
def test_nothing_is_written_off_when_all_came(blocks_sent):
    ledger = Ledger()
    accept(ledger, 1, 0)
    accept(ledger, 1, 1)
    assert ledger.write_off(1, blocks_sent) == 0
    assert ledger.lost == 0
    assert accept(ledger, 1, 2)


def test_a_collector_whose_count_goes_back_takes_no_steps_away():
    ledger = Ledger()
    accept(ledger, 1, 0, steps=100, episodes=5)
    accept(ledger, 1, 1, steps=50, episodes=2)
    assert (ledger.environment_steps, ledger.episodes) == (100, 5)


def test_a_ledger_goes_on_where_another_was():
    ledger, other = Ledger(), Ledger()
    accept(ledger, 2**63 - 1, 3, episodes=2)
    accept(ledger, 2, 0)
    accept(ledger, 2, 0)
    ledger.write_off(2, 4)
    other.load_state_dict(json.loads(json.dumps(ledger.state_dict())))
    assert vars(other) == vars(ledger)
    assert other.accounts[2] is not ledger.accounts[2]
    for session, sequence in ((2**63 - 1, 3), (2**63 - 1, 6), (2, 2), (5, 0), (2, 5)):
        assert accept(other, session, sequence) == accept(ledger, session, sequence)
        assert other.write_off(2, 9) == ledger.write_off(2, 9)
        assert vars(other) == vars(ledger)


def test_the_last_block_that_was_stored_is_known_whatever_came_since():
    ledger = Ledger()
    assert ledger.stored(1) == -1
    accept(ledger, 1, 0)
    accept(ledger, 1, 4)
    ledger.refuse(1)
    accept(ledger, 1, 2)
    ledger.pass_over(1, 5)
    assert ledger.stored(1) == 4
    again = Ledger()
    again.load_state_dict(json.loads(json.dumps(ledger.state_dict())))
    assert again.stored(1) == 4
