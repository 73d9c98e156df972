"""Keeps the roles of a host when there is no launcher any more: starts again those that may be."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable

from zdqn.launch.cluster.frames import (
    EndedReport,
    Frame,
    InputOrder,
    OutputReport,
    StartOrder,
)
from zdqn.launch.plan import (
    Consequence,
    Ending,
    LastWord,
    PlannedProcess,
    consequence,
    describe_exit,
    ending_of,
)
from zdqn.launch.restarts import Restarts

_TICK_S = 0.2


class Keeper:
    """Remembers what each process was told, and tells it again when it has to be started again.

    What follows from an end is what follows in a run with a launcher (`zdqn.launch.plan.OUTCOMES`),
    as far as one host can know: whether others are needed it cannot.

    Args:
        start: starts a process.
        write_input: hands it bytes.
        say: told what a log should have, with the name of the process.
    """

    def __init__(
        self,
        *,
        start: Callable[[StartOrder], None],
        write_input: Callable[[str, bytes], None],
        say: Callable[[str, str], None],
    ) -> None:
        self._start = start
        self._write_input = write_input
        self._say = say
        self._orders: dict[str, StartOrder] = {}
        self._told: dict[str, bytes] = {}
        self._words: dict[str, LastWord] = {}
        self._living: set[str] = set()
        self._restarts = Restarts(0)
        self._lock = threading.Lock()
        self.ends: dict[str, int] = {}
        self.keeps = False

    @property
    def has_begun(self) -> bool:
        """Whether any process was started here."""
        return bool(self._orders)

    def keep(self, max_restarts: int) -> None:
        """Go on without a launcher from now on."""
        self._restarts.most = max_restarts
        self.keeps = True

    def note(self, order: object) -> None:
        """Remember an order that a process would need again."""
        if isinstance(order, StartOrder):
            self._orders[order.name] = order
            self._told[order.name] = b""
            with self._lock:
                self._living.add(order.name)
        elif isinstance(order, InputOrder) and not self.keeps:
            self._told[order.name] = self._told.get(order.name, b"") + order.data

    def see(self, report: Frame) -> None:
        """See what a process says, and whether it ends."""
        if isinstance(report, OutputReport):
            self._read_word(report)
        elif isinstance(report, EndedReport):
            self._take_end(report)

    def _read_word(self, report: OutputReport) -> None:
        try:
            told = json.loads(report.line)
        except ValueError:
            return
        if isinstance(told, dict) and isinstance(told.get("ended"), dict):
            self._words[report.name] = LastWord(**told["ended"])
        elif isinstance(told, dict) and "failed" in told and self.keeps:
            self._say(report.name, str(told["failed"].get("message", "")))

    def _take_end(self, report: EndedReport) -> None:
        name, word = report.name, self._words.pop(report.name, None)
        self.ends[name] = report.code
        ending = ending_of(report.code, word)
        with self._lock:  # it lives, or is due, or neither, whenever somebody looks
            comes_back = self.keeps and self._comes_back(name, ending)
            if comes_back:
                self._restarts.plan(self._planned(name))
            self._living.discard(name)
        if self.keeps and not comes_back and ending is not Ending.OVER:
            self._say(name, f"{name} {describe_exit(report.code, word)}; it stays so")

    def _comes_back(self, name: str, ending: Ending) -> bool:
        what = consequence(
            self._orders[name].role,
            ending,
            restarts_left=self._restarts.are_left(name),
            needed=False,
            asked=False,
        )
        return what is Consequence.RESTART

    def _planned(self, name: str) -> PlannedProcess:
        order = self._orders[name]
        return PlannedProcess(order.role, name, order.environment)

    def run(self) -> None:
        """Start again what is due, until nothing lives and nothing is due any more."""
        pause = threading.Event()
        while not self._is_done():
            for planned in self._take_due():
                count = self._restarts.count(planned.name)
                self._say(planned.name, f"starting {planned.name} again ({count} of "
                          f"{self._restarts.most})")  # fmt: skip
                self._start(self._orders[planned.name])
                self._write_input(planned.name, self._told[planned.name])
            pause.wait(_TICK_S)

    def _is_done(self) -> bool:
        with self._lock:
            return not self._living and not self._restarts.waiting()

    def _take_due(self) -> list[PlannedProcess]:
        with self._lock:
            due = self._restarts.take_due()
            self._living.update(planned.name for planned in due)
            return due
