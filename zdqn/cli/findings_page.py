"""How what was found is printed: a mark, what was looked at, and what to do about it."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

_MARKS = {"good": ("ok", "green"), "odd": ("look", "yellow"), "bad": ("BAD", "red")}
"""Verdict to the word for it, and its color."""
_MARK_WIDTH = 5


def show_finding(verdict: str, subject: str, text: str, remedy: str, width: int) -> None:
    """Print a finding; its lines are broken between words, and begin below each other.

    Args:
        verdict: "good", "odd" or "bad".
        subject: what was looked at.
        text: what was found.
        remedy: what to do about it, or "".
        width: cells for the subject.
    """
    from zdqn.launch.canvas import terminal_width
    from zdqn.launch.lines import broken, printable

    word, color = _MARKS[verdict]
    room = terminal_width(sys.stdout)
    text, remedy = printable(text), printable(remedy)
    if remedy:
        text += f"{'' if text.endswith(('.', '?')) else '.'} {remedy}"
    indent = _MARK_WIDTH + width
    lines = [text] if room is None else broken(text, max(room - indent, 20))
    head = click.style(f"{word:<{_MARK_WIDTH}}", fg=color) + f"{printable(subject):<{width}}"
    for number, line in enumerate(lines):
        click.echo(f"{'' if number else head}{' ' * indent if number else ''}{line}")


def sum_up(verdicts: Sequence[str], name: str) -> str:
    """Say in a line how much of what was found wants something done.

    Args:
        verdicts: of all that was found.
        name: what each is called, such as "thing".
    """
    from zdqn.launch.wording import counted

    words = [str(verdict) for verdict in verdicts]
    bad, odd = words.count("bad"), words.count("odd")
    if not bad and not odd:
        return f"{counted(len(words), name)} looked at: all are well"
    parts = [f"{bad} would keep a run from working"] if bad else []
    parts += [f"{odd} to look at"] if odd else []
    return f"{counted(len(words), name)} looked at: {', '.join(parts)}"
