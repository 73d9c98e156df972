"""Rows of metrics come often as learning begins, and then keep their period."""

from itertools import pairwise

import pytest

from zdqn.core.report_pace import ReportPace


def rows(period_s, until_s, *, first_update_s=0.0, updates=0, begin_s=0.0):
    """When rows are due to whoever asks every millisecond."""
    pace = ReportPace(period_s)
    pace.begin(begin_s, updates)
    written = []
    for millisecond in range(round(1000 * until_s)):
        now_s = begin_s + millisecond / 1000
        learns = int(millisecond / 1000 >= first_update_s)
        if pace.is_due(now_s, max(updates, learns)):
            written.append(now_s)
    return written


def test_a_run_of_three_seconds_has_a_curve():
    written = rows(1.0, 3.0)
    assert written[:3] == pytest.approx([0.1, 0.2, 0.3], abs=0.01)
    assert 15 <= len(written) <= 25


def test_the_time_between_two_grows_to_the_period_and_stays():
    written = rows(1.0, 60.0)
    gaps = [b - a for a, b in pairwise(written)]
    assert all(b >= a - 0.0015 for a, b in pairwise(gaps))
    assert gaps[-45:] == pytest.approx([1.0] * 45, abs=0.0015)
    assert len([now_s for now_s in written if now_s <= 10]) < 40, "and they are not too many"


def test_the_first_update_has_a_row_however_late_it_comes():
    written = rows(1.0, 32.0, first_update_s=30.25)
    assert written[:30] == pytest.approx([float(i) for i in range(1, 31)], abs=0.04), (
        "the period until then"
    )
    assert written[30:33] == pytest.approx([30.25, 30.35, 30.45], abs=0.01)


def test_who_goes_on_with_a_training_has_the_period_at_once():
    assert rows(1.0, 5.1, updates=7, begin_s=100.0) == pytest.approx(
        [101, 102, 103, 104, 105], abs=0.01
    )


def test_a_period_below_the_first_one_holds_throughout():
    assert rows(0.05, 0.31) == pytest.approx([0.05, 0.1, 0.15, 0.2, 0.25, 0.3], abs=0.01)


def test_no_period_is_no_row():
    assert rows(0.0, 5.0) == []
