"""``zdqn compare``: two runs side by side."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

import click

from zdqn.cli.closing_words import say
from zdqn.cli.options import json_option

_GAP = "  "
_LEAST_COLUMN = 10
_PIPED_WIDTH = 80
"""Cells of a line where it is no terminal that shows it."""


@click.command()
@click.argument("one", metavar="RUN_DIR", type=click.Path(path_type=Path))
@click.argument("other", metavar="RUN_DIR", type=click.Path(path_type=Path))
@json_option
def compare(one: Path, other: Path, as_json: bool) -> None:
    """Say in what two runs differ, and what came of each."""
    from zdqn.launch.canvas import terminal_width
    from zdqn.launch.waiting import shown_progress

    with shown_progress("comparing"):
        from zdqn.experiments.run_comparison import compare_runs

        found = compare_runs(one, other)
    if as_json:
        click.echo(json.dumps({"runs": found.names, **found.values}, indent=2, default=str))
        return
    if not found.configuration:
        click.echo("The configurations are the same.")
    width = terminal_width(sys.stdout) or _PIPED_WIDTH
    blank = ("", "", "")
    for line in aligned([("", *found.names), *found.configuration, blank, *found.results], width):
        click.echo(line)
    click.echo()
    say(found.note)


def aligned(rows: Sequence[tuple[str, str, str]], width: int) -> list[str]:
    """Put rows of three cells below each other; what is too long for its column goes on below.

    Args:
        rows: of what it is about, and what each of two has.
        width: cells that a line has at most.
    """
    from zdqn.launch.lines import cut_to_fit, padded, printable, width_of

    cells = [[printable(cell) for cell in row] for row in rows]
    keys, one, other = (max(width_of(row[column]) for row in cells) for column in range(3))
    keys = min(keys, width // 2)
    left = max(width - keys - 2 * len(_GAP), 2 * _LEAST_COLUMN)
    rooms = (keys, *_shared(one, other, left))
    cut = [[cut_to_fit(*pair) for pair in zip(row, rooms, strict=True)] for row in cells]
    widths = [max(width_of(line) for row in cut for line in (*row[i], "")) for i in range(3)]
    lines = []
    for row in cut:
        texts = list(zip_longest(*row, fillvalue="")) or [("", "", "")]
        lines += [_GAP.join(map(padded, text, widths)).rstrip() for text in texts]
    return lines


def _shared(one: int, other: int, room: int) -> tuple[int, int]:
    """Give two columns the cells that they need, or each half of what there is, or the rest."""
    half = room // 2
    if one + other <= room or one <= half:
        return one, min(other, room - one)
    return (room - other, other) if other <= half else (half, room - half)
