"""How a run ended is printed for where it is read."""

import pytest

from zdqn.cli.closing_words import print_summary

SUMMARY = {"verdict": 12 * "seven words "}


@pytest.mark.parametrize(("width", "lines"), [(None, 1), (80, 3), (40, 8)])
def test_lines_are_broken_on_a_terminal_alone(monkeypatch, capsys, width, lines):
    monkeypatch.setattr("zdqn.launch.canvas.terminal_width", lambda: width)
    print_summary(SUMMARY)
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == lines
    assert max(map(len, printed)) <= (width or 1_000)
