"""Numbers, times and counts as a person reads them. What is not known yet becomes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_MINUTE_S, _HOUR_S, _DAY_S = 60, 3_600, 86_400


_LARGEST = 1e300
"""What a whole number may be to be written as a float: files hold any."""


def number(value: Any, form: str = "{:,.0f}", absent: str = "") -> str:
    """Write a number; what is none (yet) becomes `absent`."""
    if not _is_number(value):
        return absent
    return form.format(value)


def score(value: Any, form: str = "{}") -> str:
    """Write a return, an evaluation or a goal, such as ``187.2``, ``-21`` or ``1,234,567``."""
    if not _is_number(value):
        return ""
    return form.format(f"{value:,.0f}" if 1e4 <= abs(value) < 1e12 else f"{value:.4g}")


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, float) or abs(value) < _LARGEST


def alike(values: Sequence[float]) -> str:
    """Give the format in which numbers of a table can be compared, such as ``{:,.1f}``.

    Args:
        values: all of them, finite.
    """
    largest = max((abs(value) for value in values), default=0.0)
    if largest >= 1e12:
        return "{:.4g}"
    if largest >= 1e4 or all(float(value).is_integer() for value in values):
        return "{:,.0f}"
    return "{:,.1f}" if largest >= 100 else "{:,.2f}" if largest >= 0.1 else "{:.3g}"


def share(value: float) -> str:
    """Write a share of a whole, such as ``12 %``."""
    return f"{100 * value:.0f} %"


def counted(count: int, name: str) -> str:
    """Write a number of things, such as ``1 collector`` or ``2 collectors``."""
    return f"{count:,} {name}" if count == 1 else f"{count:,} {name}s"


def rate(per_s: float | None, form: str = "{}/s") -> str:
    """Write how often something happens, such as ``1,234/s`` or ``0.25/s``."""
    if per_s is None:
        return ""
    return form.format(f"{per_s:,.0f}" if per_s >= 10 or per_s == 0 else f"{per_s:.2g}")


def byte_size(count: int) -> str:
    """Write a number of bytes, such as ``512 B``, ``72 kB`` or ``6.8 MB``."""
    if count < 1_000:
        return f"{count} B"
    size, unit = count / 1_000, "kB"
    for larger in ("MB", "GB"):
        if size >= 999.5:
            size, unit = size / 1_000, larger
    return f"{size:,.0f} {unit}" if size >= 9.95 else f"{size:.2g} {unit}"


def duration(seconds: Any) -> str:
    """Write a duration, such as ``12 s``, ``3:05 min``, ``1:02:05 h`` or ``2 d 3:04 h``."""
    if not _is_number(seconds) or not abs(seconds) < _LARGEST:
        return ""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days:,} d {hours}:{minutes:02d} h"
    if hours:
        return f"{hours}:{minutes:02d}:{rest:02d} h"
    return f"{minutes}:{rest:02d} min" if minutes else f"{rest} s"


def elapsed(seconds: Any) -> str:
    """Write for how long something goes on already; nothing in its first second."""
    return "" if _is_number(seconds) and seconds < 1 else duration(seconds)


def lasting(seconds: Any) -> str:
    """Write the same behind a word, such as `` for 12 s``."""
    text = elapsed(seconds)
    return f" for {text}" if text else ""


def time_left(seconds: float) -> str:
    """Write how long something will take, no more exactly than anybody can know it."""
    if seconds < 10:
        return "a few s left"
    if seconds < 1.5 * _MINUTE_S:
        return f"{5 * round(seconds / 5)} s left"
    if seconds < 1.5 * _HOUR_S:
        return f"{seconds / _MINUTE_S:.0f} min left"
    if seconds < 2 * _DAY_S:
        hours, minutes = divmod(10 * round(seconds / 600), 60)
        return f"{hours} h {minutes} min left" if minutes else f"{hours} h left"
    if seconds < 1_000 * _DAY_S:
        return f"{seconds / _DAY_S:.0f} days left"
    return "years left"
