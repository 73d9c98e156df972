"""Moments of a run, as a dashboard has seen them."""

from dataclasses import replace

from tests.launch import views
from zdqn.experiments.dashboard.seen import Contact, Seen
from zdqn.records.run_series import EvaluationRow, Series

LIVE = Contact("live", "Live: learner and memory answer.")


def row(steps, mean):
    return EvaluationRow(
        environment_steps=steps, mean=mean, deviation=1.0, minimum=1.0, maximum=9.0, episodes=5
    )


def seen(view=None, **changes):
    base = Seen(
        view=views.training() if view is None else view,
        contact=LIVE,
        name="first",
        series=Series(version=3, newest=(row(10, 4.0), row(20, 3.0)), best=row(10, 4.0), count=2),
        rates={"inserts": 3_000.4, "samples": 96_000.0, "holding": 0.25},
        samples_per_insert=32.0,
        endpoints={"learner": "tcp://beta:5558", "memory": "tcp://alpha:5556"},
    )
    return replace(base, **changes)
