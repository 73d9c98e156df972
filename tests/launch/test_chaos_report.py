"""What is said of a run whose roles were killed."""

import pytest

from zdqn.launch.chaos_report import (
    account_fault,
    account_lines,
    closing_line,
    ended_without_learner,
    strike_table,
)
from zdqn.launch.plan import PlannedProcess
from zdqn.launch.strikes import Recovery

SUMMARY = {
    "blocks_sent": 1_010, "blocks": 1_000, "blocks_lost": 7, "blocks_refused": 1,
    "blocks_in_flight": 2, "transitions": 32_000, "memory_restarts": 2,
    "best_evaluation_return": 500.0, "final_evaluation_return": 470.0,
}  # fmt: skip


def strike(role, took_s):
    process = PlannedProcess(role, role)
    worked_s = None if took_s is None else 10 + took_s
    return Recovery(process, 10.0, begins_anew=True, worked_s=worked_s)


def test_the_table():
    strikes = [strike("collector", 1.0), strike("collector", 3.0), strike("memory", None)]
    assert strike_table([*strikes, strike("collector", 2.5)], "killed") == [
        "            killed   worked again   median   longest",
        "memory           1              0",
        "collector        3              3    2.5 s     3.0 s",
        "all              4              3    2.5 s     3.0 s",
    ]


def test_a_table_of_nobody():
    assert strike_table([], "killed")[1:] == ["all        0              0"]


def test_where_the_blocks_are():
    assert account_lines(SUMMARY) == [
        "blocks        1,010 sent = 1,000 stored + 7 lost + 1 refused + 2 in flight",
        "transitions   32,000 stored, by 3 starts of the memory",
        "evaluation    best 500, final 470",
    ]


@pytest.mark.parametrize(
    ("changes", "told", "words"),
    [
        ({}, 1_010, ""),
        ({"blocks_lost": 6}, 0, "1,010 were sent, and 1,000 + 6 + 1 + 2 = 1,009 are stored"),
        ({"blocks_lost": -1, "blocks": 1_008}, 0, "not exact"),
        ({}, 1_011, "knows of 1,010 that were sent, and collectors were heard to say 1,011"),
    ],
)
def test_an_account_that_is_not_exact(changes, told, words):
    fault = account_fault(SUMMARY | changes, told)
    assert bool(fault) == bool(words)
    assert words in fault


def test_no_account():
    assert "summary.json lacks blocks_sent, blocks, " in account_fault({}, 0)


def test_only_a_learner_that_is_away_and_left_no_summary_excuses_a_run_without_account():
    assert ended_without_learner([strike("memory", 1.0), strike("learner", None)], {})
    assert not ended_without_learner([strike("learner", None)], SUMMARY)
    assert not ended_without_learner([strike("learner", 1.0), strike("memory", None)], {})


def test_the_last_line():
    assert "nobody was struck" in closing_line([])
    assert "came back; the account" in closing_line([strike("memory", 1.0)])
    assert "but for 1 that had" in closing_line([strike("memory", 1.0), strike("memory", None)])
