"""What roles say of themselves: statistics in pings and pongs, and the answers to status requests.

They travel as flat or nested maps. Here they are typed, so that who writes a number and who reads
it mean the same one; and each has a bound, so that nothing that a peer says of itself can hurt.
Keys that are not listed here are shown to whoever looks at a status; nothing computes with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self, TypeVar

import msgspec
from msgspec import Meta

from zdqn.errors import ProtocolError
from zdqn.wire.field_types import Count, Label, Share, Statistics, Total

Seconds = Annotated[float, Meta(ge=0, le=1e12)]
Finite = Annotated[float, Meta(ge=-1e300, le=1e300)]

StatisticsT = TypeVar("StatisticsT", bound="RoleStatistics")


STANDSTILL_S = 10.0
"""Seconds without a step, though nobody is waited for, after which it is said."""


class RoleStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Base of what a role tells in pings; numbers that are None are left out."""

    def to_wire(self) -> Statistics:
        """Give it as a flat map."""
        values = msgspec.structs.asdict(self)
        return {key: value for key, value in values.items() if value is not None}

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Self:
        """Take it from a map; what is absent has its default.

        Raises:
            ProtocolError: naming the key whose value is of a wrong type or out of range.
        """
        try:
            return msgspec.convert(values, cls)
        except msgspec.ValidationError as error:
            reason, _, where = str(error).partition(" - at `$.")
            key = where.rstrip("`")
            raise ProtocolError(
                f"statistics hold {key} = {str(values.get(key))[:40]!r}. {reason}"
            ) from error


class CollectorStatistics(RoleStatistics, frozen=True):
    """What a collector tells.

    Attributes:
        environment_steps: taken.
        episodes: finished.
        blocks_sent: handed to the link.
        transitions_sent: in them.
        blocks_refused: of those sent, as the memory tells.
        epsilon: share of random actions, mean over its environments; None before the first step.
        blocked_s: seconds spent waiting for room on the link.
        asking_s: seconds spent waiting for the model server's actions.
        collecting_s: seconds since its first step.
        idle_s: seconds since its last step, if it waits for nobody: a step or a reset of its
            environment has not come back.
        steps_ahead: environment steps that the memory has not heard of yet; None where nothing
            bounds them.
        unacknowledged: blocks that the memory has not said that it has; None with
            ``links.delivery = "plain"``.
        resent: blocks that went again; None likewise.
        acknowledging_s: for how long it waits now for the memory to acknowledge blocks; None
            likewise.
        episode_return_mean: over its last few episodes; None before the first has ended.
    """

    environment_steps: Count = 0
    episodes: Count = 0
    blocks_sent: Count = 0
    transitions_sent: Count = 0
    blocks_refused: Count = 0
    epsilon: Share | None = None
    blocked_s: Seconds = 0.0
    asking_s: Seconds = 0.0
    collecting_s: Seconds = 0.0
    idle_s: Seconds = 0.0
    steps_ahead: Count | None = None
    unacknowledged: Count | None = None
    resent: Count | None = None
    acknowledging_s: Seconds | None = None
    episode_return_mean: Finite | None = None


class EvaluatorStatistics(RoleStatistics, frozen=True):
    """What an evaluator tells.

    Attributes:
        evaluations: snapshots that it scored.
        episodes: played for them.
        environment_steps: taken for them, and for the one that it plays now.
        doing: what it does now.
        doing_s: for how long, in seconds.
        idle_s: seconds since its last step, if it waits for nobody: a step or a reset of its
            environment has not come back.
    """

    evaluations: Count = 0
    episodes: Count = 0
    environment_steps: Count = 0
    doing: Label = ""
    doing_s: Seconds = 0.0
    idle_s: Seconds = 0.0


class LearnerStatistics(RoleStatistics, frozen=True):
    """What a learner tells the memory.

    Attributes:
        phase: what it does now.
        updates: made.
    """

    phase: Label = ""
    updates: Count = 0


class MemoryStatistics(RoleStatistics, frozen=True):
    """What a memory tells in its pongs.

    Attributes:
        size: transitions stored.
        capacity: transitions kept at most.
        bytes: of the replay's arrays.
        transitions: inserted so far.
        samples: transitions sampled so far.
        samples_per_insert: the ratio of the two since learning could begin.
        blocks: received and stored.
        blocks_lost: missing in the collectors' sequences.
        blocks_duplicated: received twice and dropped.
        blocks_refused: malformed, or of another environment.
        blocks_early: dropped because one before them is missing; they come again.
        stale_priorities: priorities that came for items that were evicted by then.
        environment_steps: of the collectors that it heard of.
        episodes: likewise.
        inserting_s: seconds spent storing blocks.
        sampling_s: seconds spent gathering and sending batches.
        holding_inserts_back_s: seconds in which collectors were held back.
        reading: whether blocks are read now.
        sharing: whether the learner shares memory with it, for frames of samples.
        came_back_with: transitions that an earlier start of it had left, and this one began with.
        came_back_without: transitions that came to earlier starts after the snapshot that it began
            with, and were lost with them.
    """

    size: Total = 0
    capacity: Total = 0
    bytes: Total = 0
    transitions: Total = 0
    samples: Total = 0
    samples_per_insert: Finite = 0.0
    blocks: Total = 0
    blocks_lost: Annotated[int, Meta(ge=-(2**62), le=2**62)] = 0
    blocks_duplicated: Total = 0
    blocks_refused: Total = 0
    blocks_early: Total = 0
    stale_priorities: Total = 0
    environment_steps: Total = 0
    episodes: Total = 0
    inserting_s: Seconds = 0.0
    sampling_s: Seconds = 0.0
    holding_inserts_back_s: Seconds = 0.0
    reading: bool = True
    sharing: bool = False
    came_back_with: Total = 0
    came_back_without: Total = 0


