"""Lines of a screen: parts that fit a width or are left out whole, and words that stay whole.

A line is made of parts, each with a style. What does not fit is left out by importance, so that no
number and no word is ever cut in two.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Part(NamedTuple):
    """Some text of one style.

    Attributes:
        text: one line, with printable characters alone; see `printable`.
        style: such as "bold" or "yellow"; "" for the terminal's own.
        importance: parts with the lowest are left out first where there is no room.
    """

    text: str
    style: str = ""
    importance: int = 0


Line = tuple[Part, ...]


class Glyphs(NamedTuple):
    """What is drawn with.

    Attributes:
        levels: of a curve, from low to high.
        done: of a bar.
        left: of a bar.
        good: beside a role that does well.
        waits: beside one that waits for others.
        odd: beside one that should be looked at.
        bad: beside one that has gone.
        cut: in place of what was left out of a long word.
    """

    levels: str
    done: str
    left: str
    good: str
    waits: str
    odd: str
    bad: str
    cut: str


UNICODE = Glyphs("▁▂▃▄▅▆▇█", "━", "─", "●", "○", "▲", "✗", "…")
ASCII = Glyphs("_.-~=+*#", "#", "-", "+", "o", "!", "x", "~")


_HARD_SPACE = "\0"  # it is in no printable text


_BREAKS = "/-_.,"


def printable(text: object) -> str:
    """Give a text from elsewhere as one line without anything that steers a terminal."""
    return "".join(
        character if character.isprintable() else " " if character.isspace() else "?"
        for character in str(text)
    )


def width_of(text: str) -> int:
    """Give the number of cells that a text takes."""
    if text.isascii():
        return len(text)
    return sum(_cells(character) for character in text)


def _cells(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def text_of(line: Iterable[Part]) -> str:
    """Give a line without its styles."""
    return "".join(part.text for part in line)


def joined(parts: Iterable[Part], width: int, *, joint: str = ", ", cut: str = "…") -> Line:
    """Put parts into a line of at most `width` cells; what has no text is left out.

    Args:
        parts: in the order in which they are shown.
        width: cells, >= 1.
        joint: between two of them.
        cut: stands for what is left out of the only part that is left, if that is too long.
    """
    kept = [part for part in parts if part.text]
    while len(kept) > 1 and _width(kept, joint) > width:
        least = min(part.importance for part in kept)
        kept.pop(max(i for i, part in enumerate(kept) if part.importance == least))
    if kept and _width(kept, joint) > width:
        kept = [kept[0]._replace(text=shortened(kept[0].text, width, cut))]
    line: list[Part] = []
    for part in kept:
        if line:
            line.append(Part(joint))
        line.append(part)
    return tuple(line)


def _width(parts: Sequence[Part], joint: str) -> int:
    return sum(width_of(part.text) for part in parts) + len(joint) * (len(parts) - 1)


def shortened(text: str, width: int, cut: str = "…", *, keep_end: bool = False) -> str:
    """Give a text in at most `width` cells, with a mark where something was left out.

    Words are left out whole. Only a single word is cut, and a number never is: half of it would be
    another number.

    Args:
        text: what is shortened, if it has to be.
        width: cells.
        cut: the mark.
        keep_end: keep the end of the text, which tells paths apart; its words may be cut.
    """
    room = width - width_of(cut)
    if width_of(text) <= width or room < 0:
        return text if width_of(text) <= width else ""
    if keep_end:
        return cut + _beginning(text[::-1], room)[::-1]
    words = text.split(" ")
    for count in range(len(words) - 1, 0, -1):
        kept = " ".join(words[:count])
        if width_of(kept) < room:
            return f"{kept} {cut}"
    return cut if any(map(str.isdigit, words[0])) else _beginning(words[0], room) + cut


def _beginning(text: str, width: int) -> str:
    kept = ""
    for character in text:
        if width_of(kept + character) > width:
            break
        kept += character
    return kept


def wrapped(text: str, width: int, cut: str = "…") -> list[str]:
    """Break a text between words; only a word that is longer than a line is shortened.

    A number and the % behind it are one word.
    """
    lines: list[str] = []
    for word in " ".join(text.split()).replace(" %", _HARD_SPACE + "%").split(" "):
        word = shortened(word.replace(_HARD_SPACE, " "), width, cut)
        if lines and width_of(lines[-1]) + 1 + width_of(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines if text.strip() else []


def broken(text: str, width: int) -> list[str]:
    """Break a text between words; a word that is longer than a line, such as a path, stays whole.

    For what somebody may want to copy.
    """
    lines: list[str] = []
    for word in text.split():
        if lines and width_of(lines[-1]) + 1 + width_of(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def cut_to_fit(text: str, width: int) -> list[str]:
    """Break a text into lines that are no wider, for a column of a table: nothing is left out.

    It is broken between words; a word that is longer than a line, such as a path, behind the last
    of `_BREAKS` that fits, or anywhere.
    """
    if width_of(text) <= width:
        return [text] if text.strip() else []
    lines: list[str] = []
    for line in broken(text, width):
        rest = line
        while width_of(rest) > width:
            piece = _beginning(rest, width) or rest[0]
            behind = max(piece.rfind(mark) for mark in _BREAKS) + 1
            piece = piece[:behind] if behind else piece
            lines.append(piece)
            rest = rest[len(piece) :]
        lines.append(rest)
    return lines


def spread(left: Line, right: Line, width: int) -> Line:
    """Put one line at the left and another at the right end, if both fit; else the left alone."""
    gap = width - width_of(text_of(left)) - width_of(text_of(right))
    return (*left, Part(" " * gap), *right) if gap >= 2 else left


def padded(text: str, width: int, *, right: bool = False) -> str:
    """Fill a text up with spaces, at its end or (for numbers) at its beginning."""
    spaces = " " * max(width - width_of(text), 0)
    return spaces + text if right else text + spaces


def as_ascii(line: Line) -> Line:
    """Give a line for a terminal that knows no other characters."""
    return tuple(
        part._replace(text=part.text.encode("ascii", "replace").decode("ascii")) for part in line
    )
