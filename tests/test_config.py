import math
import tomllib
from pathlib import Path

import msgspec
import pytest

from zdqn.config import (
    Config,
    describe_difference,
    flatten,
    from_dict,
    load_config,
    load_config_with_origins,
    parse_override,
    shared_values,
    to_dict,
    to_toml,
)
from zdqn.errors import ConfigError, FileError

CONFIGS = sorted((Path(__file__).parent.parent / "configs").glob("*.toml"))
DEFAULTS = flatten(Config())


@pytest.fixture
def write(tmp_path):
    def make(text):
        path = tmp_path / "run.toml"
        path.write_text(text)
        return path

    return make


# --- reading and writing ------------------------------------------------------------------------


def test_nothing_given_is_the_defaults():
    assert load_config() == Config()


def test_a_file_changes_what_it_names_and_nothing_else(write):
    config = load_config(write("[replay]\ncapacity = 5_000\n"))
    assert flatten(config) == {**DEFAULTS, "replay.capacity": 5_000}


def test_the_default_configuration_survives_toml():
    assert from_dict(tomllib.loads(to_toml(Config()))) == Config()


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_file_of_configs_is_valid_and_survives_toml(path):
    config = load_config(path)
    assert config != Config()
    assert from_dict(tomllib.loads(to_toml(config))) == config


def test_there_are_files_in_configs():
    assert {"cartpole.toml", "seed.toml", "apex.toml"} <= {path.name for path in CONFIGS}


def test_every_kind_of_value_survives_toml_and_msgpack():
    config = load_config(
        None,
        [
            "stop.evaluation_return=475.5",
            "environment.max_episode_steps=10",
            'environment.kwargs={a = 1, b = [1.5, "x"], c = {d = true}}',
            'environment.wrappers=[{name = "TimeLimit", kwargs = {max_episode_steps = 3}}]',
            "network.hidden=[]",
        ],
    )
    assert from_dict(tomllib.loads(to_toml(config))) == config
    travelled = msgspec.msgpack.decode(msgspec.msgpack.encode(to_dict(config)))
    assert from_dict(travelled) == config
    assert describe_difference(shared_values(config), shared_values(from_dict(travelled))) == []


def test_a_value_that_is_absent_is_not_written():
    assert "evaluation_return" not in to_dict(Config())["stop"]
    assert "None" not in to_toml(Config())


def test_the_configuration_cannot_be_changed():
    with pytest.raises(AttributeError):
        Config().replay.capacity = 5  # type: ignore[misc]


# --- overrides and origins ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("replay.capacity=5000", ("replay", "capacity", 5000)),
        ("replay.capacity = 5_000 ", ("replay", "capacity", 5000)),
        (" algorithm.double=true", ("algorithm", "double", True)),
        ("algorithm.learning_rate=1e-3", ("algorithm", "learning_rate", 1e-3)),
        ("network.hidden=[64, 64]", ("network", "hidden", [64, 64])),
        ("environment.id=CartPole-v1", ("environment", "id", "CartPole-v1")),
        ('environment.id="CartPole-v1"', ("environment", "id", "CartPole-v1")),
        ("environment.id=ALE/Pong-v5", ("environment", "id", "ALE/Pong-v5")),
        ("environment.kwargs={a = 1}", ("environment", "kwargs", {"a": 1})),
        ("memory.bind=tcp://*:5556", ("memory", "bind", "tcp://*:5556")),
        ("run.directory=a=b", ("run", "directory", "a=b")),
        ("run.directory=", ("run", "directory", "")),
    ],
)
def test_an_override_is_toml_or_a_string(text, parsed):
    assert parse_override(text) == parsed


@pytest.mark.parametrize(
    "text", ["", "capacity=5", "replay.capacity", "replay=5", "a.b.c=1", "replay.=5", ".capacity=5"]
)
def test_an_override_of_another_form_is_refused_with_the_form(text):
    with pytest.raises(ConfigError, match=r"not of the form section.key=value, such as"):
        parse_override(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("replai.capacity=5", 'no section "replai". Did you mean "replay"'),
        ("replay.capcity=5", 'section "replay" has no key "capcity". Did you mean "capacity"'),
        ("zzzzz.capacity=5", "Known: algorithm, collector"),
        ("run.zzzzz=5", "Known: directory, seed"),
    ],
)
def test_an_override_of_an_unknown_key_names_the_nearest(text, words):
    with pytest.raises(ConfigError, match=words) as refusal:
        parse_override(text)
    assert f'--set "{text}"' in str(refusal.value)


def test_later_overrides_win_and_all_win_over_the_file(write):
    path = write("[replay]\ncapacity = 5_000\nmin_size = 10\n")
    config = load_config(path, ["replay.capacity=6000", "replay.capacity=7000"])
    assert (config.replay.capacity, config.replay.min_size) == (7_000, 10)


def test_every_value_knows_where_it_came_from(write):
    path = write("[replay]\ncapacity = 5_000\nmin_size = 10\n[stop]\nevaluation_return = 1\n")
    config, origins = load_config_with_origins(path, ["replay.min_size=20", "stop.updates=3"])
    assert set(flatten(config)) == set(origins)
    changed = {key: origin for key, origin in origins.items() if origin != "default"}
    assert changed == {
        "replay.capacity": str(path),
        "replay.min_size": "--set",
        "stop.evaluation_return": str(path),
        "stop.updates": "--set",
    }


