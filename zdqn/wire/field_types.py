"""What a number or a word of a header may be; anything else is refused when it is decoded."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import Meta

Session: TypeAlias = Annotated[int, Meta(ge=0, le=2**53 - 1)]
"""So small that a double holds it, which is all that some languages have."""
Digest: TypeAlias = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Rows: TypeAlias = Annotated[int, Meta(ge=0, le=2**31 - 1)]
SomeRows: TypeAlias = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**48 - 1)]
"""What one client counts; so small that no sum of them overflows a `Total`."""
Total: TypeAlias = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Version: TypeAlias = Annotated[int, Meta(ge=-1, le=2**63 - 1)]
Share: TypeAlias = Annotated[float, Meta(ge=0, le=1)]
Revision: TypeAlias = Annotated[int, Meta(ge=1, le=65535)]
"""A version of the protocol."""
WaitMs: TypeAlias = Annotated[int, Meta(ge=0, le=60_000)]
Label: TypeAlias = Annotated[str, Meta(max_length=256, pattern=r"^[^\x00-\x1f\x7f-\x9f]*\Z")]
"""One line for a log or a terminal: no control characters."""
Capabilities: TypeAlias = Annotated[tuple[Label, ...], Meta(max_length=64)]
Statistics: TypeAlias = Annotated[
    dict[
        Annotated[str, Meta(max_length=64, pattern=r"^\w+\Z")],
        Annotated[int, Meta(ge=-(2**53), le=2**53)]
        | Annotated[float, Meta(ge=-1e300, le=1e300)]
        | Label
        | bool,
    ],
    Meta(max_length=64),
]
"""What a role tells of itself: flat, finite, and short enough to show."""
