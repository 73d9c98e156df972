"""What the roles of one run must agree in: whatever both ends of a link act on.

A client sends its values with its hello; a server that has others refuses it, and names both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zdqn.config.explaining import show_value
from zdqn.config.plain import flatten
from zdqn.config.schema import Config
from zdqn.errors import MismatchError

_EVERY_LINK = ("links.ping_period_s", "links.dead_after_s")
_NETWORK_OUTPUT = tuple(
    f"algorithm.{key}" for key in ("distribution", "atoms", "v_min", "v_max", "quantiles")
)
_WITH_LEARNER = ("environment", "network", *_NETWORK_OUTPUT, *_EVERY_LINK)

AGREEMENTS: dict[tuple[str, str], tuple[str, ...]] = {
    ("collector", "learner"): (
        *_WITH_LEARNER,
        "algorithm.discount",
        "algorithm.n_step",
        "algorithm.reward_clip",
        "collector.block_transitions",
        "exploration",
        "replay.initial_priority",
        "replay.kind",
    ),
    ("evaluator", "learner"): (*_WITH_LEARNER, "evaluator.max_episode_steps"),
    ("learner", "memory"): (
        *_EVERY_LINK,
        "algorithm.batch_size",
        "algorithm.discount",  # which the memory tells those who import
        "algorithm.n_step",
        "algorithm.reward_clip",
        "collector.block_transitions",
        "replay.capacity",
        "replay.frames_per_transition",
        "replay.kind",
        "replay.min_size",
        "replay.priority_epsilon",
        "replay.priority_exponent",
        "replay.samples_per_insert",
        "replay.samples_per_insert_window",
    ),
    ("collector", "memory"): (
        *_EVERY_LINK,
        "algorithm.n_step",
        "collector.block_transitions",
        "collector.compression",
        "links.delivery",
    ),
}
"""Client and server to the sections and single keys in which the two must agree."""
FUNCTION_KEYS = ("environment.function", "network.function")
"""Keys that say which Python function was given in place of a name. They are not compared: who was
given one knows it, and each start of a process by itself."""


def shared_values(config: Config, client: str, server: str) -> dict[str, Any]:
    """Give the values in which a client and a server must agree, keyed ``section.key``.

    Args:
        config: of either.
        client: "collector", "evaluator" or "learner".
        server: "learner" or "memory".
    """
    agreed = AGREEMENTS[client, server]
    if client == "collector" and server == "learner" and config.exploration.kind == "ladder":
        agreed = (*agreed, "launch.collectors")  # as many rungs as collectors are planned
    return {
        key: value
        for key, value in flatten(config).items()
        if (key in agreed or key.partition(".")[0] in agreed) and key not in FUNCTION_KEYS
    }


def describe_difference(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """List where two flattened configurations differ, a line each.

    Args:
        ours: ``section.key`` to value, of the side that speaks.
        theirs: the same of the other side.

    Returns:
        Lines such as ``algorithm.n_step: here 3, there 1``; empty when they agree.
    """
    absent = "(absent)"
    return [
        f"{key}: here {show_value(here)}, there {show_value(there)}"
        for key in sorted({*ours, *theirs})
        if (here := ours.get(key, absent)) != (there := theirs.get(key, absent))
    ]


def check_agreement(
    config: Config, client: str, server: str, name: str, shared: Mapping[str, Any] | None
) -> None:
    """Compare a client's values with a server's.

    Args:
        config: of the server.
        client: role of the client.
        server: role of the server.
        name: what to call the client.
        shared: its values, from its `shared_values`; None if it came without a configuration.

    Raises:
        MismatchError: when they differ; the text lists each value of both.
    """
    if shared is None:
        return
    difference = describe_difference(shared_values(config, client, server), shared)
    if difference:
        way_out = f"Start {name} and the {server} with one configuration."
        if server == "learner":
            way_out = (
                f"Start {name} with this run's configuration, or with none: then it takes the "
                f"learner's."
            )
        raise MismatchError(
            f"another configuration; both must agree in these values, with the {server} here and "
            f"{name} there:\n  " + "\n  ".join(difference) + f"\n{way_out}"
        )