# --- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[replay]\ncapcity = 5", 'no key "capcity" in section [replay]. Did you mean "capacity"?'),
        (
            "[replai]\ncapacity = 5",
            'no key "replai" in the file\'s top level. Did you mean "replay"',
        ),
        ("capacity = 5", 'no key "capacity" in the file\'s top level.'),
        ("replay = 5", "replay is 5. Expected a table, got int"),
        ('[replay]\ncapacity = "5"', "replay.capacity is '5'. Expected int, got str"),
        ("[replay]\ncapacity = 5.0", "replay.capacity is 5.0. Expected int, got float"),
        ("[replay]\ncapacity = true", "replay.capacity is True. Expected int, got bool"),
        ("[replay]\ncapacity = 0", "replay.capacity is 0. Expected int >= 1"),
        ("[replay]\ncapacity = -5", "replay.capacity is -5. Expected int >= 1"),
        ("[algorithm]\ndouble = 1", "algorithm.double is 1. Expected bool, got int"),
        ("[algorithm]\ndiscount = 1.1", "algorithm.discount is 1.1. Expected float <= 1.0"),
        ("[algorithm]\ndiscount = -0.1", "algorithm.discount is -0.1. Expected float >= 0.0"),
        ("[algorithm]\nadam_beta1 = 1", "algorithm.adam_beta1 is 1. Expected float < 1.0"),
        ("[network]\nhidden = 64", "network.hidden is 64. Expected a list, got int"),
        ("[network]\nhidden = [64, 0]", "network.hidden[1] is 0. Expected int >= 1"),
        (
            "[replay]\nkind = 'unifrom'",
            'replay.kind is \'unifrom\'. Expected one of "uniform", "prioritized"',
        ),
        (
            "[[environment.wrappers]]\nnam = 'x'",
            'no key "nam" in environment.wrappers[0]. Did you mean "name"',
        ),
        ("[[environment.wrappers]]\nname = 3", "environment.wrappers[0].name is 3. Expected str"),
    ],
)
def test_a_wrong_value_is_refused_naming_file_key_value_and_rule(text, words, write):
    path = write(text)
    with pytest.raises(ConfigError) as refusal:
        load_config(path)
    assert str(refusal.value).startswith(f"{path}: ")
    assert words in str(refusal.value)


def test_a_wrong_override_is_not_blamed_on_the_file(write):
    with pytest.raises(ConfigError, match=r"with --set: replay.capacity is 0"):
        load_config(write("[replay]\nmin_size = 1\n"), ["replay.capacity=0"])


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
@pytest.mark.parametrize(
    "key", [key for key, value in DEFAULTS.items() if isinstance(value, float)]
)
def test_no_number_may_be_nan_or_infinite(key, value):
    with pytest.raises(ConfigError, match=f"{key} is {value.lstrip('+')}"):
        load_config(None, [f"{key}={value}"])


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_nor_one_that_is_absent_by_default(value):
    with pytest.raises(ConfigError, match=r"stop.evaluation_return"):
        load_config(None, [f"stop.evaluation_return={value}"])


def test_a_whole_number_that_no_message_could_carry_is_refused():
    assert load_config(None, [f"run.seed={2**63 - 1}"]).run.seed == 2**63 - 1
    with pytest.raises(ConfigError, match=r"run.seed is .*less than 2\^63"):
        load_config(None, [f"run.seed={2**63}"])


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (
            ["replay.capacity=10", "replay.min_size=11"],
            r"replay.min_size is 11, more than replay.capacity \(10\).*Set it to 10 or less",
        ),
        (
            ["replay.initial_priority=collector", "collector.policy=remote"],
            'replay.initial_priority = "max" or collector.policy = "local"',
        ),
        (
            ["collector.environments=33"],
            r"collector.block_transitions is 32.*Set it to 33 or more",
        ),
    ],
)
def test_values_that_cannot_work_together_are_refused_with_the_way_out(overrides, words):
    with pytest.raises(ConfigError, match=words):
        load_config(None, overrides)


@pytest.mark.parametrize(
    "values",
    [
        {"replay.capacity": 10, "replay.min_size": 10},
        {"replay.capacity": 1, "replay.min_size": 1},
        {"replay.initial_priority": "collector"},
        {"collector.policy": "remote"},
        {"collector.environments": 32},
    ],
)
def test_values_that_just_work_together_are_taken(values):
    config = load_config(None, [f"{key}={value}" for key, value in values.items()])
    assert flatten(config).items() >= values.items()


def test_overrides_are_checked_together_not_one_by_one():
    config = load_config(None, ["replay.min_size=200000", "replay.capacity=300000"])
    assert config.replay.min_size == 200_000


def test_files_that_cannot_be_read_are_named(tmp_path, write):
    with pytest.raises(FileError, match=r"missing.toml: No such file"):
        load_config(tmp_path / "missing.toml")
    with pytest.raises(FileError, match="directory"):
        load_config(tmp_path)
    with pytest.raises(ConfigError, match=r"run.toml is not valid TOML.*line 1"):
        load_config(write("[replay\n"))
    (tmp_path / "latin.toml").write_bytes(b"# \xe4\n")
    with pytest.raises(ConfigError, match=r"latin.toml is not valid TOML"):
        load_config(tmp_path / "latin.toml")


# --- agreement ----------------------------------------------------------------------------------


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
