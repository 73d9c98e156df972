"""Looks at a run for a dashboard: asks its servers, reads its files, says which of them tell."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from zdqn.errors import FileError, NotAllowedError, ZdqnError
from zdqn.experiments.dashboard.filming import FilmMaker
from zdqn.experiments.dashboard.found_config import FoundConfig
from zdqn.experiments.dashboard.seen import Contact, Film, Seen
from zdqn.launch.rates import Rates
from zdqn.launch.run_inquiry import Asked, ask_servers, identity_of, server_addresses
from zdqn.launch.run_view import RunPlan, RunView
from zdqn.launch.run_watch import RunWatch
from zdqn.launch.summary import describe_end
from zdqn.launch.wording import duration, number
from zdqn.records.run_files import RunFiles, has_ended, read_summary
from zdqn.records.run_history import History
from zdqn.records.run_lock import describe_holder
from zdqn.records.run_series import Series, SeriesReader, SeriesTables
from zdqn.roles.building import describe_limits
from zdqn.wire.keys.role_keys import RoleKeys
from zdqn.wire.status import (
    LearnerStatus,
    LimitsStatus,
    MemoryStatistics,
    MemoryStatus,
    ProgressStatus,
    RunStatus,
)

PATIENCE_S = 5.0
"""Seconds without an answer, after which a run counts as away: one may be late."""

_ROLES = ("learner", "memory")


class RunObserver:
    """Looks at one run, whoever has started it; nothing that it finds missing is an error.

    It is used by one thread at a time.

    Args:
        target: what the user named: a run directory or an address; None if `directory` was chosen.
        directory: of the run; None if an address was given.
        keys: an operator's, where servers have keys.
        films: plays episodes with what the run has learned; None if nobody does.
        clock: seconds that never go back.

    Attributes:
        directory: of the run; None if only an address is known.
        found_config: the run's configuration, once it is known.
    """

    def __init__(
        self,
        target: str | None,
        directory: Path | None,
        *,
        keys: RoleKeys | None = None,
        films: FilmMaker | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._target = target
        self.directory = directory
        self._keys = keys
        self._films = films
        self._clock = clock
        self._watch = RunWatch(RunPlan(), None, clock=clock)
        self._rates = Rates()
        self._reader = SeriesReader(directory) if directory is not None else None
        self._told = SeriesTables()
        self._told_s = -1.0
        self._heard_s: float | None = None
        self._endpoints: dict[str, str] = {}
        self.found_config = FoundConfig(directory, keys)

    def look(self, *, is_watched: bool = True) -> Seen:
        """Look at the run now.

        Args:
            is_watched: whether anybody looks at the page; no film is made for nobody.
        """
        asked = self._ask()
        self._take(asked)
        self.found_config.look(asked.answers)
        series = self._read_series()
        view = self._view(series)
        contact = self._contact(asked, view)
        if contact.kind == "files":
            view = replace(view, plan=replace(view.plan, one_process=True))
        if contact.kind != "live":
            view = self._with_what_files_tell(view, series)
        summary = _summary_of(self.directory) if contact.kind == "over" else {}
        film, why = self._film(contact, is_watched)
        config = self.found_config.config
        return Seen(
            view=view,
            contact=contact,
            name=self._name(),
            has_folder=self.directory is not None,
            series=series,
            rates=self._rates.per_s() if contact.kind == "live" else {},
            summary=summary,
            samples_per_insert=config.replay.samples_per_insert or None if config else None,
            endpoints=dict(self._endpoints),
            warnings=self._warnings(asked, view),
            film=film,
            film_why=why,
            now_s=time.time(),
        )

    def _name(self) -> str:
        return str(self._target) if self.directory is None else self.directory.resolve().name

    # --- servers --------------------------------------------------------------------------------

    def _ask(self) -> Asked:
        try:
            addresses = server_addresses(self._target, self.directory)
        except FileError as error:
            return Asked({}, [error])
        asked = ask_servers(addresses, self._keys, identity_of(self.directory))
        for role in _ROLES:
            if role in asked.answers:
                self._endpoints[role] = str(asked.answers[role]["address"])
        return asked

    def _take(self, asked: Asked) -> None:
        now_s = self._clock()
        for role, answer in list(asked.answers.items()):
            try:
                if role == "learner":
                    self._take_learner(LearnerStatus.read(answer))
                elif role == "memory":
                    self._take_memory(MemoryStatus.read(answer), now_s)
            except ZdqnError as error:
                asked.failures.append(error)
                del asked.answers[role]
        if asked.answers:
            self._heard_s = now_s
        if "memory" not in asked.answers and "learner" in asked.answers:
            learner = self._watch.view().learner
            if learner is not None and learner.memory.address:
                self._look_at(learner.memory, now_s)

    def _take_learner(self, status: LearnerStatus) -> None:
        self._watch.take_learner(status)
        if status.publications:  # an older learner does not count them
            self._rates.look("publications", status.run.wall_s, status.publications)
        progress = status.progress
        if self._reader is None and progress.wall_s != self._told_s:  # no file tells of it
            self._told_s = progress.wall_s
            self._told.add_metrics(progress)

    def _take_memory(self, status: MemoryStatus, now_s: float) -> None:
        self._watch.take_memory(status)
        self._look_at(status, now_s)

    def _look_at(self, memory: MemoryStatistics, now_s: float) -> None:
        """Take the counts of a memory, as itself or its learner tells them."""
        for name, value in _counts_of(memory).items():
            self._rates.look(name, now_s, value)

    # --- files ----------------------------------------------------------------------------------

    def _read_series(self) -> Series:
        return self._reader.read() if self._reader is not None else self._told.series()

    def _view(self, series: Series) -> RunView:
        """Give what servers tell, with the history of the files."""
        view, config = self._watch.view(), self.found_config.config
        return replace(
            view,
            plan=RunPlan.named(config) if config is not None else RunPlan(),
            directory=str(self.directory or view.directory),
            history=_history(series),
        )

    def _with_what_files_tell(self, view: RunView, series: Series) -> RunView:
        """Put the newest row of the files in place of a learner's last word that is older."""
        told_s = view.learner.progress.wall_s if view.learner is not None else -1.0
        if series.last is None or series.last.wall_s <= told_s:
            return view
        config = self.found_config.config
        limits = describe_limits(config) if config is not None else None
        return replace(view, learner=_from_files(series, limits))

    def _contact(self, asked: Asked, view: RunView) -> Contact:
        if asked.answers:
            return Contact("live", _who_answers(asked))
        refused = [error for error in asked.failures if isinstance(error, NotAllowedError)]
        if refused:  # somebody is there
            return Contact("away", str(refused[0]))
        told = self._told_by_files()
        if told is not None and told.kind != "away":
            return told
        if self._heard_s is not None and self._clock() - self._heard_s < PATIENCE_S:
            return Contact("live", "Live, though the last answer did not come in time.")
        silent = self._silence(asked)
        return Contact("away", f"{silent} {told.text}" if told is not None else silent)

    def _told_by_files(self) -> Contact | None:
        """Say what the run's folder tells of it; None if that is on another machine."""
        if self.directory is None:
            return None
        files = RunFiles(self.directory)
        holder = describe_holder(files.lock) or describe_holder(files.launch_lock)
        if holder and self._heard_s is None and not files.metrics.exists():
            return Contact("waiting", f"It starts: {holder} has the run's folder.")
        if holder and (files.endpoints.exists() or not files.metrics.exists()):
            return Contact("away", f"The run's folder is in use by {holder}.")
        if holder:
            return Contact("files", f"Trains in one process, {holder}: the run's files tell of it.")
        if has_ended(self.directory):
            return Contact("over", _how_it_ended(_summary_of(self.directory)))
        if files.results():
            return Contact(
                "away",
                "No process of this machine uses the run's folder, and its last start left no "
                "summary: it was killed, or goes on elsewhere.",
            )
        return Contact("waiting", f"Nothing has begun in {self.directory} yet.")

    def _silence(self, asked: Asked) -> str:
        """Say since when nobody has answered, and why as far as it is known."""
        if self._heard_s is None:
            return str(asked.failures[0]) if asked.failures else "Nobody answers."
        silent = duration(self._clock() - self._heard_s)
        return f"Nobody has answered for {silent}; what is below was told last."

    def _warnings(self, asked: Asked, view: RunView) -> tuple[str, ...]:
        texts = [str(error) for error in asked.failures] if asked.answers else []
        security = {
            "memory": view.memory.security if isinstance(view.memory, MemoryStatus) else "",
            "learner": view.learner.run.security if view.learner is not None else "",
        }
        texts += [
            f"The {role} is open to the network without keys (--insecure)."
            for role, word in security.items()
            if word == "open" and role in asked.answers
        ]
        return tuple(texts)

    def _film(self, contact: Contact, is_watched: bool) -> tuple[Film | None, str]:
        if self.directory is None:
            return None, (
                "An address tells no weights. Give the run's directory to see an episode of what "
                "it has learned."
            )
        if self._films is None:
            return None, "Nobody plays: the dashboard was started with --no-film."
        if is_watched:
            self._films.advance(is_over=contact.kind == "over")
        return self._films.film, self._films.why

    def close(self) -> None:
        """End a film that is being made."""
        if self._films is not None:
            self._films.close()


