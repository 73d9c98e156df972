"""How what was found before a launch is printed."""

import click
from click.testing import CliRunner

from zdqn.cli.host_findings import show_findings
from zdqn.launch.cluster.preflight import HostFinding


def show(*findings):
    return CliRunner().invoke(click.Command("show", callback=lambda: show_findings(findings)))


def test_the_first_that_is_bad_gives_the_exit_code():
    result = show(
        HostFinding("a", "good", "fine"),
        HostFinding("long", "bad", "down", "Start it.", 69),
        HostFinding("b", "bad", "full", exit_code=74),
    )
    assert result.exit_code == 69
    assert result.stdout.splitlines() == [
        "ok   a     fine",
        "BAD  long  down. Start it.",
        "BAD  b     full",
        "3 things looked at: 2 would keep a run from working",
    ]


def test_where_nothing_is_bad_it_ends_well():
    assert show(HostFinding("a", "odd", "low")).exit_code == 0
