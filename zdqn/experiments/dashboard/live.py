"""What pages are told of a run as it goes on: one look at it for all of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from zdqn.experiments.dashboard.observer import RunObserver
from zdqn.experiments.dashboard.page_state import describe_page
from zdqn.experiments.dashboard.seen import Film, Seen
from zdqn.records.run_series import PROGRESS, Columns, EvaluationRow, Series

logger = logging.getLogger("zdqn")

PERIOD_S = 1.0
"""Between two looks while a page is open."""
IDLE_PERIOD_S = 5.0
"""Between two looks while none is."""
CURVES_PERIOD_S = 3.0
"""Between two times that all curves are sent, which are many numbers."""
MOST_READERS = 32

_TICK_S = 0.1
_DIGITS = 6


class LiveRun:
    """Looks at a run again and again, and tells each page that is open.

    All methods but `close` are for one event loop.

    Args:
        observer: looks.
        period_s: between two looks while a page is open.
        idle_period_s: between two looks while none is.
    """

    def __init__(
        self,
        observer: RunObserver,
        *,
        period_s: float = PERIOD_S,
        idle_period_s: float = IDLE_PERIOD_S,
    ) -> None:
        self._observer = observer
        self._period_s = period_s
        self._idle_period_s = idle_period_s
        self._looks = 0
        self._readers = 0
        self._is_closed = False
        self._state = b""
        self._trouble = ""
        self._seen: Seen | None = None

    @property
    def is_full(self) -> bool:
        """Whether as many pages are open as are told."""
        return self._readers >= MOST_READERS

    @property
    def film(self) -> Film | None:
        """The last film."""
        return self._seen.film if self._seen is not None else None

    async def run(self) -> None:
        """Look until it is closed; looking itself is done in another thread."""
        clock = asyncio.get_running_loop().time
        while not self._is_closed:
            began_s, watched = clock(), self._readers > 0
            await self._look(watched)
            while clock() - began_s < self._pause_s(watched):
                await asyncio.sleep(_TICK_S)

    async def _look(self, watched: bool) -> None:
        try:
            seen = await asyncio.to_thread(self._observer.look, is_watched=watched)
            state = msgspec.json.encode({**describe_page(seen), "look": self._looks + 1})
        except Exception as error:  # noqa: BLE001 - a page must not end with what it shows
            if repr(error) != self._trouble:
                self._trouble = repr(error)
                logger.warning("the dashboard could not look at the run: %r", error)
            return
        self._state, self._seen = state, seen
        self._looks += 1

    def _pause_s(self, watched: bool) -> float:
        """Give how long to wait; not at all for somebody who has just begun to look, or the end."""
        if self._is_closed or (self._readers and not watched):
            return 0.0
        return self._period_s if self._readers else self._idle_period_s

    async def state(self) -> bytes:
        """Give the run's present, as JSON; the first look is waited for."""
        while not self._looks and not self._is_closed:
            await asyncio.sleep(_TICK_S)
        return self._state or b"{}"

    async def curves(self) -> bytes:
        """Give the run's past, as JSON."""
        await self.state()
        return encode_curves(self._seen.series) if self._seen is not None else b"{}"

    async def events(self) -> AsyncIterator[bytes]:
        """Give the run's present at each look, and its past when there is more of it."""
        clock = asyncio.get_running_loop().time
        self._readers += 1
        try:
            told, version, curves_s = 0, -1, -CURVES_PERIOD_S
            yield b"retry: 2000\n\n"
            while not self._is_closed:
                if self._looks == told or self._seen is None:
                    await asyncio.sleep(_TICK_S)
                    continue
                told = self._looks
                yield _event("state", self._state)
                series = self._seen.series
                if series.version != version and clock() - curves_s >= CURVES_PERIOD_S:
                    version, curves_s = series.version, clock()
                    yield _event("curves", encode_curves(series))
        finally:
            self._readers -= 1

    def close(self) -> None:
        """End all that waits; any thread may ask for it."""
        self._is_closed = True


def _event(name: str, data: bytes) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + data + b"\n\n"


def encode_curves(series: Series) -> bytes:
    """Write curves as JSON, with no more digits than a picture shows."""
    curves: dict[str, Any] = {
        "version": series.version,
        "metrics": _rounded(series.metrics),
        "evaluations": _rounded(series.evaluations),
        "best": _place_of(series.best) if series.best is not None else None,
    }
    return msgspec.json.encode(curves)


def _place_of(best: EvaluationRow) -> dict[str, float]:
    """Give where the best evaluation is in the picture, over whatever that is drawn."""
    return {name: getattr(best, name) for name in (*PROGRESS, "mean")}


def _rounded(columns: Columns) -> dict[str, list[float | int | None]]:
    return {name: [_short(value) for value in values] for name, values in columns.items()}


def _short(value: float | None) -> float | int | None:
    if value is None or isinstance(value, int):
        return value
    return float(f"{value:.{_DIGITS}g}")
