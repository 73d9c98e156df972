"""A bar for whoever waits at a terminal, and nothing for a log."""

import sys

import pytest

from tests.launch.terminal import Terminal
from zdqn.launch.progress_bar import shown_progress

CODE = """
import subprocess
subprocess.run(["stty", "-echo"], check=True)  # what is typed would move the bar
from zdqn.launch.progress_bar import shown_progress
with shown_progress("evaluating", {total}, "episodes") as done:
    done(3)
    input()
print("over")
"""


@pytest.mark.parametrize(("total", "shown"), [(8, "3 of 8 episodes"), (None, "3 episodes")])
def test_a_person_sees_how_far_it_is_and_nothing_of_it_when_it_is_over(total, shown):
    terminal = Terminal([sys.executable, "-c", CODE.format(total=total)], columns=100)
    try:
        terminal.read_until(lambda _: shown in terminal.raw, shown)
        terminal.type(b"\n")
        assert terminal.finish() == 0
        assert terminal.screen.text()[-1].strip() == "over"
        assert not any("episodes" in line for line in terminal.screen.text())
    finally:
        terminal.close()


def test_a_log_has_nothing_of_it(capsys):
    with shown_progress("evaluating", 8, "episodes") as done:
        done(3)
    assert capsys.readouterr() == ("", "")
