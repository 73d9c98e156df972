"""A bar with the time that is left, where somebody waits for a command at a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def shown_progress(title: str, total: int | None, unit: str) -> Iterator[Callable[[int], None]]:
    """Show a bar on standard error until the context is left; nothing where that is no terminal.

    Args:
        title: what goes on.
        total: how many there are to be; None if that is not known.
        unit: what is counted, such as "episodes".

    Yields:
        Takes how many are done.
    """
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    count = "{task.completed:,.0f}" + (" of {task.total:,.0f} " if total else " ") + unit
    times = TimeRemainingColumn() if total else TimeElapsedColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn(count), times)
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=total)
        yield lambda done: progress.update(task, completed=done)
