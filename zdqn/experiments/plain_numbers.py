"""Numbers as a person writes them: in titles, legends and at the ticks of an axis."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axis import Axis

_TICKS = 8
_LONG = 1e7
_SHORT = 1e-4
_FEW_DECADES = 2.5


def plain_number(value: float) -> str:
    """Write a score, such as ``487.3``, ``12,346`` or ``-0.25``; to four digits or more."""
    if 1000 <= abs(value) < 100 * _LONG:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def plain_duration(seconds: float) -> str:
    """Write a duration, such as ``7.2 s``, ``12 min`` or ``3.4 h``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    if seconds < 99.5 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def plain_tick(value: float, span: float) -> str:
    """Write the number at a tick, such as ``1,500`` or ``0.25``.

    Args:
        value: at the tick.
        span: from one end of the axis to the other, > 0; it decides how many decimals are needed.
    """
    if max(abs(value), span) >= 100 * _LONG or span < _SHORT:
        return _short_power(f"{value:.4g}")
    decimals = max(0, 1 - math.floor(math.log10(span / _TICKS)))
    text = f"{value:,.{decimals}f}"
    text = text.rstrip("0").rstrip(".") if decimals else text
    return "0" if text == "-0" else text


def plain_log_tick(value: float) -> str:
    """Write the number at a tick of a logarithmic axis, such as ``0.001``, ``1,000`` or ``1e9``."""
    if not _SHORT <= value < _LONG:
        return _short_power(f"{value:.0e}")
    if value >= 1:
        return f"{value:,.0f}"
    return f"{value:.5f}".rstrip("0")


def make_ticks_plain(axis: Axis) -> None:
    """Have an axis write its numbers plainly, linear or logarithmic as it is now."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    if axis.get_scale() != "log":

        def write(value: float, _: object) -> str:
            low, high = axis.get_view_interval()
            return plain_tick(value, abs(high - low))

        axis.set_major_formatter(FuncFormatter(write))
        return
    low, high = axis.get_view_interval()
    few = math.log10(high / low) < _FEW_DECADES
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if few else (1,), numticks=_TICKS))
    axis.set_major_formatter(FuncFormatter(lambda value, _: plain_log_tick(value)))
    axis.set_minor_formatter(NullFormatter())


def _short_power(text: str) -> str:
    """Write ``1e9`` for ``1e+09``."""
    digits, letter, power = text.partition("e")
    return f"{digits}e{int(power)}" if letter else text
