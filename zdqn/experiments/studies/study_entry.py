"""Carries out a study, and shows what came of it."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from zdqn.experiments.studies.study_display import choose_study_display
from zdqn.experiments.studies.study_figures import draw_study_figures
from zdqn.experiments.studies.study_folder import StudyFiles, check_record, claim
from zdqn.experiments.studies.study_outcomes import StudyOutcome, read_outcome
from zdqn.experiments.studies.study_plan import StudyPlan, default_jobs
from zdqn.experiments.studies.study_ports import check_ports
from zdqn.experiments.studies.study_results import write_results, write_tables
from zdqn.experiments.studies.study_runner import StudyRunner
from zdqn.launch.waiting import shown_progress


@dataclass(frozen=True)
class StudyEnd:
    """How a study ended.

    Attributes:
        outcome: what its finished runs show.
        failed: name to reason of runs that failed.
        results: ``results.md``; None as long as no run is finished.
        stopped: whether it was asked to stop before all runs were over.
    """

    outcome: StudyOutcome
    failed: Mapping[str, str]
    results: Path | None
    stopped: bool


def carry_out(
    plan: StudyPlan, directory: Path, *, jobs: int | None = None, stop: threading.Event
) -> StudyEnd:
    """Train what is not trained yet of a study, and write what all of it shows.

    Args:
        plan: of the study.
        directory: of its files. One that it was begun in is gone on with.
        jobs: how many runs go at once; None for as many as there are cores for.
        stop: set it to end all runs cleanly.

    Raises:
        ConfigError: when two runs that go at once would listen on one port.
        MismatchError: when another study was begun there.
        RunDirectoryTakenError: when another process trains there.
        FileError: when a file cannot be read or written.
    """
    files = StudyFiles(directory)
    jobs = jobs or default_jobs(plan, cores())
    check_ports(plan, files, jobs)
    with claim(files):
        check_record(files, plan)
        with (
            choose_study_display() as display,
            StudyRunner(plan, files, jobs=jobs, audience=display, stop=stop) as runner,
        ):
            runner.train()
        with shown_progress("reading what was trained") as progress:
            outcome = read_outcome(plan, files)
            progress.begin("drawing tables and figures")
            results = None if outcome.is_empty else show(outcome, files, jobs=jobs)
        stopped = stop.is_set() and bool(set(outcome.unfinished) - runner.failed.keys())
        return StudyEnd(outcome, runner.failed, results, stopped)


def show(outcome: StudyOutcome, files: StudyFiles, *, jobs: int) -> Path:
    """Write tables, figures and ``results.md``.

    Raises:
        FileError: when a file cannot be written.
    """
    write_tables(outcome, files)
    return write_results(outcome, files, draw_study_figures(outcome, files), jobs=jobs)


def cores() -> int:
    """Give how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
