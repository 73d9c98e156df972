"""Reading a configuration: files, overrides, origins, and what is said of a wrong one."""

from typing import get_args, get_type_hints

import pytest

from zdqn.config import (
    Config,
    ReplaySection,
    as_config,
    flatten,
    load_config,
    load_config_with_origins,
    parse_override,
)
from zdqn.errors import ConfigError, FileError

DEFAULTS = flatten(Config())


@pytest.fixture
def write(tmp_path):
    def make(text):
        path = tmp_path / "run.toml"
        path.write_text(text)
        return path

    return make


def test_nothing_given_is_the_defaults():
    assert load_config() == Config()


def test_a_file_changes_what_it_names_and_nothing_else(write):
    config = load_config(write("[replay]\ncapacity = 5_000\n"))
    assert flatten(config) == {**DEFAULTS, "replay.capacity": 5_000}


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
            "[learner]\ncompile = 'fast'",
            "learner.compile is 'fast'. Expected true, false, \"auto\"",
        ),
        ("[learner]\ncompile = 1", "learner.compile is 1. Expected bool | str, got int"),
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


@pytest.mark.parametrize("none", ["none", "None", " NONE "])
def test_a_value_that_may_be_absent_can_be_made_absent_again(write, none):
    path = write("[stop]\nevaluation_return = 5.0\n[environment]\nmax_episode_steps = 9\n")
    overrides = [f"stop.evaluation_return={none}", f"environment.max_episode_steps={none}"]
    assert load_config(path, overrides) == Config()
    optional = {
        f"{section}.{key}"
        for section, kind in get_type_hints(Config).items()
        for key, hint in get_type_hints(kind).items()
        if type(None) in get_args(hint)
    }
    assert load_config(None, [f"{key}={none}" for key in optional]) == Config()


def test_elsewhere_none_is_a_word_like_any_other():
    config = load_config(None, ["algorithm.target_network=none", "collector.compression=none"])
    assert config.algorithm.target_network == config.collector.compression == "none"
    with pytest.raises(ConfigError, match=r"stop\.updates"):
        load_config(None, ["stop.updates=none"])


# --- from Python ----------------------------------------------------------------------------------


def test_a_configuration_is_taken_in_each_of_its_forms(write):
    config = Config(replay=ReplaySection(capacity=5_000))
    path = write("[replay]\ncapacity = 5_000\n")
    for given in (config, path, str(path), {"replay": {"capacity": 5_000}}):
        assert as_config(given, source="zdqn.run") == config


@pytest.mark.parametrize("given", [None, 5, ["replay.capacity=5000"], Config])
def test_anything_else_is_refused_by_name_with_what_could_be_given(given):
    with pytest.raises(ConfigError) as refusal:
        as_config(given, source="zdqn.run")
    text = str(refusal.value)
    assert text.startswith(f"zdqn.run: the configuration is {given!r}, a {type(given).__name__}. ")
    assert "Give a zdqn.Config, the path of a TOML file, or a dictionary of sections" in text


def test_a_wrong_dictionary_is_refused_like_a_file():
    with pytest.raises(ConfigError, match=r"zdqn.run: replay.capacity is 0. Expected int >= 1"):
        as_config({"replay": {"capacity": 0}}, source="zdqn.run")
    with pytest.raises(ConfigError, match=r'no key "replay.capacity" in the top level'):
        as_config({"replay.capacity": 1}, source="zdqn.run")
