"""Which end comes first, and when."""

import pytest

from zdqn.launch.end_conditions import nearest_end
from zdqn.wire.status import LimitsStatus, ProgressStatus

PROGRESS = ProgressStatus(updates=500, episodes=10)


def find(limits, wall_s=0.0, steps=1_000, **rates):
    return nearest_end(
        LimitsStatus(**limits), PROGRESS, environment_steps=steps, wall_s=wall_s, rates=rates
    )


def test_the_one_with_the_least_time_left():
    limits = {"environment_steps": 2_000, "updates": 1_000}
    assert find(limits, environment_steps=10.0, updates=1.0).name == "environment_steps"
    end = find(limits, environment_steps=1.0, updates=10.0)
    assert end == ("updates", 500, 1_000, 50.0)
    assert end.share == 0.5


def test_without_rates_the_nearest_by_its_share():
    assert find({"environment_steps": 2_000, "updates": 10_000}) == (
        "environment_steps", 1_000, 2_000, None,
    )  # fmt: skip
    assert find({"updates": 10_000, "episodes": 11}).name == "episodes"


def test_the_clock_counts_once_something_else_can_be_compared_with_it():
    limits = {"environment_steps": 2_000, "wall_s": 100.0}
    assert find(limits, wall_s=10.0, environment_steps=1.0) == ("wall_s", 10.0, 100.0, 90.0)
    assert find(limits, wall_s=10.0, environment_steps=100.0).left_s == 10
    assert find({"wall_s": 100.0}, wall_s=120.0) == ("wall_s", 120.0, 100.0, 0.0)


@pytest.mark.parametrize("limits", [{}, {"evaluation_return": 475.0}])
def test_a_goal_is_no_end_that_can_be_foreseen(limits):
    assert find(limits, environment_steps=5.0) is None


def test_what_is_over_is_over_and_what_stands_still_has_no_time():
    end = find({"environment_steps": 500}, environment_steps=1.0)
    assert (end.left_s, end.share) == (0.0, 1.0)
    assert find({"environment_steps": 2_000}, environment_steps=0.0).left_s is None
