"""What is known of a run, from what servers tell."""

import pytest

from tests.launch.views import collector, evaluator, starting, status, training
from zdqn.config import load_config
from zdqn.launch.run_view import RunPlan, read_members
from zdqn.wire.status import LimitsStatus, MemoryStatistics


def test_a_plan_of_a_configuration():
    config = load_config(
        None,
        ["environment.id=Acrobot-v1", "launch.collectors=3", "launch.evaluators=0",
         "replay.min_size=70", "stop.updates=9", "stop.evaluation_return=0"],
    )  # fmt: skip
    assert RunPlan.of(config) == RunPlan(
        environment="Acrobot-v1", collectors=3, evaluators=0, min_size=70,
        limits=LimitsStatus(updates=9, evaluation_return=0.0),
    )  # fmt: skip
    assert RunPlan.of(config, environment=len).environment == "builtins:len"
    named = RunPlan.named(config)
    assert (named.environment, named.min_size, named.collectors) == ("Acrobot-v1", 70, 0)


def test_of_two_starts_the_living_one_counts_and_else_the_last():
    rows = [
        collector(0, state="gone", environment_steps=1),
        collector(0, environment_steps=2),
        collector(1, state="gone", last_seen_s=9.0, environment_steps=3),
        collector(1, state="gone", last_seen_s=4.0, environment_steps=4),
    ]
    for order in (rows, rows[::-1]):
        steps = {m.name: m.collector.environment_steps for m in read_members(order)}
        assert steps == {"collector-0": 2, "collector-1": 4}


@pytest.mark.parametrize("row", [{}, {"name": 7, "role": None}, {"last_seen_s": "x"}])
def test_a_row_of_something_else_is_read_as_far_as_it_goes(row):
    (member,) = read_members([row])
    assert not member.is_living


def test_statistics_that_are_none_are_left_out():
    (member,) = read_members([collector(0, epsilon="much")])
    assert member.collector.environment_steps == 0
    assert member.is_living


def test_members_are_in_the_order_of_their_numbers():
    view = training(*(collector(i) for i in (10, 9, 0)), evaluator(), collector(0, name="mine"))
    names = [member.name for member in view.of_role("collector")]
    assert names == ["collector-0", "collector-9", "collector-10", "mine"]


def test_steps_are_those_that_have_arrived():
    assert training().environment_steps == 18_304
    memory = MemoryStatistics(environment_steps=640)
    assert starting(memory=memory).environment_steps == 640


def test_time_goes_on_while_the_learner_is_silent():
    assert training(silent_s=3.0).wall_s == 45.0
    assert training(plan=RunPlan(one_process=True), silent_s=3.0).wall_s == 42.0
    assert starting(watched_s=2.0, learner=status("loading torch", 9.0)).wall_s == 2.0


def test_limits_are_known_before_the_learner_tells_them():
    assert starting().limits.environment_steps == 500_000
