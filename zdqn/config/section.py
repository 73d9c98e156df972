"""What every section of the configuration is: frozen, typed, each key with its description."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta, StructMeta

from zdqn.config.explaining import check_keywords, convert_key, key_types

_DOCSTRING_WIDTH = 100

PositiveInt = Annotated[int, Meta(ge=1)]


def key(description: str, **rules: Any) -> Meta:
    """Annotate a key.

    Args:
        description: what the reference says of it.
        rules: bounds, as `msgspec.Meta` takes them.
    """
    return Meta(description=description, **rules)


def _with_keys(text: str, keys: Mapping[str, Any]) -> str:
    """Append keys and their descriptions, as a docstring lists attributes."""
    described = [
        textwrap.fill(
            f"{name}: {kind.__metadata__[-1].description}",
            _DOCSTRING_WIDTH,
            initial_indent="        ",
            subsequent_indent="            ",
        )
        for name, kind in keys.items()
        if hasattr(kind, "__metadata__")
    ]
    return "\n".join([text.rstrip(), "", "    Attributes:", *described, ""]) if described else text


class SectionType(StructMeta):
    """What makes sections: each says in Python what a keyword is for, and refuses those unknown."""

    def __init__(cls, name: str, bases: tuple[type, ...], namespace: Any, **options: Any) -> None:
        """Add the descriptions of its keys to what a section says of itself."""
        super().__init__(name, bases, namespace, **options)
        cls.__doc__ = _with_keys(cls.__doc__ or "", key_types(cls))

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