def _counts_of(memory: MemoryStatistics) -> Mapping[str, float]:
    return {
        "inserts": memory.transitions,
        "samples": memory.samples,
        "holding": memory.holding_inserts_back_s,
        "inserting": memory.inserting_s,
        "sampling": memory.sampling_s,
    }


def _who_answers(asked: Asked) -> str:
    names = " and ".join(role for role in _ROLES if role in asked.answers)
    return f"Live: {names} answer." if " and " in names else f"Live: the {names} answers."


def _history(series: Series) -> History:
    """Give what a terminal's view knows of the past, as far as words are made of it."""
    return History(newest=series.newest, best=series.best, evaluations=series.count)


def _from_files(series: Series, limits: LimitsStatus | None) -> LearnerStatus:
    """Give what a learner would tell, from the newest row of metrics."""
    assert series.last is not None
    values: dict[str, Any] = msgspec.structs.asdict(series.last)
    return LearnerStatus(
        run=RunStatus(phase="training", wall_s=series.last.wall_s),
        progress=ProgressStatus(**values),
        stop=limits or LimitsStatus(),
    )


def _summary_of(directory: Path | None) -> dict[str, Any]:
    """Give how a run ended; nothing where it cannot be read."""
    with suppress(FileError):
        return read_summary(directory) if directory is not None else {}
    return {}


def _how_it_ended(summary: Mapping[str, Any]) -> str:
    distance = ", ".join(
        text
        for text in (
            number(summary.get("environment_steps"), "{:,.0f} environment steps"),
            number(summary.get("updates"), "{:,.0f} updates"),
            duration(summary.get("wall_s")),
        )
        if text
    )
    return f"The run has ended ({describe_end(summary)}) after {distance}."
