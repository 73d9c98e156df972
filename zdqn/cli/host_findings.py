"""How what was found of hosts, or of Slurm, before a launch is printed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from zdqn.cli.findings_page import show_finding, sum_up

if TYPE_CHECKING:
    from zdqn.launch.cluster.preflight import HostFinding


def show_findings(findings: Sequence[HostFinding]) -> None:
    """Print what was found of each host; the exit code is that of the first that is bad."""
    width = max(len(finding.host) for finding in findings) + 2
    for finding in findings:
        show_finding(finding.verdict, finding.host, finding.text, finding.remedy, width)
    click.echo(sum_up([finding.verdict for finding in findings], "thing"))
    codes = [finding.exit_code for finding in findings if finding.exit_code]
    click.get_current_context().exit(codes[0] if codes else 0)
