"""How often things happen a second, from counts that are looked at now and then."""

from __future__ import annotations

from collections import deque

WINDOW_S = 15.0


class Rates:
    """Rates of counters over the last few seconds, each by the clock of who counts.

    Args:
        window_s: how far it looks back.
    """

    def __init__(self, window_s: float = WINDOW_S) -> None:
        self._window_s = window_s
        self._looks: dict[str, deque[tuple[float, float]]] = {}

    def knows(self, name: str) -> bool:
        """Whether it has been told a count of this name."""
        return name in self._looks

    def look(self, name: str, at_s: float, count: float) -> None:
        """Take note of a count.

        Args:
            name: of what is counted.
            at_s: when it was so much, by any clock that goes with this name. A clock or a count
                that has gone back belongs to another start, which is looked at anew.
            count: how much.
        """
        looks = self._looks.setdefault(name, deque())
        if looks and (at_s < looks[-1][0] or count < looks[-1][1]):
            looks.clear()
        if looks and at_s == looks[-1][0]:
            return
        looks.append((at_s, count))
        while len(looks) > 2 and at_s - looks[1][0] >= self._window_s:
            looks.popleft()

    def per_s(self) -> dict[str, float]:
        """Give what is known, by name: two looks at a time apart make a rate."""
        rates = {}
        for name, looks in self._looks.items():
            (began_s, first), (at_s, last) = looks[0], looks[-1]
            if at_s > began_s:
                rates[name] = (last - first) / (at_s - began_s)
        return rates
