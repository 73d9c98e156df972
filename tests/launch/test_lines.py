"""Parts fit or are left out whole; words stay whole; nothing steers a terminal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zdqn.launch.lines import (
    Part,
    as_ascii,
    cut_to_fit,
    joined,
    padded,
    printable,
    shortened,
    spread,
    text_of,
    width_of,
    wrapped,
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"), ("two\nlines\tand", "two lines and"), ("\x1b[31mred", "?[31mred"),
        ("\x9b2J", "?2J"), ("\x07\x7f\x00", "???"), ("a‮b", "a?b"), ("\ud800", "?"),
        ("[red]kept[/red]", "[red]kept[/red]"), (7, "7"), ("é環", "é環"),
    ],
)  # fmt: skip
def test_printable(text, shown):
    assert printable(text) == shown


@given(st.text())
def test_whatever_is_printable_stays_on_its_line(text):
    assert printable(text).isprintable()


@pytest.mark.parametrize(
    ("text", "cells"), [("", 0), ("abc", 3), ("環境", 4), ("é", 1), ("e\u0301", 1), ("━●", 2)]
)
def test_width(text, cells):
    assert width_of(text) == cells


PARTS = [Part("one", "", 9), Part("twotwo", "", 1), Part("three", "", 5)]


@pytest.mark.parametrize(
    ("width", "text"),
    [(50, "one, twotwo, three"), (18, "one, twotwo, three"), (17, "one, three"), (10, "one, three"),
     (9, "one"), (3, "one"), (2, "o…"), (1, "…")],
)  # fmt: skip
def test_the_least_important_part_goes_first(width, text):
    assert text_of(joined(PARTS, width)) == text


def test_of_equals_the_last_goes_first_and_empty_ones_do_not_show():
    assert text_of(joined([Part("a"), Part(""), Part("b"), Part("c")], 4)) == "a, b"
    assert joined([Part("")], 10) == ()


@pytest.mark.parametrize(
    ("text", "width", "short"),
    [
        ("18,300 of 50,000 transitions", 28, "18,300 of 50,000 transitions"),
        ("18,300 of 50,000 transitions", 27, "18,300 of 50,000 …"),
        ("18,300 of 50,000 transitions", 10, "18,300 …"),
        ("18,300 of 50,000 transitions", 6, "…"),
        ("collector", 5, "coll…"),
        ("collector", 0, ""),
    ],
)
def test_words_are_left_out_whole_and_half_a_number_is_no_number(text, width, short):
    assert shortened(text, width) == short


def test_the_end_of_a_path_is_kept():
    assert shortened("runs/2026-11-25-cartpole", 12, keep_end=True) == "…25-cartpole"
    assert shortened("環境環境", 5, keep_end=True) == "…環境"


def test_lines_are_broken_between_words():
    assert wrapped("it computes 95 % of the time", 14) == ["it computes", "95 % of the", "time"]
    assert wrapped("antidisestablishmentarianism is", 10) == ["antidises…", "is"]
    assert wrapped("  ", 10) == []


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("", 4, []),
        ("  it", 4, ["  it"]),
        ("it is so", 5, ["it is", "so"]),
        ("runs/2026-11-29-lab", 12, ["runs/2026-", "11-29-lab"]),
        ("abcdefgh ij", 3, ["abc", "def", "gh", "ij"]),
    ],
)
def test_in_a_column_nothing_is_left_out(text, width, lines):
    assert cut_to_fit(text, width) == lines


def test_two_ends_of_a_line():
    left, right = (Part("left"),), (Part("right"),)
    assert text_of(spread(left, right, 12)) == "left   right"
    assert text_of(spread(left, right, 10)) == "left"


def test_padding():
    assert padded("環", 4) == "環  "
    assert padded("7", 3, right=True) == "  7"
    assert padded("long", 2) == "long"


def test_ascii():
    assert as_ascii((Part("Käfer", "bold"),)) == (Part("K?fer", "bold"),)
