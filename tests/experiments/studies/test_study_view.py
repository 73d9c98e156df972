"""A study as lines: a view and a width in, lines out."""

import pytest

from zdqn.experiments.studies.study_view import (
    RunningRun,
    StudyView,
    draw_study,
    progress_words,
)
from zdqn.launch.lines import ASCII, text_of, width_of

VIEW = StudyView(
    title="Parts of DQN",
    directory="studies/parts",
    total=8,
    kept=2,
    finished=1,
    failed={"b/seed-0": "it ended with exit code 70"},
    running=[RunningRun("a/seed-1", 0.5, 30.0, 21.5), RunningRun("b/seed-1", 0.5, 20.0)],
    elapsed_s=90.0,
)


def text(view, width=90, **given):
    return "\n".join(text_of(line) for line in draw_study(view, width, **given))


def test_it_says_how_far_it_is_and_who_runs_and_who_failed():
    drawn = text(VIEW)
    for words in (
        "Parts of DQN", "training", "1:30 min", "62 %", "4 of 8 runs, 1 failed", "a/seed-1",
        "50 %", "evaluation 21.5", "b/seed-0", "exit code 70",
    ):  # fmt: skip
        assert words in drawn, words


def test_the_time_left_is_that_of_what_this_start_has_made():
    # three runs' worth in 90 s (two over, two halves), three left: two halves and two whole
    assert VIEW.share == 5 / 8
    assert VIEW.left_s() == pytest.approx(90)
    assert progress_words(VIEW).endswith(", 90 s left") or "min left" in progress_words(VIEW)


def test_nothing_is_said_of_the_time_before_anything_is_known():
    fresh = StudyView(title="x", directory="y", total=4, kept=3, elapsed_s=50.0)
    assert fresh.left_s() is None
    assert progress_words(fresh) == "3 of 4 runs"


def test_kept_runs_do_not_make_it_quick():
    kept = StudyView(title="x", directory="y", total=10, kept=8, finished=1, elapsed_s=100.0)
    assert kept.left_s() == pytest.approx(100)


def test_one_that_ends_says_so_and_no_time():
    ending = StudyView(
        title="x", directory="y", total=4, finished=1, elapsed_s=50.0, ending="SIGINT"
    )
    assert "stopping (SIGINT); again to end now" in text(ending)
    assert "left" not in progress_words(ending)


@pytest.mark.parametrize("width", [20, 33, 60, 200])
def test_no_line_is_wider_than_there_is_room(width):
    for glyphs in (ASCII, None):
        given = {} if glyphs is None else {"glyphs": glyphs}
        for line in draw_study(VIEW, width, **given):
            assert width_of(text_of(line)) <= min(width, 100)


def test_ascii_is_ascii():
    assert text(VIEW, glyphs=ASCII).isascii()


def test_what_comes_from_elsewhere_cannot_steer_the_terminal():
    view = StudyView(title="a\x1b[31m", directory="d\n", total=1, failed={"x": "y\x07"})
    assert "\x1b" not in text(view)
    assert "\x07" not in text(view)
