"""What every section of the configuration is: frozen, typed, each key with its description."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

PositiveInt = Annotated[int, Meta(ge=1)]


def key(description: str, **rules: Any) -> Meta:
    """Annotate a key.

    Args:
        description: what the reference says of it.
        rules: bounds, as `msgspec.Meta` takes them.
    """
    return Meta(description=description, **rules)


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of all sections: frozen, unknown keys refused; each says `kw_only` for its own keys."""
