"""What a look at something has found."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from zdqn.errors import ZdqnError


class Verdict(StrEnum):
    """How good it is."""

    GOOD = "good"
    """Nothing to do."""
    ODD = "odd"
    """A run works, and may be slow, or fail later."""
    BAD = "bad"
    """A run would not work."""


class Finding(NamedTuple):
    """What was found.

    Attributes:
        subject: what was looked at, such as "open files".
        verdict: how good it is.
        text: what was found; sentences, or a few words and numbers.
        remedy: what to do about it; "" where there is nothing to do, or `text` says it.
        exit_code: of the error that a run would end with; 0 unless it is bad.
    """

    subject: str
    verdict: Verdict
    text: str
    remedy: str = ""
    exit_code: int = 0


def good(subject: str, text: str) -> Finding:
    """Make a finding with which nothing is wrong."""
    return Finding(subject, Verdict.GOOD, text)


def odd(subject: str, text: str, remedy: str) -> Finding:
    """Make a finding that does not keep a run from working."""
    return Finding(subject, Verdict.ODD, text, remedy)


def bad(subject: str, error: ZdqnError, remedy: str = "") -> Finding:
    """Make a finding of the error that a run would end with."""
    return Finding(subject, Verdict.BAD, str(error), remedy, error.exit_code)
