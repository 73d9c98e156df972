"""How what was found is printed."""

import pytest

from zdqn.cli.findings_page import show_finding, sum_up


def test_a_finding_is_a_line_with_what_to_do(capsys):
    show_finding("bad", "alpha", "it is down", "Start it.", 8)
    show_finding("good", "beta\x1b[31m", "all well.", "", 8)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "BAD  alpha   it is down. Start it."
    assert "\x1b[31m" not in lines[1]


@pytest.mark.parametrize(
    ("verdicts", "said"),
    [
        (["good"], "1 thing looked at: all are well"),
        (["good", "odd"], "2 things looked at: 1 to look at"),
        (["bad", "bad", "odd"],
         "3 things looked at: 2 would keep a run from working, 1 to look at"),
    ],
)  # fmt: skip
def test_what_wants_something_done_is_counted(verdicts, said):
    assert sum_up(verdicts, "thing") == said
