"""Each part of DQN is known to be on or off, and is off in what is made without it."""

import itertools
from pathlib import Path

import pytest

from zdqn.config import Config, flatten, load_config, parse_override
from zdqn.errors import ConfigError, UsageError
from zdqn.experiments.studies.study_parts import PARTS, ablation, parts_on, scaling

ON = {
    "replay": "replay.capacity=5000",
    "target": "algorithm.target_network=soft",
    "double": "algorithm.double=true",
    "dueling": "network.dueling=true",
    "n_step": "algorithm.n_step=3",
    "prioritized": "replay.kind=prioritized",
    "initial_priority": "replay.initial_priority=collector",
    "distribution": "algorithm.distribution=quantile",
    "munchausen": "algorithm.munchausen=true",
    "value_rescaling": "algorithm.value_rescaling=true",
    "noisy": "network.noisy=true",
    "ladder": "exploration.kind=ladder",
    "reward_clipping": "algorithm.reward_clip=1",
    "clipping": "algorithm.max_gradient_norm=10",
}
NEEDS = {"initial_priority": {"prioritized"}}
"""A part that is nothing without others."""
GOES_TOO = {"replay": {"prioritized", "initial_priority"}, "prioritized": {"initial_priority"}}
"""Parts of which nothing is left without another."""
OFF = [
    "replay.capacity=1", "replay.min_size=1", "algorithm.target_network=none",
]  # fmt: skip
NO_EPSILON = ["exploration.epsilon_initial=0", "exploration.epsilon_final=0"]

EVERYWHERE = {"replay", "target", "dueling", "prioritized", "noisy", "ladder", "reward_clipping",
              "clipping"}  # fmt: skip
TOGETHER = {
    "rainbow": {*EVERYWHERE, "double", "n_step", "distribution"},
    "ape-x": {*EVERYWHERE, "double", "n_step", "initial_priority"},
    "r2d2": {*EVERYWHERE, "double", "n_step", "value_rescaling"},
    "munchausen": {*EVERYWHERE, "munchausen", "initial_priority"},
}
"""What goes together, as much as there is: every part in one of them."""

SETTINGS = {
    "algorithm": {
        "discount", "atoms", "v_min", "v_max", "quantiles", "munchausen_alpha",
        "munchausen_temperature", "munchausen_clip", "value_rescaling_epsilon", "batch_size",
        "loss", "huber_delta", "learning_rate", "adam_beta1", "adam_beta2", "adam_eps",
        "target_update_period_updates", "target_update_rate",
    },
    "network": {
        "kind", "hidden", "activation", "initialization", "noisy_sigma", "function",
    },
    "replay": {
        "min_size", "samples_per_insert", "samples_per_insert_window", "priority_exponent",
        "priority_epsilon", "importance_exponent", "importance_exponent_final",
        "importance_annealing_updates", "frames_per_transition", "storage", "path",
        "sync_period_s", "snapshot_period_s",
    },
    "exploration": {
        "epsilon_initial", "epsilon_final", "epsilon_decay_environment_steps", "ladder_base",
        "ladder_exponent",
    },
}  # fmt: skip
"""Keys that say how much or where, and not whether: nothing is left out without them."""


def with_parts(*names, others=()):
    """A configuration with these parts on, and no others."""
    return load_config(None, [*OFF, *others, *(ON[name] for name in names)])


def test_every_part_is_tested():
    assert ON.keys() == PARTS.keys() == set().union(*TOGETHER.values())


def test_every_switch_of_what_is_learned_and_how_is_a_part():
    """A new key of these sections is a part, or one of `SETTINGS`: somebody decides."""
    switches = {part.key for part in PARTS.values()}
    settings = {f"{section}.{key}" for section, keys in SETTINGS.items() for key in keys}
    keys = {
        f"{section}.{key}" for section in SETTINGS
        for key in getattr(Config(), section).__struct_fields__
    }  # fmt: skip
    assert switches | settings == keys
    assert not switches & settings
    assert {parse_override(value)[:2] for value in ON.values()} == {
        tuple(key.split(".")) for key in switches
    }


@pytest.mark.parametrize("name", PARTS)
def test_a_part_is_seen_when_it_is_on_and_leaves_when_it_is_left_out(name):
    needed = NEEDS.get(name, set())
    on = with_parts(name, *needed)
    assert parts_on(with_parts()) == []
    assert set(parts_on(on)) == {name, *needed}
    full, without = ablation(on, [name])
    assert (full.name, full.config) == ("full", on)
    assert without.name == f"no-{name}"
    assert set(parts_on(without.config)) == needed
    assert PARTS[name].meaning


@pytest.mark.parametrize("name", NEEDS)
def test_what_is_nothing_without_another_part_is_off_without_it(name):
    assert parts_on(with_parts(name)) == []


