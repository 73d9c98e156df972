"""What is to be started again, and when."""

from zdqn.launch.plan import PlannedProcess
from zdqn.launch.restarts import Restarts

MEMORY = PlannedProcess("memory", "memory")
COLLECTOR = PlannedProcess("collector", "collector-0")


def test_the_first_restart_is_due_at_once_and_the_next_later():
    now = [100.0]
    restarts = Restarts(2, clock=lambda: now[0])
    assert restarts.are_left("memory")
    restarts.plan(MEMORY)
    assert restarts.waiting() == [MEMORY]
    assert restarts.take_due() == [MEMORY]
    assert restarts.waiting() == restarts.take_due() == []
    restarts.plan(MEMORY)
    assert (restarts.count("memory"), restarts.are_left("memory")) == (2, False)
    assert restarts.take_due() == []
    now[0] = 101.0
    assert restarts.take_due() == [MEMORY]


def test_what_was_ended_on_purpose_is_due_at_once_and_not_counted():
    restarts = Restarts(0, clock=lambda: 100.0)
    for _ in range(3):
        restarts.plan_at_once(MEMORY)
        assert restarts.take_due() == [MEMORY]
    assert restarts.count("memory") == 0


def test_each_process_has_restarts_of_its_own():
    restarts = Restarts(1)
    restarts.plan(MEMORY)
    assert restarts.are_left("collector-0")
    assert not Restarts(0).are_left("memory")


def test_what_is_cancelled_is_not_started():
    restarts = Restarts(3)
    restarts.plan(COLLECTOR)
    restarts.cancel()
    assert restarts.waiting() == restarts.take_due() == []


def test_what_somebody_wants_is_not_counted_and_not_late():
    restarts = Restarts(1)
    restarts.plan(COLLECTOR)
    assert restarts.take_due() == [COLLECTOR]
    assert not restarts.are_left(COLLECTOR.name)
    restarts.forgive(COLLECTOR.name)
    assert restarts.are_left(COLLECTOR.name)
    restarts.plan(COLLECTOR)
    assert restarts.take_due() == [COLLECTOR]
    assert restarts.count(COLLECTOR.name) == 1
    assert not restarts.are_left(COLLECTOR.name)


def test_who_joins_is_started_and_who_is_forgotten_is_not():
    restarts = Restarts(1)
    restarts.plan_at_once(COLLECTOR)
    assert restarts.waiting() == [COLLECTOR]
    restarts.forget({COLLECTOR.name})
    assert restarts.take_due() == []
    restarts.plan_at_once(COLLECTOR)
    assert restarts.take_due() == [COLLECTOR]
    assert restarts.count(COLLECTOR.name) == 0
