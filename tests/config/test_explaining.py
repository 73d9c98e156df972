"""From plain values to sections; what is said of wrong ones: test_loading.py, test_section.py."""

from pathlib import Path
from typing import get_type_hints

import numpy as np
import pytest
import torch

from zdqn.config import Config, WrapperSection
from zdqn.config.explaining import (
    alternatives,
    convert,
    convert_key,
    key_types,
    name_of,
    plain_value,
    struct_of,
)
from zdqn.config.section import Section
from zdqn.errors import ConfigError


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ((1, (2, 3)), [1, [2, 3]]),
        ({"a": (1,)}, {"a": [1]}),
        (np.float32(0.5), 0.5),
        (np.arange(3), [0, 1, 2]),
        (torch.tensor(4), 4),
        (Path("a/b"), "a/b"),
        (None, None),
        (True, True),
    ],
)
def test_a_value_is_written_as_a_file_would(value, plain):
    given = plain_value(value)
    assert given == plain
    assert type(given) is type(plain)


def test_what_has_no_plain_form_is_left_as_it_is():
    thing = object()
    assert plain_value([thing]) == [thing]


@pytest.mark.parametrize("kind", [*get_type_hints(Config).values(), WrapperSection])
def test_every_section_can_explain_each_of_its_keys(kind):
    for key in key_types(kind):
        with pytest.raises(ConfigError) as refusal:
            convert_key(kind, key, object)
        assert str(refusal.value).startswith(f"{kind.__name__}: {name_of(kind, key)} is <class")
        assert "It means: " in str(refusal.value)


def test_every_section_is_called_by_its_name_in_the_configuration():
    for name, kind in get_type_hints(Config).items():
        assert name_of(kind, "key") == f"{name}.key"
    assert name_of(Config, "replay") == "replay"


def test_the_section_within_a_type_is_found():
    wrappers = key_types(struct_of(key_types(Config)["environment"]))["wrappers"]
    assert struct_of(wrappers) is WrapperSection
    assert issubclass(struct_of(wrappers), Section)


def test_only_what_may_be_absent_has_alternatives_with_none():
    assert type(None) in alternatives(Config, "stop", "evaluation_return")
    assert type(None) not in alternatives(Config, "stop", "updates")


def test_no_table_at_all():
    with pytest.raises(ConfigError, match=r"it is \[1\]. Expected a table, got a list."):
        convert([1], Config, source="it")
