"""How a run ended, on standard output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click


def print_summary(summary: Mapping[str, Any]) -> None:
    """Print a summary; on a terminal no word is broken at its edge."""
    from zdqn.launch.canvas import terminal_width
    from zdqn.launch.summary import summary_lines

    for line in summary_lines(summary, terminal_width()):
        click.echo(line)
