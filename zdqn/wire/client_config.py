"""What a server tells its clients of the configuration, by names that outlive those of the keys.

A client in another language acts on these alone; fields that it does not know it reads over.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta

from zdqn.wire.field_types import Label, Rows, Share, SomeRows, Total

LARGEST = 1e9
"""Of seconds and exponents; more is as good as infinite."""
Magnitude: TypeAlias = Annotated[float, Meta(ge=0, le=LARGEST)]


class Epsilon(msgspec.Struct, frozen=True, kw_only=True):
    """How collectors explore.

    Attributes:
        kind: "linear" or "ladder".
        initial: of a linear one, at the start.
        final: after the decay.
        decay_environment_steps: of all collectors, in between.
        base: of a ladder, its first rung.
        exponent: how much lower its last one is.
        collectors: planned; a ladder has no fewer.
        environments: of each collector.
    """

    kind: Label
    initial: Share
    final: Share
    decay_environment_steps: Total
    base: Share
    exponent: Magnitude
    collectors: Rows
    environments: SomeRows


class ClientConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What a client must know of the configuration; names that stay, and no number left open.

    Attributes:
        environment: what it is called; "" for one that a function makes.
        ping_period_s: between two pings.
        dead_after_s: silence after which a server takes a client for dead.
        discount: gamma.
        n_step: rewards in a return.
        reward_clip: largest magnitude of each of them; 0 for no limit.
        block_transitions: most in a block.
        block_age_s: after so long a block goes, full or not.
        high_water_mark: blocks that may wait at each end of the transitions link, >= 1.
        buffer_bytes: of the kernel at each end, >= 1.
        paced: collectors wait for arrivals, as samples per insert are bounded.
        priorities: of the collector are what an item begins with.
        epsilon: of collectors.
    """

    environment: Label
    ping_period_s: Magnitude
    dead_after_s: Magnitude
    discount: Share
    n_step: SomeRows
    reward_clip: Magnitude = 0.0
    block_transitions: SomeRows
    block_age_s: Magnitude
    high_water_mark: SomeRows
    buffer_bytes: SomeRows
    paced: bool
    priorities: bool
    epsilon: Epsilon
