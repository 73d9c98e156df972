"""What is known of a run at one moment: everything that a screen is drawn from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from zdqn.config import Config
from zdqn.errors import ProtocolError
from zdqn.records.given_functions import Function, environment_name
from zdqn.records.run_history import History
from zdqn.roles.building import describe_limits
from zdqn.wire.status import (
    CollectorStatistics,
    EvaluatorStatistics,
    LearnerStatus,
    LimitsStatus,
    MemoryStatistics,
    MemoryStatus,
)

SILENT_AFTER_S = 3.0
"""Seconds without a word from somebody who should speak every second, after which it is said."""

_BUSY = frozenset({"loading torch", "building the network"})
_PATIENCE_S = 60.0
"""Seconds without a word from a learner in one of these phases, after which it is said."""

STOPPED = "stopped"
"""Why a run ends that was asked to without a reason."""

BEGUN = frozenset(
    {"training", "evaluating", "waiting for evaluations", "scoring the best network again",
     "finishing"}
)  # fmt: skip
"""Phases of a learner in which the files of its run directory are its own."""


@dataclass(frozen=True)
class RunPlan:
    """What a run was configured to be; what is not known has its default.

    Attributes:
        environment: its name.
        collectors: how many there are to be.
        evaluators: likewise.
        min_size: transitions in the memory before the first update.
        one_process: whether all of it happens in one process.
        limits: the end conditions that are set.
    """

    environment: str = ""
    collectors: int = 0
    evaluators: int = 0
    min_size: int = 0
    one_process: bool = False
    limits: LimitsStatus = field(default_factory=LimitsStatus)

    @classmethod
    def of(
        cls, config: Config, *, environment: Function | None = None, one_process: bool = False
    ) -> RunPlan:
        """Take it from a configuration, and from the function that makes environments instead."""
        return cls(
            environment=environment_name(config, environment),
            collectors=config.launch.collectors,
            evaluators=config.launch.evaluators,
            min_size=config.replay.min_size,
            one_process=one_process,
            limits=describe_limits(config),
        )

    @classmethod
    def named(cls, config: Config) -> RunPlan:
        """Take from a configuration what holds however the roles were started."""
        plan = cls.of(config)
        return cls(environment=plan.environment, min_size=plan.min_size)


@dataclass(frozen=True)
class Member:
    """A collector or an evaluator, as a server tells of it.

    Attributes:
        role: "collector" or "evaluator".
        name: what it is called.
        state: "living", "silent" or "gone".
        last_seen_s: seconds since the server heard of it.
        host: IP address that the server knows it by; "" if it has none.
        zdqn: version that it is of; "" if it has not said so.
        collector: its statistics, if it is one.
        evaluator: likewise.
    """

    role: str
    name: str
    state: str = ""
    last_seen_s: float = 0.0
    host: str = ""
    zdqn: str = ""
    collector: CollectorStatistics = field(default_factory=CollectorStatistics)
    evaluator: EvaluatorStatistics = field(default_factory=EvaluatorStatistics)

    @property
    def told(self) -> CollectorStatistics | EvaluatorStatistics:
        """What it tells of itself."""
        return self.evaluator if self.role == "evaluator" else self.collector

    @property
    def is_living(self) -> bool:
        """Whether it has neither left nor been taken for dead."""
        return self.state == "living"


def read_members(rows: Iterable[Mapping[str, Any]]) -> tuple[Member, ...]:
    """Read the rows of a server's clients; one that cannot be read keeps its name alone.

    Of several starts under one name the living one counts, or else the last that was seen.
    """
    members: dict[tuple[str, str], Member] = {}
    for row in rows:
        member = _read_member(row)
        key = member.role, member.name
        other = members.get(key)
        if other is None or (member.is_living, -member.last_seen_s) > (
            other.is_living, -other.last_seen_s
        ):  # fmt: skip
            members[key] = member
    return tuple(members.values())


def _read_member(row: Mapping[str, Any]) -> Member:
    role, name = str(row.get("role", "")), str(row.get("name", ""))
    seen = row.get("last_seen_s")
    collector, evaluator = CollectorStatistics(), EvaluatorStatistics()
    try:
        if role == "collector":
            collector = CollectorStatistics.read(row)
        elif role == "evaluator":
            evaluator = EvaluatorStatistics.read(row)
    except ProtocolError:
        pass  # a server that is no zdqn of ours; its numbers are left out
    return Member(
        role=role,
        name=name,
        state=str(row.get("state", "")),
        last_seen_s=float(seen) if isinstance(seen, int | float) else 0.0,
        host=str(row.get("host", "")),
        zdqn=str(row.get("zdqn", "")),
        collector=collector,
        evaluator=evaluator,
    )


@dataclass(frozen=True)
class RunView:
    """What is known of a run at one moment.

    Attributes:
        plan: what it was configured to be.
        directory: where its files are.
        learner: its last answer; None before the first.
        memory: what the memory told last, itself or through the learner; None before it did.
        members: collectors and evaluators.
        history: how it went so far.
        rates: how often things happen a second, by name: "environment_steps", "updates",
            "episodes", "holding back" (seconds in which the limiter did), and "steps of NAME",
            "blocked of NAME" for a collector; what is not known is missing.
        watched_s: seconds since somebody began to look.
        silent_s: seconds since the learner answered last.
        ending: why the run was asked to end; "" if it was not.
    """

    plan: RunPlan = RunPlan()
    directory: str = ""
    learner: LearnerStatus | None = None
    memory: MemoryStatistics | None = None
    members: tuple[Member, ...] = ()
    history: History = field(default_factory=History)
    rates: Mapping[str, float] = field(default_factory=dict)
    watched_s: float = 0.0
    silent_s: float = 0.0
    ending: str = ""

    @property
    def phase(self) -> str:
        """What the learner does; "" if it has not said so."""
        return self.learner.run.phase if self.learner is not None else ""

    @property
    def limits(self) -> LimitsStatus:
        """The end conditions that are set."""
        return self.plan.limits if self.learner is None else self.learner.stop

    @property
    def has_begun(self) -> bool:
        """Whether training has begun."""
        return self.phase in BEGUN

    @property
    def wall_s(self) -> float:
        """Seconds of training, as far as it has begun; else since somebody looks."""
        if self.learner is None or not self.has_begun:
            return self.watched_s
        return self.learner.run.wall_s + (0.0 if self.plan.one_process else self.silent_s)

    @property
    def environment_steps(self) -> int:
        """Steps whose transitions have come to the memory, by whoever knows of more.

        Collectors have taken more: some are on their way. It is these that end a run.
        """
        told = self.learner.progress.environment_steps if self.learner is not None else 0
        memory = self.memory.environment_steps if self.memory is not None else 0
        return max(told, memory)

    @property
    def is_silent(self) -> bool:
        """Whether the learner has not answered for longer than it should take."""
        return self.silent_s >= (_PATIENCE_S if self.phase in _BUSY else SILENT_AFTER_S)

    @property
    def releases(self) -> dict[str, list[str]]:
        """Give the versions of zdqn that take part, and who is of each; who has not said is none's.

        What the memory told through the learner is the learner's word: it is left out.
        """
        memory = self.memory.zdqn if isinstance(self.memory, MemoryStatus) else ""
        learner = self.learner.zdqn if self.learner is not None else ""
        living = ((member.name, member.zdqn) for member in self.members if member.is_living)
        found: dict[str, list[str]] = {}
        for name, release in (("memory", memory), ("learner", learner), *living):
            if release:
                found.setdefault(release, []).append(name)
        return found

    def with_rates(self, rates: Mapping[str, float]) -> RunView:
        """Give the same view with other rates."""
        return replace(self, rates=rates)

    def of_role(self, role: str) -> list[Member]:
        """Give the members of a role, by name."""
        return sorted((m for m in self.members if m.role == role), key=_by_name)


def _by_name(member: Member) -> tuple[str, int, str]:
    stem, _, number = member.name.rpartition("-")
    return (stem, int(number), "") if number.isdecimal() else (member.name, 0, member.name)
