"""Events in, instructions out: what is due at a moment, given how far training is."""

import math

import pytest

from zdqn.core.agenda import NOTHING, Agenda, Counters, Due, Limits, Periods
from zdqn.core.publication_pace import PublicationPace


def at(environment_steps=0, updates=0, episodes=0, evaluation_return=None):
    return Counters(environment_steps, updates, episodes, 0, evaluation_return)


def agenda(periods=None, **limits):
    return Agenda(periods or Periods(), Limits(**limits))


def begun(now_s=0.0, counters=None, **periods):
    """An agenda that has been asked once."""
    made = agenda(Periods(**periods))
    made.due(now_s, counters or at())
    return made


def test_without_any_period_nothing_is_ever_due():
    made = agenda()
    assert made.due(0.0, at()) is NOTHING
    assert made.due(1e9, at(10**9, 10**9, 10**9)) is NOTHING


def test_the_first_question_brings_the_first_publication_and_the_first_snapshot():
    made = agenda(Periods(publish_updates=10, snapshot_updates=100, report_s=1.0))
    assert made.due(7.0, at()) == Due(publish=True, snapshot=True)
    assert made.due(7.0, at()) is NOTHING


# --- publications -------------------------------------------------------------------------------


def test_weights_are_published_when_both_updates_and_time_have_passed():
    made = Agenda(Periods(publish_updates=10), Limits(), PublicationPace(0.5, 1.0))
    made.due(0.0, at())
    assert not made.due(0.6, at(updates=9)).publish
    assert not made.due(0.4, at(updates=10)).publish
    assert made.due(0.5, at(updates=30)).publish
    assert not made.due(1.1, at(updates=39)).publish
    assert made.due(1.1, at(updates=40)).publish


def test_what_publications_cost_counts_as_soon_as_it_is_known():
    pace = PublicationPace(0.0, 1.0)
    made = Agenda(Periods(publish_updates=1), Limits(), pace)
    made.due(0.0, at())
    assert made.due(0.1, at(updates=1)).publish
    pace.published(0.0, nbytes=2, subscribers=3)
    assert not made.due(6.0, at(updates=2)).publish
    assert made.due(6.2, at(updates=3)).publish


def test_without_a_pace_only_updates_count():
    made = begun(publish_updates=1)
    assert [made.due(0.0, at(updates=count)).publish for count in (0, 1, 2, 2)] == [
        False, True, True, False,
    ]  # fmt: skip


def test_unchanged_weights_are_published_again_and_only_if_nothing_newer_is():
    made = begun(publish_updates=10, republish_s=5.0)
    assert made.due(5.0, at()) is NOTHING
    assert made.due(5.1, at(updates=9)) == Due(republish=True)
    assert made.due(10.0, at(updates=9)) is NOTHING
    assert made.due(11.0, at(updates=10)) == Due(publish=True)
    assert made.due(15.9, at(updates=10)) is NOTHING


# --- snapshots ----------------------------------------------------------------------------------


def test_the_untrained_network_is_scored_too_once():
    made = agenda(Periods(snapshot_updates=10))
    assert made.snapshot_updates == -1
    assert made.due(0.0, at()).snapshot
    assert not made.due(0.0, at()).snapshot
    assert made.snapshot_updates == 0


@pytest.mark.parametrize("which", ["environment_steps", "updates", "episodes"])
def test_each_counter_has_its_own_period_for_snapshots(which):
    made = agenda(Periods(**{f"snapshot_{which}": 5}))

    def due(count):
        counters = at(1_000, 1_000, 1_000)._replace(**{which: count})
        return made.due(0.0, counters).snapshot

    assert due(0)
    assert [due(count) for count in (1, 4, 5, 6, 9, 10, 30, 31, 35)] == [
        False, False, True, False, False, True, True, False, True,
    ]  # fmt: skip


def test_the_first_period_of_snapshots_to_pass_restarts_all():
    made = agenda(Periods(snapshot_environment_steps=100, snapshot_episodes=3))
    assert made.due(0.0, at(0, 0, 0)).snapshot
    assert made.due(0.0, at(50, 0, 3)).snapshot
    assert not made.due(0.0, at(149, 0, 5)).snapshot
    assert made.due(0.0, at(150, 0, 5)).snapshot


@pytest.mark.parametrize(
    ("reason", "updates", "taken"),
    [
        ("updates", 40, True),
        ("environment_steps", 40, True),
        ("updates", 20, False),  # they were evaluated
        ("evaluation_return", 40, False),  # weights just before them were good enough
        ("", 40, False),  # somebody stopped it, and wants it to end
    ],
)
def test_the_final_weights_are_evaluated_at_the_end_of_a_training_that_reached_a_limit(
    reason, updates, taken
):
    made = begun(snapshot_updates=20)
    made.due(0.0, at(updates=20))
    assert made.takes_last_snapshot(reason, updates) is taken


def test_a_snapshot_that_was_not_due_counts_too():
    made = agenda()
    assert made.takes_last_snapshot("updates", 40)
    made.note_snapshot(at(updates=40))
    assert not made.takes_last_snapshot("updates", 40)


# --- checkpoints and reports --------------------------------------------------------------------


def test_a_checkpoint_is_due_at_every_multiple_of_its_period_even_if_it_was_passed():
    made = begun(checkpoint_updates=10)
    due = [made.due(0.0, at(updates=count)).checkpoint for count in (9, 10, 11, 19, 25, 29, 50)]
    assert due == [False, True, False, False, True, False, True]


