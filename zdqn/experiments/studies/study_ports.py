"""Ports that a configuration names, where several runs of a study are trained at once."""

from __future__ import annotations

from zdqn.config.explaining import show_value
from zdqn.errors import ConfigError
from zdqn.experiments.studies.study_folder import RunState, StudyFiles, state_of
from zdqn.experiments.studies.study_plan import PlannedRun, StudyPlan
from zdqn.roles.metrics_endpoint import parse_place


def check_ports(plan: StudyPlan, files: StudyFiles, jobs: int) -> None:
    """Refuse a study of which two runs that may go on at once would listen on one port.

    Servers of its runs take free ports anyway; that for Prometheus is where a Prometheus looks, so
    that no other is chosen here.

    Args:
        plan: of the study.
        files: of the study; runs that are finished listen no more.
        jobs: how many runs go at once.

    Raises:
        ConfigError: naming the key, its value, the runs, and the way out.
    """
    by_port: dict[int, list[PlannedRun]] = {}
    for run in plan.runs():
        place = run.config.sinks.prometheus
        if place and state_of(files.run_directory(run)) is not RunState.FINISHED:
            by_port.setdefault(parse_place(place, insecure=False).port, []).append(run)
    for port, runs in by_port.items():
        if port and jobs > 1 and len(runs) > 1:
            place, others = runs[0].config.sinks.prometheus, len(runs) - 2
            more = f" and {others} more" if others else ""
            raise ConfigError(
                f"sinks.prometheus is {show_value(place)}, and {jobs} runs would be trained at "
                f"once: {runs[0].name}, {runs[1].name}{more} would listen on port {port}, which "
                f"has room for one. Give --set sinks.prometheus=127.0.0.1:0, with which each takes "
                f"a free port, and its log says which; or --jobs 1."
            )