@pytest.mark.parametrize("family", TOGETHER)
def test_the_other_parts_stay(family):
    parts = TOGETHER[family]
    on = with_parts(*parts)
    assert set(parts_on(on)) == parts
    for name in parts:
        _, without = ablation(on, [name])
        assert set(parts_on(without.config)) == parts - {name} - GOES_TOO.get(name, set())


def test_what_rainbow_is_made_of_can_be_left_out():
    path = Path(__file__).parents[3] / "configs" / "rainbow-minatar.toml"
    assert set(parts_on(load_config(path))) == TOGETHER["rainbow"] - {"ladder"}


@pytest.mark.parametrize("first", PARTS)
def test_whatever_goes_together_can_be_left_out_together(first):
    """One by one, both, and in either order: what is left is valid, and the same."""
    tried = 0
    for second in set(PARTS) - {first}:
        try:
            on = with_parts(first, second, *NEEDS.get(first, ()), *NEEDS.get(second, ()))
        except ConfigError:
            continue
        tried += 1
        _, *each, both, turned = ablation(
            on, [first, second, f"{first}+{second}", f"{second}+{first}"]
        )
        assert first not in parts_on(each[0].config)
        assert second not in parts_on(each[1].config)
        assert not {first, second} & set(parts_on(both.config))
        assert both.config == turned.config
    assert tried >= len(PARTS) - 5


def test_more_is_left_out_in_any_order():
    on = with_parts(*TOGETHER["ape-x"], others=NO_EPSILON)
    found = [
        ablation(on, ["+".join(order)])[1].config
        for order in itertools.permutations(("noisy", "ladder", "prioritized", "replay"))
    ]
    assert all(config == found[0] for config in found)


# --- exploration without what explored ------------------------------------------------------------


def exploration(config):
    return {key: value for key, value in flatten(config).items() if key.startswith("exploration.")}


def changed(before, after):
    before, after = flatten(before), flatten(after)
    return {key: value for key, value in after.items() if value != before[key]}


DEFAULT = {
    "exploration.epsilon_initial": 1.0, "exploration.epsilon_final": 0.1,
    "exploration.epsilon_decay_environment_steps": 100_000,
}  # fmt: skip


@pytest.mark.parametrize(
    "others",
    [
        [],
        ["exploration.epsilon_initial=0", "exploration.epsilon_final=0.01"],
        ["exploration.epsilon_initial=0.2", "exploration.epsilon_final=0"],
        ["exploration.kind=ladder", *NO_EPSILON],
    ],
)
def test_without_noise_an_epsilon_that_is_there_stays(others):
    on = with_parts("noisy", others=others)
    assert changed(on, ablation(on, ["noisy"])[1].config) == {"network.noisy": False}


@pytest.mark.parametrize(
    "others",
    [
        NO_EPSILON,
        ["exploration.epsilon_initial=1", "exploration.epsilon_final=0",
         "exploration.epsilon_decay_environment_steps=0"],
        ["exploration.kind=ladder", "exploration.ladder_base=0"],
    ],
)  # fmt: skip
def test_without_noise_that_explored_alone_the_epsilon_of_the_defaults_does(others):
    on = with_parts("noisy", others=others)
    without = ablation(on, ["noisy"])[1].config
    assert not without.network.noisy
    assert exploration(without) == exploration(on) | DEFAULT | {"exploration.kind": "linear"}


@pytest.mark.parametrize(("steps", "falls"), [(20_000, 5_000), (1_000_000, 100_000), (3, 0)])
def test_that_epsilon_has_fallen_after_a_quarter_of_the_run(steps, falls):
    on = with_parts("noisy", others=[*NO_EPSILON, f"stop.environment_steps={steps}"])
    key = "exploration.epsilon_decay_environment_steps"
    assert exploration(ablation(on, ["noisy"])[1].config)[key] == falls


def test_without_a_ladder_something_explores():
    plain = with_parts("ladder", others=["exploration.epsilon_final=0.02"])
    assert changed(plain, ablation(plain, ["ladder"])[1].config) == {"exploration.kind": "linear"}
    noisy = with_parts("ladder", "noisy", others=NO_EPSILON)
    assert changed(noisy, ablation(noisy, ["ladder"])[1].config) == {"exploration.kind": "linear"}
    alone = with_parts("ladder", others=NO_EPSILON)
    found = exploration(ablation(alone, ["ladder"])[1].config)
    assert found == exploration(alone) | DEFAULT | {"exploration.kind": "linear"}
    neither = exploration(ablation(noisy, ["noisy+ladder"])[1].config)
    assert neither == found


# --- what is asked for ----------------------------------------------------------------------------


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
