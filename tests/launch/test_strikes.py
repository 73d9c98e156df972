"""Whom to kill and when, and whether somebody works again: without a process."""

from collections import Counter

import numpy as np
import pytest

from tests.launch.views import collector, evaluator, status
from zdqn.launch.plan import PlannedProcess
from zdqn.launch.strikes import ROLES, Heard, Recovery, Strikes
from zdqn.wire.status import LearnerStatus, MemoryStatus

MEMORY = PlannedProcess("memory", "memory")
LEARNER = PlannedProcess("learner", "learner")
COLLECTORS = [PlannedProcess("collector", f"collector-{i}") for i in range(6)]
EVALUATOR = PlannedProcess("evaluator", "evaluator-0")
ALL = [MEMORY, LEARNER, *COLLECTORS, EVALUATOR]


def struck(strikes, until_s, processes=ALL, step_s=0.05):
    """Give when whom was struck."""
    found = []
    for now_s in np.arange(0, until_s, step_s):
        process = strikes.take_due(now_s, processes)
        if process is not None:
            found.append((now_s, process))
    return found


def test_gaps_are_around_the_mean():
    times = [at for at, _ in struck(Strikes(np.random.default_rng(0), every_s=2.0), 1_000)]
    gaps = np.diff([0.0, *times])
    assert gaps.min() >= 1.0
    assert gaps.max() <= 3.0 + 0.05
    assert gaps.mean() == pytest.approx(2.0, abs=0.1)


def test_each_role_is_struck_as_often_however_many_it_has():
    counts = Counter(
        process.role for _, process in struck(Strikes(np.random.default_rng(0), every_s=1.0), 2_000)
    )
    assert set(counts) == set(ROLES)
    assert min(counts.values()) > 0.8 * max(counts.values())


def test_every_collector_has_its_turn_and_nobody_else_who_is_not_meant():
    strikes = Strikes(np.random.default_rng(0), every_s=1.0, roles=["collector"])
    assert {process.name for _, process in struck(strikes, 100)} == {c.name for c in COLLECTORS}


def test_the_same_seed_strikes_the_same():
    first, again, other = (
        struck(Strikes(np.random.default_rng(seed), every_s=1.0), 50) for seed in (3, 3, 4)
    )
    assert first == again != other


def test_when_there_is_nobody_to_strike_it_stays_due():
    strikes = Strikes(np.random.default_rng(0), every_s=1.0, roles=["learner"])
    assert struck(strikes, 10, [MEMORY]) == []
    assert strikes.take_due(10.0, ALL) == LEARNER
    assert strikes.take_due(10.0, ALL) is None


def heard(value, asked_s=10.0, heard_s=10.1):
    server = "memory" if isinstance(value, MemoryStatus) else "learner"
    return {server: Heard(asked_s, heard_s, value)}


def clients(*rows, **progress):
    told = status(**progress)
    return LearnerStatus.read({**told.to_wire(), "clients": list(rows)})


def killed(process):
    return Recovery(process, 5.0, begins_anew=True)


def test_a_memory_works_again_when_it_stores_or_deals_out():
    before = MemoryStatus(transitions=1_000, samples=64)
    for after in (
        MemoryStatus(transitions=1_001, samples=64),
        MemoryStatus(transitions=1_000, samples=65),
    ):
        recovery = killed(MEMORY)
        assert not recovery.look({})
        assert not recovery.look(heard(before, asked_s=5.0)), "of the one before"
        assert not recovery.look(heard(before))
        assert recovery.took_s is None
        assert recovery.look(heard(after, heard_s=12.0))
        assert recovery.took_s == 7.0


def test_a_learner_works_again_when_it_makes_updates():
    recovery = killed(LEARNER)
    assert not recovery.look(heard(status("loading torch", updates=500)))
    assert not recovery.look(heard(status("training", updates=500)))
    assert recovery.look(heard(status("training", updates=501)))


@pytest.mark.parametrize(
    ("row", "works"),
    [
        (collector(0, last_seen_s=6.0), False),  # the start before
        (collector(0, state="gone"), False),
        (collector(1), False),
        (collector(0, environment_steps=0), False),
        (collector(0, environment_steps=1), True),
    ],
)
def test_a_collector_works_again_when_it_takes_steps(row, works):
    assert killed(COLLECTORS[0]).look(heard(clients(row))) is works


def test_a_collector_that_was_stopped_goes_on_from_where_it_was():
    recovery = Recovery(COLLECTORS[0], 5.0, begins_anew=False)
    row = {"last_seen_s": 0.1}
    assert not recovery.look(heard(clients(collector(0, environment_steps=900, **row))))
    assert recovery.look(heard(clients(collector(0, environment_steps=908, **row))))


@pytest.mark.parametrize(
    ("doing", "works"), [("", False), ("starting", False), ("waiting for a snapshot", True)]
)
def test_an_evaluator_works_again_when_it_says_so(doing, works):
    assert killed(EVALUATOR).look(heard(clients(evaluator(doing=doing)))) is works
