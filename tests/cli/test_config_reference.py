"""docs/configuration.md is what the types of the keys say."""

import re
from collections import Counter
from pathlib import Path

from zdqn.cli.config_reference import describe_type, reference_lines
from zdqn.config import Config, to_dict

REFERENCE = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_the_configuration_reference_is_what_the_code_says():
    written = REFERENCE.read_text(encoding="utf-8")
    wanted = "\n".join(reference_lines()) + "\n"
    assert written == wanted, "run: zdqn config reference > docs/configuration.md"


def test_the_reference_has_every_key_once():
    rows = Counter(re.findall(r"^\| `(\w+)` \|", "\n".join(reference_lines()), re.MULTILINE))
    fields = Counter(
        key for section in to_dict(Config()) for key in getattr(Config(), section).__struct_fields__
    )
    assert rows == fields


def test_types_are_described_in_words():
    assert describe_type(int) == "integer"
    assert describe_type(float | None) == "number or absent"
    assert describe_type(tuple[str, ...]) == "list of text"
    assert describe_type(dict[str, int]) == "table"
