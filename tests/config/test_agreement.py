"""What the roles of one run must agree in."""

import math

from zdqn.config import Config, describe_difference, load_config, shared_values


def test_only_what_transitions_and_weights_are_made_with_must_agree():
    shared = shared_values(Config())
    assert {key.split(".")[0] for key in shared} == {"environment", "network", "algorithm"}
    assert {key for key in shared if key.startswith("algorithm.")} == {
        "algorithm.discount",
        "algorithm.n_step",
    }


def test_a_difference_is_listed_a_line_each():
    ours = shared_values(load_config(None, ["algorithm.n_step=3"]))
    theirs = shared_values(load_config(None, ["environment.max_episode_steps=7"]))
    assert describe_difference(ours, theirs) == [
        "algorithm.n_step: here 3, there 1",
        "environment.max_episode_steps: here '(absent)', there 7",
    ]
    assert describe_difference(ours, ours) == []
    assert describe_difference({}, {}) == []


def test_a_peers_values_cannot_break_or_flood_the_description():
    deep: list[object] = []
    for _ in range(5_000):
        deep = [deep]
    lines = describe_difference({}, {"a.b": deep, "c.d": "x" * 100_000, "e.f": math.nan})
    assert len(lines) == 3
    assert all(len(line) < 400 for line in lines)