OF_CLIENTS: dict[str, type[RoleStatistics]] = {
    "collector": CollectorStatistics,
    "evaluator": EvaluatorStatistics,
    "learner": LearnerStatistics,
}
"""What a client of each role tells in its pings."""


class ServerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Base of the answers to a status request; what an answer lacks has its default."""

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Self:
        """Take it from nested maps.

        Raises:
            ProtocolError: when a value is of a wrong type.
        """
        try:
            return msgspec.convert(values, cls)
        except msgspec.ValidationError as error:
            raise ProtocolError(f"a status that cannot be read: {error}") from error

    def to_wire(self) -> dict[str, Any]:
        """Give it as nested maps."""
        values: dict[str, Any] = msgspec.to_builtins(self)
        return values


class MemoryStatus(MemoryStatistics, frozen=True):
    """What a memory answers to a status request: its statistics, and what follows.

    Attributes:
        endpoints: its addresses, by link.
        run_id: the run that it serves; "" before the first learner.
        security: who may come: "keys", "this machine", or "open" to whoever reaches it.
        waiting_requests: sample requests that wait for data.
        clients: a row for each of its clients.
        zdqn: version of it.
    """

    endpoints: dict[str, str] = {}
    run_id: str = ""
    security: str = ""
    waiting_requests: int = 0
    clients: list[Statistics] = []
    zdqn: str = ""


class MemoryOfLearner(MemoryStatistics, frozen=True):
    """A memory as its learner sees it: what it told in its last pong.

    Attributes:
        address: at which the learner dials it.
        silent_s: seconds since it answered last, as of the learner's last report.
    """

    address: str = ""
    silent_s: float = 0.0


class RunStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Which run it is.

    Attributes:
        run_id: of the run.
        directory: where its files are.
        phase: what the learner does now.
        wall_s: seconds of training, earlier starts included.
        learner_epoch: count of this run's starts.
        security: who may come to the learner, as in `MemoryStatus`.
        stalled_s: seconds for which its training thread has not gone on; 0 while it does.
        last_did: where it stands then.
    """

    run_id: str = ""
    directory: str = ""
    phase: str = ""
    wall_s: float = 0.0
    learner_epoch: int = 0
    security: str = ""
    stalled_s: float = 0.0
    last_did: str = ""


class MetricsRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of ``metrics.jsonl``; None where there is no number yet.

    What updates saw is a mean over those since the row before, or that row's if there were none.

    Attributes:
        wall_s: seconds of training, earlier starts included.
        environment_steps: of all collectors.
        transitions: stored.
        updates: of the learner.
        episodes: of all collectors.
        environment_steps_per_s: since the row before.
        updates_per_s: since the row before.
        loss: of updates.
        td_error_mean: mean absolute TD error of the transitions of updates.
        q_mean: mean over their batches of max_a Q(s, a).
        gradient_norm: of updates, before clipping.
        staleness_mean: how many versions old the weights were that collected what is learned from.
        epsilon: mean over the living collectors.
        episode_return_mean: mean over the living collectors' last episodes.
        last_evaluation_return: mean return of the newest evaluation.
        best_evaluation_return: the highest so far.
    """

    wall_s: float = 0.0
    environment_steps: int = 0
    transitions: int = 0
    updates: int = 0
    episodes: int = 0
    environment_steps_per_s: float | None = None
    updates_per_s: float | None = None
    loss: float | None = None
    td_error_mean: float | None = None
    q_mean: float | None = None
    gradient_norm: float | None = None
    staleness_mean: float | None = None
    epsilon: float | None = None
    episode_return_mean: float | None = None
    last_evaluation_return: float | None = None
    best_evaluation_return: float | None = None


class ProgressStatus(MetricsRow, frozen=True):
    """The newest row of metrics, and what else shows how a run goes.

    Attributes:
        samples_per_insert: as the memory tells; None before it has told.
        blocks_sent: by all collectors of the run.
        blocks_lost: of those, on the way or with a memory that died.
        blocks_refused: of those, by the memory.
        blocks_in_flight: of those, sent after the last that the memory has heard of.
        steps_ahead: environment steps that collectors were ahead of the memory, all together.
        unevaluated: snapshots that have no result yet.
    """

    samples_per_insert: float | None = None
    blocks_sent: int = 0
    blocks_lost: int = 0
    blocks_refused: int = 0
    blocks_in_flight: int = 0
    steps_ahead: int = 0
    unevaluated: int = 0


class LimitsStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The end conditions that are set; None for those that are not."""

    updates: int | None = None
    environment_steps: int | None = None
    episodes: int | None = None
    wall_s: float | None = None
    evaluation_return: float | None = None


class LearnerStatus(ServerStatus, frozen=True):
    """What a learner answers to a status request.

    Attributes:
        run: which run it is.
        progress: how it goes.
        stop: the end conditions that are set.
        verdict: who is the bottleneck, in words.
        memory: its address and its statistics.
        actions_served: greedy actions computed for others.
        publications: of weights, in this start of the learner.
        publication_bytes: of the last one, as each subscriber is sent it; 0 before the first.
        clients: a row for each of its clients.
        zdqn: version of it.
    """

    run: RunStatus = RunStatus()
    progress: ProgressStatus = ProgressStatus()
    stop: LimitsStatus = LimitsStatus()
    verdict: str = ""
    memory: MemoryOfLearner = MemoryOfLearner()
    actions_served: int = 0
    publications: int = 0
    publication_bytes: int = 0
    clients: list[Statistics] = []
    zdqn: str = ""
