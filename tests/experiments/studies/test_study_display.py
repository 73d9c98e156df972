"""A study is shown on a screen where there is one, and as lines elsewhere."""

import io

from tests.launch.sheets import Sheet
from zdqn.experiments.studies import study_display
from zdqn.experiments.studies.study_display import (
    StudyLines,
    StudyScreen,
    choose_study_display,
)
from zdqn.experiments.studies.study_view import StudyView
from zdqn.launch.lines import ASCII

VIEW = StudyView(title="Parts", directory="here", total=4, finished=1, elapsed_s=5.0)


def test_lines_come_now_and_then():
    stream = io.StringIO()
    StudyLines(stream, period_s=0).show(VIEW)
    assert stream.getvalue() == "5 s: 1 of 4 runs, 15 s left\n"
    patient = io.StringIO()
    StudyLines(patient, period_s=1e9).show(VIEW)
    assert patient.getvalue() == ""


def test_a_sentence_comes_at_once():
    stream = io.StringIO()
    StudyLines(stream).say("a/seed-0 has begun")
    assert stream.getvalue() == "a/seed-0 has begun\n"


def test_a_screen_is_drawn_when_it_changes_and_no_higher_than_the_terminal():
    canvas = Sheet(60, height=3, glyphs=ASCII)
    screen = StudyScreen(canvas)
    screen.show(VIEW)
    screen.show(VIEW)
    (drawn,) = canvas.drawn
    assert len(drawn) <= 3
    assert "1 of 4 runs" in drawn[1]
    screen.say("one\ntwo \x1b[31m")
    assert canvas.said == ["one", "two ?[31m"]


def test_where_there_is_a_canvas_it_is_given_back(monkeypatch):
    canvas = Sheet(60, height=3, glyphs=ASCII)
    monkeypatch.setattr(study_display, "choose_canvas", lambda: canvas)
    with choose_study_display() as display:
        assert isinstance(display, StudyScreen)
        assert canvas.open == 1
    assert canvas.open == 0
    monkeypatch.setattr(study_display, "choose_canvas", lambda: None)
    with choose_study_display() as display:
        assert isinstance(display, StudyLines)
