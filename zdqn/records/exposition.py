"""What a run tells Prometheus: families of numbers, each with the role that it is of.

A pure function of a status, so that one learner tells of every role; what answers Prometheus is
`zdqn.roles.metrics_endpoint`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from zdqn.wire.status import OF_CLIENTS, LearnerStatus


class ToldNumber(NamedTuple):
    """A number that is told.

    Attributes:
        field: of a struct of `zdqn.wire.status`.
        name: that Prometheus knows it by: whose it is, the field, its unit written out, and
            ``_total`` where it only grows.
        kind: "counter", which only grows while its role lives, or "gauge".
        meaning: in a sentence.
    """

    field: str
    name: str
    kind: str
    meaning: str


class Sample(NamedTuple):
    """A number of one role.

    Attributes:
        labels: name to value.
        value: of the number.
    """

    labels: dict[str, str]
    value: float


class Family(NamedTuple):
    """Numbers of one name.

    Attributes:
        name: in full.
        kind: "counter" or "gauge".
        meaning: in a sentence.
        samples: one for each role that has it.
    """

    name: str
    kind: str
    meaning: str
    samples: list[Sample]


def _gauges(of: str = "", /, **meanings: str) -> tuple[ToldNumber, ...]:
    return tuple(
        ToldNumber(field, f"zdqn_{of}{_with_unit(field)}", "gauge", meaning)
        for field, meaning in meanings.items()
    )


def _counters(of: str = "", /, **meanings: str) -> tuple[ToldNumber, ...]:
    return tuple(
        ToldNumber(field, f"zdqn_{of}{_with_unit(field)}_total", "counter", meaning)
        for field, meaning in meanings.items()
    )


def _with_unit(field: str) -> str:
    if not field.endswith("_s"):
        return field
    return field.removesuffix("_s") + ("_second" if "_per_" in field else "_seconds")


RUN = (
    *_counters(
        environment_steps="Environment steps of all collectors.",
        transitions="Transitions stored.",
        updates="Updates of the learner.",
        episodes="Episodes of all collectors.",
        blocks_sent="Blocks that collectors sent.",
    ),
    *_gauges(
        wall_s="Time of training, earlier starts included.",
        environment_steps_per_s="Environment steps since the row of metrics before.",
        updates_per_s="Updates since the row of metrics before.",
        loss="Loss of updates.",
        td_error_mean="Mean absolute TD error of updates.",
        q_mean="Mean of the highest action value of what is learned from.",
        gradient_norm="L2 norm of the gradients before clipping.",
        staleness_mean="Versions by which weights were old that collected what is learned from.",
        epsilon="Share of random actions, mean over living collectors.",
        episode_return_mean="Mean return of the collectors' last episodes.",
        last_evaluation_return="Mean return of the newest evaluation.",
        best_evaluation_return="The highest mean return of an evaluation.",
        samples_per_insert="Transitions sampled for each that was inserted.",
        blocks_lost="Blocks that were lost, on the way or with a memory.",
        blocks_refused="Blocks that the memory refused.",
        blocks_in_flight="Blocks sent of which the memory has not heard yet.",
        steps_ahead="Environment steps by which collectors are ahead of the memory.",
        unevaluated="Snapshots without a result yet.",
    ),
)
"""Of `zdqn.wire.status.ProgressStatus`."""

MEMORY = (
    *_counters(
        "memory_",
        transitions="Transitions inserted.",
        samples="Transitions sampled.",
        stale_priorities="Priorities that came for transitions that were evicted by then.",
        inserting_s="Time spent storing blocks.",
        sampling_s="Time spent gathering and sending batches.",
        holding_inserts_back_s="Time in which the limiter held collectors back.",
    ),
    *_gauges(
        "memory_",
        size="Transitions in the replay.",
        capacity="Transitions that the replay holds at most.",
        bytes="Bytes of the replay's arrays.",
        reading="1 while blocks are read, 0 while the limiter holds collectors back.",
        silent_s="Time since the memory answered its learner last.",
    ),
)
"""Of `zdqn.wire.status.MemoryOfLearner`."""

CLIENTS: Mapping[str, tuple[ToldNumber, ...]] = {
    "collector": (
        *_counters(
            "collector_",
            environment_steps="Environment steps taken.",
            episodes="Episodes finished.",
            blocks_sent="Blocks handed to the link.",
            blocks_refused="Blocks that the memory refused.",
            blocked_s="Time spent waiting for room on the link.",
            asking_s="Time spent waiting for actions of the model server.",
        ),
        *_gauges(
            "collector_",
            epsilon="Share of random actions.",
            idle_s="Time since its last step, if it waits for nobody.",
            steps_ahead="Environment steps of which the memory has not heard yet.",
            unacknowledged="Blocks that the memory has not acknowledged.",
            episode_return_mean="Mean return of its last episodes.",
        ),
    ),
    "evaluator": (
        *_counters(
            "evaluator_",
            evaluations="Snapshots scored.",
            episodes="Episodes played for them.",
            environment_steps="Environment steps taken for them.",
        ),
        *_gauges("evaluator_", idle_s="Time since its last step, if it waits for nobody."),
    ),
}
"""Role to what its rows in a status tell, of the structs in `zdqn.wire.status.OF_CLIENTS`."""

(_PHASE,) = _gauges(phase="1, beside the label phase, which says what the learner does.")
(_STALLED,) = _gauges("learner_", stalled_s="Time for which training has not gone on.")
(_ACTIONS,) = _counters("learner_", actions_served="Greedy actions computed for others.")
_LIVING, _SEEN = _gauges(
    "role_",
    living="1 for a collector or evaluator that lives, 0 for one that is silent or gone.",
    last_seen_s="Time since the learner heard of it.",
)

ALL = (
    *RUN, *MEMORY, *CLIENTS["collector"], *CLIENTS["evaluator"],
    _PHASE, _STALLED, _ACTIONS, _LIVING, _SEEN,
)  # fmt: skip
"""Everything that is ever told."""


def families(status: LearnerStatus, run: str) -> list[Family]:
    """Give everything that a status tells, in families.

    Args:
        status: of a learner, or of `zdqn train`.
        run: its name, the label of every number.
    """
    found: dict[ToldNumber, list[Sample]] = {}
    for told, labels, value in _numbers(status):
        found.setdefault(told, []).append(Sample({"run": run, **labels}, value))
    return [Family(told.name, told.kind, told.meaning, samples) for told, samples in found.items()]


_Number = tuple[ToldNumber, dict[str, str], float]


def _numbers(status: LearnerStatus) -> Iterator[_Number]:
    yield from _of(RUN, msgspec.structs.asdict(status.progress), {})
    yield _PHASE, {"phase": status.run.phase}, 1.0
    learner = {"role": "learner", "name": "learner"}
    yield _STALLED, learner, status.run.stalled_s
    yield _ACTIONS, learner, float(status.actions_served)
    if status.memory.address:
        memory = {"role": "memory", "name": "memory"}
        yield from _of(MEMORY, msgspec.structs.asdict(status.memory), memory)
    for labels, row in _newest(status.clients):
        yield _LIVING, labels, float(row.get("state") == "living")
        yield _SEEN, labels, float(row.get("last_seen_s", 0.0))
        told = OF_CLIENTS[labels["role"]].read(row)
        yield from _of(CLIENTS[labels["role"]], msgspec.structs.asdict(told), labels)


def _newest(
    rows: Iterable[Mapping[str, Any]],
) -> Iterator[tuple[dict[str, str], Mapping[str, Any]]]:
    """Give the clients; of several starts under one name the living one, or else the last seen."""
    found: dict[tuple[str, str], Mapping[str, Any]] = {}
    for row in rows:
        key = str(row.get("role", "")), str(row.get("name", ""))
        if key[0] in CLIENTS and (key not in found or _order(row) < _order(found[key])):
            found[key] = row
    return (({"role": role, "name": name}, row) for (role, name), row in found.items())


def _order(row: Mapping[str, Any]) -> tuple[bool, float]:
    return row.get("state") != "living", float(row.get("last_seen_s", 0.0))


def _of(
    table: Iterable[ToldNumber], values: Mapping[str, Any], labels: dict[str, str]
) -> Iterator[_Number]:
    """Give what is known of a table."""
    for told in table:
        value = values[told.field]
        if value is not None:
            yield told, labels, float(value)
