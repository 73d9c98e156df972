"""``zdqn compare``: two runs side by side."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click

from zdqn.cli.closing_words import say
from zdqn.cli.options import json_option

_LONGEST_CELL = 44


@click.command()
@click.argument("one", metavar="RUN_DIR", type=click.Path(path_type=Path))
@click.argument("other", metavar="RUN_DIR", type=click.Path(path_type=Path))
@json_option
def compare(one: Path, other: Path, as_json: bool) -> None:
    """Say in what two runs were configured differently, and what came of each."""
    from zdqn.launch.waiting import shown_progress

    with shown_progress("comparing"):
        from zdqn.experiments.run_comparison import compare_runs

        found = compare_runs(one, other)
    if as_json:
        tables = {"configuration": found.configuration, "results": found.results}
        rows = {table: {key: values for key, *values in its} for table, its in tables.items()}
        click.echo(json.dumps({"runs": found.names, **rows}, indent=2))
        return
    if not found.configuration:
        click.echo("The configurations are the same.")
    for line in aligned([("", *found.names), *found.configuration, ("",) * 3, *found.results]):
        click.echo(line)
    click.echo()
    say(found.note)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Put rows of three cells below each other; one that is too long has a line of its own."""
    from zdqn.launch.lines import padded, printable, width_of

    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [
        max((width_of(row[column]) for row in cells if width_of(row[column]) <= _LONGEST_CELL),
            default=0)
        for column in (0, 1)
    ]  # fmt: skip
    lines = []
    for key, one, other in cells:
        head = padded(key, widths[0])
        if width_of(one) > _LONGEST_CELL:
            lines += [f"{head}  {one}".rstrip(), f"{padded('', widths[0])}  {other}".rstrip()]
        else:
            lines.append(f"{head}  {padded(one, widths[1])}  {other}".rstrip())
    return lines
