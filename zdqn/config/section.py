"""What every section of the configuration is: frozen, typed, each key with its description."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta, StructMeta

from zdqn.config.explaining import check_keywords, convert_key, key_types

PositiveInt = Annotated[int, Meta(ge=1)]


def key(description: str, **rules: Any) -> Meta:
    """Annotate a key.

    Args:
        description: what the reference says of it.
        rules: bounds, as `msgspec.Meta` takes them.
    """
    return Meta(description=description, **rules)


class SectionType(StructMeta):
    """What makes sections: a keyword that is no key is refused as one in a file is."""

    def __call__(cls, *arguments: Any, **keywords: Any) -> Any:
        """Make a section from Python; what is read from a file does not come this way."""
        check_keywords(keywords, cls.__struct_fields__, source=cls.__name__)
        return super().__call__(*arguments, **keywords)


class Section(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    metaclass=SectionType,
):
    """Base of all sections: frozen, unknown keys refused; each says `kw_only` for its own keys.

    A section that is made in Python is held to the rules of one in a file. Lists may stand for
    tuples, NumPy's numbers for Python's, a path for text, and a dictionary for a section.

    Raises:
        ConfigError: for an unknown key, a wrong type, or a value out of range.
    """

    def __post_init__(self) -> None:
        for name, kind in key_types(type(self)).items():
            given = getattr(self, name)
            if type(given) is not kind:  # a section, which has been here itself
                msgspec.structs.force_setattr(self, name, convert_key(type(self), name, given))
