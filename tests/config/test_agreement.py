"""What the roles of one run must agree in."""

import math
import re
from pathlib import Path

import pytest

from zdqn.config import (
    AGREEMENTS,
    Config,
    check_agreement,
    describe_difference,
    flatten,
    load_config,
    shared_values,
)
from zdqn.errors import MismatchError

PAIRS = list(AGREEMENTS)


@pytest.mark.parametrize(("client", "server"), PAIRS)
def test_every_name_is_a_section_or_a_key(client, server):
    known = flatten(Config())
    known |= {"environment.max_episode_steps": None}  # absent by default
    for name in AGREEMENTS[client, server]:
        assert name in known or name in Config.__struct_fields__, name


@pytest.mark.parametrize(("client", "server"), PAIRS)
def test_each_value_that_differs_is_refused_with_both_and_whose_they_are(client, server):
    ours = load_config(None, ["exploration.kind=ladder"])
    for key, value in shared_values(ours, client, server).items():
        section, _, name = key.partition(".")
        other = {**shared_values(ours, client, server), key: "something else"}
        with pytest.raises(MismatchError) as caught:
            check_agreement(ours, client, server, "client-3@host", other)
        message = str(caught.value)
        assert f"{section}.{name}: here " in message
        assert "there 'something else'" in message
        assert server in message
        assert "client-3@host" in message
        assert str(value)[:20] in message


@pytest.mark.parametrize(("client", "server"), PAIRS)
def test_one_configuration_agrees_and_so_does_none(client, server):
    config = load_config(None, ["exploration.kind=ladder", "network.hidden=[7]"])
    check_agreement(config, client, server, "c", shared_values(config, client, server))
    check_agreement(config, client, server, "c", None)


def test_a_value_that_one_side_leaves_out_differs():
    config = Config()
    left = shared_values(config, "learner", "memory")
    del left["replay.kind"]
    with pytest.raises(MismatchError, match=r"replay\.kind: here 'uniform', there '\(absent\)'"):
        check_agreement(config, "learner", "memory", "learner", left)


def test_a_ladder_has_as_many_rungs_for_everybody():
    for kind, compared in (("linear", False), ("ladder", True)):
        config = load_config(None, [f"exploration.kind={kind}"])
        assert ("launch.collectors" in shared_values(config, "collector", "learner")) is compared


def test_what_only_one_side_acts_on_need_not_agree():
    with_memory = shared_values(Config(), "learner", "memory")
    assert not {"replay.importance_exponent", "run.seed", "memory.bind"} & set(with_memory)
    assert "collector.threads" not in shared_values(Config(), "collector", "learner")


def test_a_difference_is_listed_a_line_each():
    ours = shared_values(load_config(None, ["algorithm.n_step=3"]), "collector", "learner")
    theirs = shared_values(
        load_config(None, ["environment.max_episode_steps=7"]), "collector", "learner"
    )
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


def test_the_concepts_page_has_the_whole_table():
    text = (Path(__file__).parents[2] / "docs" / "concepts.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\w+) \| (\w+) \| ([^|]+) \|", text, re.M)
    documented = {
        (client, server): set(re.findall(r"`\[?([\w.]+)\]?`", names))
        for client, server, names in rows
        if (client, server) in AGREEMENTS
    }
    assert documented == {pair: set(names) for pair, names in AGREEMENTS.items()}
