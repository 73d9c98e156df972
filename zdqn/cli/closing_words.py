"""What is said at the end of a command, broken between words where a terminal shows it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import click


def print_summary(summary: Mapping[str, Any]) -> None:
    """Print a summary; on a terminal no word is broken at its edge."""
    from zdqn.launch.canvas import terminal_width
    from zdqn.launch.summary import summary_lines

    for line in summary_lines(summary, terminal_width(sys.stdout)):
        click.echo(line)


def say(text: str, *, err: bool = False) -> None:
    """Print a sentence or more on standard output, or on standard error."""
    from zdqn.launch.canvas import terminal_width
    from zdqn.launch.lines import broken

    width = terminal_width(sys.stderr if err else sys.stdout)
    for line in [text] if width is None else broken(text, width):
        click.echo(line, err=err)
