"""What holds for every section."""

import copy
import inspect
from pathlib import Path
from typing import Any, get_type_hints

import cloudpickle
import numpy as np
import pytest

from zdqn.config import (
    AlgorithmSection,
    Config,
    EnvironmentSection,
    NetworkSection,
    ReplaySection,
    RunSection,
    WrapperSection,
    load_config,
    to_toml,
)
from zdqn.config.section import Section
from zdqn.errors import ConfigError

SECTIONS = [*get_type_hints(Config).values(), WrapperSection]


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_a_section_is_named_so_and_says_what_it_and_each_key_is_for(section):
    assert issubclass(section, Section)
    assert section.__name__.endswith("Section")
    assert section.__doc__
    for hint in get_type_hints(section, include_extras=True).values():
        assert hint.__metadata__[-1].description.endswith(".")


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_a_section_takes_its_keys_by_name_and_no_others(section):
    with pytest.raises(TypeError, match="positional"):
        section(3)
    with pytest.raises(ConfigError, match='there is no key "unknown_key"'):
        section(unknown_key=3)


def test_tables_of_two_configurations_are_not_one():
    first, second = EnvironmentSection(), EnvironmentSection()
    assert first.kwargs is not second.kwargs


def make(kind: Any, /, **keywords: Any) -> Any:
    """Make a section with whatever its types forbid."""
    return kind(**keywords)


@pytest.mark.parametrize(
    ("kind", "keywords", "words"),
    [
        (ReplaySection, {"capacity": 0}, "replay.capacity is 0. Expected int >= 1. It means: Tran"),
        (ReplaySection, {"capacity": True}, "replay.capacity is True. Expected int, got bool."),
        (ReplaySection, {"capcity": 5}, 'no key "capcity". Did you mean "capacity"?'),
        (ReplaySection, {"kind": "x"}, 'is \'x\'. Expected one of "uniform", "prioritized"'),
        (NetworkSection, {"hidden": (64, 0)}, "network.hidden[1] is 0. Expected int >= 1"),
        (NetworkSection, {"hidden": 64}, "network.hidden is 64. Expected a list, got int"),
        (EnvironmentSection, {"wrappers": [{"nam": "x"}]}, 'no key "nam" in environment.wrappers'),
        (WrapperSection, {"name": 5}, "wrapper.name is 5. Expected str, got int. It means: A"),
        (Config, {"replai": {}}, 'no key "replai". Did you mean "replay"?'),
        (Config, {"replay": {"capacity": 0}}, "replay.capacity is 0. Expected int >= 1"),
        (Config, {"replay": AlgorithmSection()}, "got AlgorithmSection. [replay] is a section"),
    ],
)
def test_a_wrong_value_from_python_is_refused_like_one_of_a_file(kind, keywords, words):
    with pytest.raises(ConfigError) as refusal:
        make(kind, **keywords)
    assert words in str(refusal.value)
    assert str(refusal.value).startswith(f"{kind.__name__}: ")
    assert refusal.value.__context__ is None, "a user sees no traceback of what checks it"


def test_what_python_writes_otherwise_is_taken_as_a_file_has_it(tmp_path):
    config = Config(
        run=make(RunSection, directory=Path("some/where"), seed=np.int64(3)),
        algorithm=make(AlgorithmSection, discount=1, learning_rate=np.float64(0.5)),
        network=make(NetworkSection, hidden=[np.int32(8), 4]),
        environment=make(
            EnvironmentSection,
            wrappers=[{"name": "a"}],
            kwargs={"sides": (2, 3), "start": np.arange(2)},
        ),
    )
    assert config.network.hidden == (8, 4)
    assert type(config.algorithm.discount) is float
    assert type(config.run.seed) is int
    assert config.environment.wrappers == (WrapperSection(name="a"),)
    path = tmp_path / "written.toml"
    path.write_text(to_toml(config))
    assert load_config(path) == config


@pytest.mark.parametrize("value", [None, object(), {"deep": [1, None]}, len])
def test_what_no_file_can_hold_is_refused(value):
    with pytest.raises(ConfigError, match=r"environment.kwargs.limit.*cannot hold.*environment="):
        EnvironmentSection(kwargs={"limit": value})
    with pytest.raises(ConfigError, match=r"wrapper.kwargs.limit"):
        WrapperSection(name="a", kwargs={"limit": value})


def test_a_table_that_holds_itself_is_refused():
    endless: dict[str, Any] = {}
    endless["again"] = endless
    with pytest.raises(ConfigError, match="too deep"):
        EnvironmentSection(kwargs=endless)


def test_a_configuration_travels_to_other_processes():
    config = Config(replay=ReplaySection(capacity=5000))
    assert cloudpickle.loads(cloudpickle.dumps(config)) == config
    assert copy.deepcopy(config) == config


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_a_section_says_in_python_what_each_key_is_for(section):
    text = " ".join((inspect.getdoc(section) or "").split())
    for key, hint in get_type_hints(section, include_extras=True).items():
        assert f"{key}: {' '.join(hint.__metadata__[-1].description.split())}" in text
