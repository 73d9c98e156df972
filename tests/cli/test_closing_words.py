"""How a run ended is printed for where it is read."""

import pytest

from zdqn.cli.closing_words import print_summary, say

SUMMARY = {"verdict": 12 * "seven words "}


@pytest.mark.parametrize(("width", "lines"), [(None, 1), (80, 3), (40, 8)])
def test_lines_are_broken_on_a_terminal_alone(monkeypatch, capsys, width, lines):
    monkeypatch.setattr("zdqn.launch.canvas.terminal_width", lambda _: width)
    print_summary(SUMMARY)
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == lines
    assert max(map(len, printed)) <= (width or 1_000)


def test_a_sentence_is_broken_between_words_and_a_path_stays_whole(monkeypatch, capsys):
    path = 30 * "long/"
    say(f"look at {path} and at nothing else")
    assert capsys.readouterr().out == f"look at {path} and at nothing else\n"
    monkeypatch.setattr("zdqn.launch.canvas.terminal_width", lambda _: 20)
    say(f"look at {path} and at nothing else", err=True)
    assert capsys.readouterr().err == f"look at\n{path}\nand at nothing else\n"
