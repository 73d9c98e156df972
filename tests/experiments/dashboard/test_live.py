"""What pages are told as a run goes on."""

import asyncio
import json
import math

import pytest

from zdqn.experiments.dashboard import live as live_module
from zdqn.experiments.dashboard.live import LiveRun, encode_curves
from zdqn.experiments.dashboard.seen import Contact, Seen
from zdqn.launch.run_view import RunView
from zdqn.records.run_series import EvaluationRow, Series

DEADLINE_S = 60.0


class Observer:
    """Sees something else at each look."""

    def __init__(self) -> None:
        self.watched: list[bool] = []

    def look(self, *, is_watched: bool) -> Seen:
        self.watched.append(is_watched)
        version = len(self.watched)
        return Seen(
            view=RunView(),
            contact=Contact("live", f"look {version}"),
            series=Series(version=version, metrics={"loss": [version / 3]}),
        )


@pytest.fixture
def observer():
    return Observer()


def make(observer, **options):
    return LiveRun(observer, **{"period_s": 0.0, "idle_period_s": 1_000.0, **options})


def run(live, job):
    """Run a job beside the looking, and end both."""

    async def both():
        looking = asyncio.create_task(live.run())
        try:
            return await asyncio.wait_for(job(), DEADLINE_S)
        finally:
            live.close()
            await asyncio.wait_for(looking, DEADLINE_S)

    return asyncio.run(both())


def parse(event):
    name, data = event.decode().rstrip("\n").split("\n")
    return name.removeprefix("event: "), json.loads(data.removeprefix("data: "))


async def take(live, count):
    events = live.events()
    found = []
    async for event in events:
        if event.startswith(b"event"):
            found.append(parse(event))
        if len(found) == count:
            break
    await events.aclose()
    return found


def test_each_look_is_told_once_and_in_order(observer, monkeypatch):
    monkeypatch.setattr(live_module, "CURVES_PERIOD_S", 1_000.0)
    live = make(observer)
    events = run(live, lambda: take(live, 12))
    looks = [told["look"] for name, told in events if name == "state"]
    assert looks == sorted(set(looks))
    assert len(looks) == 11


def test_curves_are_told_now_and_then(observer, monkeypatch):
    monkeypatch.setattr(live_module, "CURVES_PERIOD_S", 1_000.0)
    live = make(observer)
    assert [name for name, _ in run(live, lambda: take(live, 6))].count("curves") == 1
    monkeypatch.setattr(live_module, "CURVES_PERIOD_S", 0.0)
    live = make(observer)
    names = [name for name, _ in run(live, lambda: take(live, 6))]
    assert names.count("curves") == 3


def test_the_run_is_looked_at_for_all_pages_together(observer):
    live = make(observer, period_s=1_000.0)

    async def two():
        await live.state()
        return await asyncio.gather(take(live, 3), take(live, 3))

    for events in run(live, two):
        assert [told.get("look") for _, told in events] == [1, None, 2]
    assert observer.watched == [False, True]


def test_whoever_begins_to_look_does_not_wait_for_the_slow_pace(observer):
    live = make(observer)

    async def late():
        await live.state()
        return await take(live, 3)

    run(live, late)
    assert observer.watched[:2] == [False, True]


def test_state_waits_for_the_first_look(observer):
    live = make(observer)
    assert json.loads(run(live, live.state))["contact"]["text"] == "look 1"


def test_a_look_that_fails_is_said_once_and_the_next_is_shown(observer, caplog):
    look, failures = observer.look, [ValueError("x"), ValueError("x")]

    def failing(**given):
        if failures:
            raise failures.pop()
        return look(**given)

    observer.look = failing
    live = make(observer, idle_period_s=0.0)
    assert json.loads(run(live, live.state))["contact"]["text"].startswith("look ")
    assert [record.message for record in caplog.records] == [
        "the dashboard could not look at the run: ValueError('x')"
    ]


def test_a_closed_run_ends_all_that_waits(observer):
    live = make(observer, period_s=1_000.0)

    async def closed():
        reading = asyncio.create_task(take(live, 1_000))
        await live.state()
        live.close()
        return await reading

    assert run(live, closed) is not None


def test_readers_are_counted_and_bounded(observer, monkeypatch):
    monkeypatch.setattr(live_module, "MOST_READERS", 1)
    live = make(observer)
    assert not live.is_full

    async def one():
        events = live.events()
        await anext(events)
        full = live.is_full
        await events.aclose()
        return full

    assert run(live, one)
    assert not live.is_full


def test_curves_have_no_more_digits_than_a_picture_shows():
    series = Series(version=7, metrics={"loss": [1 / 3, None, 123_456_789.0], "updates": [10**9]})
    told = json.loads(encode_curves(series))
    assert told == {
        "version": 7,
        "metrics": {"loss": [0.333333, None, 123_457_000.0], "updates": [10**9]},
        "evaluations": {},
        "best": None,
    }
    assert math.isfinite(told["metrics"]["loss"][0])


def test_curves_tell_where_the_best_evaluation_is():
    best = EvaluationRow(
        environment_steps=40, wall_s=2.5, updates=7, mean=9.0, deviation=1.0, minimum=8.0,
        maximum=10.0,
    )  # fmt: skip
    assert json.loads(encode_curves(Series(best=best)))["best"] == {
        "environment_steps": 40, "wall_s": 2.5, "updates": 7, "mean": 9.0
    }  # fmt: skip
