"""Each part of DQN is known to be on or off, and is off in what is made without it."""

import pytest

from zdqn.config import Config, load_config
from zdqn.errors import UsageError
from zdqn.experiments.studies.study_parts import PARTS, ablation, parts_on, scaling

ON = {
    "replay": "replay.capacity=5000",
    "target": "algorithm.target_network=soft",
    "double": "algorithm.double=true",
    "dueling": "network.dueling=true",
    "n_step": "algorithm.n_step=3",
    "prioritized": "replay.kind=prioritized",
    "clipping": "algorithm.max_gradient_norm=10",
}
OFF = [
    "replay.capacity=1", "replay.min_size=1", "algorithm.target_network=none",
]  # fmt: skip


def test_every_part_is_tested():
    assert ON.keys() == PARTS.keys()


@pytest.mark.parametrize("name", PARTS)
def test_a_part_is_seen_when_it_is_on_and_leaves_when_it_is_left_out(name):
    off = load_config(None, OFF)
    on = load_config(None, [*OFF, ON[name]])
    assert parts_on(off) == []
    assert parts_on(on) == [name]
    full, without = ablation(on, [name])
    assert (full.name, full.config) == ("full", on)
    assert without.name == f"no-{name}"
    assert parts_on(without.config) == []
    assert PARTS[name].meaning


@pytest.mark.parametrize("name", PARTS)
def test_the_other_parts_stay(name):
    on = load_config(None, list(ON.values()))
    assert parts_on(on) == list(PARTS)
    _, without = ablation(on, [name])
    gone = {name, "prioritized"} if name == "replay" else {name}  # there is nothing to choose from
    assert parts_on(without.config) == [part for part in PARTS if part not in gone]


def test_by_default_each_part_that_is_on_is_left_out():
    config = load_config(None, ["algorithm.double=true"])
    assert [variant.name for variant in ablation(config)] == [
        "full", "no-replay", "no-target", "no-double"
    ]  # fmt: skip


def test_several_are_left_out_together():
    full, neither = ablation(Config(), ["replay+target"])
    assert neither.name == "no-replay+target"
    assert parts_on(neither.config) == []
    assert full.config != neither.config


def test_without_a_replay_each_transition_is_learned_from_once_as_it_comes():
    config = load_config(
        None,
        ["replay.samples_per_insert=3.2", "algorithm.target_update_period_updates=200",
         "replay.kind=prioritized", "replay.initial_priority=collector"],
    )  # fmt: skip
    without = ablation(config, ["replay"])[1].config
    replay, algorithm = without.replay, without.algorithm
    assert (replay.capacity, replay.min_size, replay.samples_per_insert) == (1, 1, 1.0)
    assert (algorithm.batch_size, without.collector.block_transitions) == (1, 1)
    # one update for ten transitions and 200 of them a target, as many transitions as before
    assert algorithm.target_update_period_updates == 2_000
    assert replay.initial_priority == "max"


def test_several_environments_bring_one_transition_each():
    config = load_config(
        None, ["collector.environments=4", "replay.samples_per_insert=32",
               "algorithm.target_update_period_updates=200"]
    )  # fmt: skip
    without = ablation(config, ["replay"])[1].config
    assert (without.replay.capacity, without.algorithm.batch_size) == (4, 4)
    assert without.algorithm.target_update_period_updates == 50


def test_where_both_sides_run_free_an_update_counts_as_one_for_each_transition():
    without = ablation(Config(), ["replay"])[1].config
    assert without.algorithm.target_update_period_updates == 200


@pytest.mark.parametrize(
    ("without", "words"),
    [
        (["doubel"], 'no part of DQN. Did you mean "double"'),
        (["double"], "does not have on: there is nothing to leave out. On are: replay, target."),
        (["replay+double"], '--without is "double"'),
        (["replay+"], '--without is ""'),
    ],
)
def test_what_cannot_be_left_out_is_refused(without, words):
    with pytest.raises(UsageError) as caught:
        ablation(Config(), without)
    assert words in str(caught.value)


def test_where_nothing_is_on_there_is_nothing_to_do():
    with pytest.raises(UsageError, match="none of the parts on"):
        ablation(load_config(None, OFF))


def test_collectors():
    variants = scaling(Config(), [1, 4])
    assert [variant.name for variant in variants] == ["1-collectors", "4-collectors"]
    assert [variant.config.launch.collectors for variant in variants] == [1, 4]


@pytest.mark.parametrize("counts", [[0], [1, 1], [-2]])
def test_numbers_of_collectors_that_are_none(counts):
    with pytest.raises(UsageError, match="--collectors is"):
        scaling(Config(), counts)
