"""What holds for every section."""

from typing import get_type_hints

import pytest

from zdqn.config import Config, EnvironmentSection, WrapperSection
from zdqn.config.section import Section

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
    with pytest.raises(TypeError, match="unknown_key"):
        section(unknown_key=3)


def test_tables_of_two_configurations_are_not_one():
    first, second = EnvironmentSection(), EnvironmentSection()
    assert first.kwargs is not second.kwargs
