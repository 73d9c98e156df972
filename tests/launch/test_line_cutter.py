"""Lines out of what a process writes, also of one that ends none."""

import random

import pytest

from zdqn.launch.line_cutter import LineCutter


def lines_of(cutter, *pieces, at_s=0.0):
    return [line for piece in pieces for line in cutter.take(piece, at_s)]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("patience_s", [None, 1.0])
def test_lines_come_whole_however_they_were_cut(seed, patience_s):
    draw = random.Random(seed)
    text = b"one\n\ntwo \xff\nthree\n" * 5 + b"no end"
    cuts = sorted(draw.sample(range(len(text)), 20))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    cutter = LineCutter(100, patience_s)
    assert lines_of(cutter, *pieces) + cutter.end() == text.splitlines(keepends=True)


@pytest.mark.parametrize("patience_s", [None, 1.0])
def test_output_without_an_end_is_never_held_beyond_a_bound(patience_s):
    cutter = LineCutter(64, patience_s)
    given = b""
    for count in range(1, 1000):
        pieces = cutter.take(b"x" * 10, 0.0)
        assert all(len(piece) <= 64 for piece in pieces)
        given += b"".join(pieces)
        assert count * 10 - len(given) <= 64
    assert given + b"".join(cutter.end()) == b"x" * 9990


def test_a_line_that_is_too_long_comes_in_pieces():
    cutter = LineCutter(4)
    assert lines_of(cutter, b"abcdefghi\nj\n") == [b"abcd", b"efgh", b"i\n", b"j\n"]


def test_what_waits_for_its_end_for_too_long_is_given_as_it_stands():
    cutter = LineCutter(100, 1.0)
    assert cutter.wait_s(0.0) is None
    assert cutter.take(b"loading", 5.0) == []
    assert cutter.wait_s(5.25) == 0.75
    assert cutter.due(5.9) == []
    assert cutter.take(b".", 5.9) == []  # and it does not begin anew with each piece
    assert cutter.due(6.0) == [b"loading."]
    assert cutter.wait_s(6.0) is None
    assert cutter.take(b" done\n", 7.0) == [b" done\n"]


def test_a_bar_of_progress_gives_a_line_now_and_then():
    cutter = LineCutter(1000, 1.0)
    given = []
    for tenth in range(1, 31):
        given += cutter.take(b"\r%3d %%" % tenth, tenth / 10)
    assert given == [b" 11 %", b" 22 %"]
    assert cutter.take(b"\r100 %\n", 3.1) == [b"100 %\n"]


@pytest.mark.parametrize("pieces", [(b"a\r\nb\r\n",), (b"a\r", b"\nb", b"\r\n")])
def test_a_return_before_the_end_is_no_line_of_its_own(pieces):
    assert lines_of(LineCutter(100, 1.0), *pieces) == [b"a\n", b"b\n"]


def test_without_patience_a_return_is_a_byte_like_any_other():
    assert lines_of(LineCutter(100), b"a\rb\n") == [b"a\rb\n"]
