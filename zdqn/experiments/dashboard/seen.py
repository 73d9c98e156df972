"""What a dashboard knows of its run at one moment: everything that its page is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from zdqn.launch.run_view import RunView
from zdqn.records.run_series import Series
from zdqn.wire.status import ProgressStatus

ContactKind = Literal["live", "files", "waiting", "away", "over"]


class Contact(NamedTuple):
    """Where what is shown comes from.

    Attributes:
        kind: "live" if servers answer, "files" if somebody trains and only files tell of it,
            "waiting" if nothing has begun, "away" if nobody answers, "over" if the run has ended.
        text: the same in words, for a person.
    """

    kind: ContactKind
    text: str


@dataclass(frozen=True)
class Film:
    """An episode that the dashboard has played, as one picture that holds all frames.

    Attributes:
        number: of the film, from 1.
        image: a PNG; frames go from left to right, then down.
        columns: frames in a row of it.
        frames: how many there are, >= 1.
        width: of a frame, in pixels.
        height: likewise.
        frame_s: for how long a frame is shown.
        text: what was played, and what came of it.
        made_s: when, in seconds since the epoch.
    """

    number: int
    image: bytes = field(repr=False)
    columns: int
    frames: int
    width: int
    height: int
    frame_s: float
    text: str
    made_s: float


@dataclass(frozen=True)
class Seen:
    """What is known at one moment.

    Attributes:
        view: of the run, as a terminal shows it.
        contact: where it comes from.
        name: of the run: its folder, or its address.
        has_folder: whether its files can be read; else only servers tell of it.
        series: how it went so far.
        rates: of what `view.rates` does not tell, a second: "inserts" and "samples" (of
            transitions), "publications" (of weights), "holding", "inserting" and "sampling"
            (seconds of the memory); what is not known is missing.
        summary: how the run ended; empty as long as it goes on, or where that is not known.
        samples_per_insert: the ratio that the memory keeps; None if there is none, or it is not
            known.
        endpoints: addresses of the servers that were found, by role.
        warnings: what a person should know, in sentences.
        film: the last one.
        film_why: why there is none, or no newer one; "" if there is.
        now_s: seconds since the epoch.
    """

    view: RunView
    contact: Contact
    name: str = ""
    has_folder: bool = True
    series: Series = field(default_factory=Series)
    rates: Mapping[str, float] = field(default_factory=dict)
    summary: Mapping[str, Any] = field(default_factory=dict)
    samples_per_insert: float | None = None
    endpoints: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    film: Film | None = None
    film_why: str = ""
    now_s: float = 0.0

    @property
    def is_told(self) -> bool:
        """Whether what was told last still holds."""
        return self.contact.kind in ("live", "files", "waiting")

    @property
    def is_over(self) -> bool:
        """Whether the run has ended."""
        return self.contact.kind == "over"

    @property
    def progress(self) -> ProgressStatus:
        """What the learner tells of its progress; of one that is not known, nothing."""
        learner = self.view.learner
        return learner.progress if learner is not None else ProgressStatus()