def test_a_resumed_training_has_the_checkpoint_that_it_came_from():
    made = begun(counters=at(updates=20), checkpoint_updates=10)
    assert [made.due(0.0, at(updates=count)).checkpoint for count in (20, 29, 30)] == [
        False, False, True,
    ]  # fmt: skip


def test_reports_keep_their_distance_from_the_first_question_on():
    made = begun(100.0, report_s=1.0)
    assert [made.due(now_s, at()).report for now_s in (100.5, 101.0, 101.9, 102.5, 103.0)] == [
        False, True, False, True, False,
    ]  # fmt: skip


def test_several_things_may_be_due_at_once():
    made = begun(
        publish_updates=1, snapshot_updates=1, checkpoint_updates=1, report_s=1.0, republish_s=1.0
    )
    assert made.due(2.0, at(updates=1)) == Due(
        publish=True, snapshot=True, checkpoint=True, report=True
    )


# --- the end ------------------------------------------------------------------------------------


def test_without_limits_training_never_ends():
    assert agenda().end(1e9, at(10**9, 10**9, 10**9, 1e9)) == ""


@pytest.mark.parametrize("limit", ["updates", "environment_steps", "episodes"])
def test_each_counter_has_its_limit(limit):
    made = agenda(**{limit: 10})
    assert made.end(0.0, at(9, 9, 9)) == ""
    assert made.end(0.0, at()._replace(**{limit: 10})) == limit
    assert made.end(0.0, at()._replace(**{limit: 11})) == limit


def test_time_is_a_limit():
    made = agenda(wall_s=2.5)
    assert made.end(2.4, at()) == ""
    assert made.end(2.5, at()) == "wall_s"


@pytest.mark.parametrize("goal", [10.0, 0.0, -5.0])
def test_an_evaluation_that_is_good_enough_ends_training_and_a_goal_of_0_is_one(goal):
    made = agenda(evaluation_return=goal)
    assert made.end(0.0, at()) == ""
    assert made.end(0.0, at(evaluation_return=goal - 0.1)) == ""
    assert made.end(0.0, at(evaluation_return=goal)) == "evaluation_return"


def test_a_good_evaluation_is_named_before_other_limits():
    made = agenda(evaluation_return=1.0, updates=5)
    assert made.end(0.0, at(updates=5, evaluation_return=2.0)) == "evaluation_return"
    assert made.end(0.0, at(updates=5, evaluation_return=0.5)) == "updates"


def test_the_updates_that_are_left():
    assert agenda().updates_left(7) is None
    assert agenda(updates=10).updates_left(7) == 3
    assert agenda(updates=10).updates_left(12) == 0


# --- how far ahead nothing is due -----------------------------------------------------------------


def test_nothing_limits_updates_where_nothing_counts_them():
    assert begun(report_s=1.0, republish_s=1.0).updates_until_due(0.0, at(updates=7)) is None


def test_updates_until_something_is_due_for_their_number():
    made = Agenda(
        Periods(publish_updates=10, checkpoint_updates=25, snapshot_updates=40), Limits(updates=95)
    )
    made.due(0.0, at())
    seen, updates = [], 0
    while not made.end(0.0, at(updates=updates)):
        updates += made.updates_until_due(0.0, at(updates=updates)) or 0
        seen.append((updates, made.due(0.0, at(updates=updates))))
    due = {
        number: Due(
            publish=number % 10 == 0, checkpoint=number % 25 == 0, snapshot=number % 40 == 0
        )
        for number in range(1, 96)
        if number % 10 == 0 or number % 25 == 0 or number % 40 == 0
    }
    # 80 is in the middle of nothing, and 95 the end.
    assert seen == [*((n, d) for n, d in due.items() if n < 95), (95, NOTHING)]


def test_a_publication_that_waits_for_its_time_does_not_cut_updates_short():
    made = Agenda(Periods(publish_updates=10), Limits(), PublicationPace(5.0, 1.0))
    made.due(0.0, at())
    assert made.updates_until_due(0.0, at(updates=4)) == 6  # how long they take is not known
    assert made.updates_until_due(0.0, at(updates=10)) is None
    assert made.updates_until_due(0.0, at(updates=50)) is None


@pytest.mark.parametrize(
    ("now_s", "update_s", "until"),
    [(3.0, 0.1, 20), (3.0, 0.3, 7), (4.0, 1.0, 6), (5.0, 0.1, 6), (9.0, 0.1, 6)],
)
def test_updates_go_on_until_both_their_number_and_the_pace_let_weights_be_published(
    now_s, update_s, until
):
    made = Agenda(Periods(publish_updates=10), Limits(), PublicationPace(5.0, 1.0))
    made.due(0.0, at())
    assert made.updates_until_due(now_s, at(updates=4), update_s) == until
    waiting = made.updates_until_due(now_s, at(updates=50), update_s)
    assert waiting == (math.ceil((5.0 - now_s) / update_s) if now_s < 5.0 else None)


@pytest.mark.parametrize("which", ["environment_steps", "episodes"])
def test_a_snapshot_that_is_due_already_is_taken_after_one_update(which):
    made = begun(**{f"snapshot_{which}": 5})
    assert made.updates_until_due(0.0, at(updates=3)) is None
    assert made.updates_until_due(0.0, at(updates=3)._replace(**{which: 5})) == 1


def test_the_first_question_of_all_is_not_put_off():
    assert agenda(Periods(snapshot_updates=100)).updates_until_due(0.0, at()) == 1
