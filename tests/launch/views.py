"""Views of runs at different moments, made without processes."""

from dataclasses import replace
from typing import Any

from zdqn.launch.run_view import RunPlan, RunView, read_members
from zdqn.records.run_history import History, ScoreRow
from zdqn.wire.status import LearnerStatus, LimitsStatus, MemoryStatistics

LIMITS = LimitsStatus(environment_steps=500_000, evaluation_return=475.0)
PLAN = RunPlan(environment="CartPole-v1", collectors=2, evaluators=1, min_size=1_000, limits=LIMITS)


def collector(index: int, **values: Any) -> dict[str, Any]:
    return {
        "role": "collector", "name": f"collector-{index}", "index": index, "state": "living",
        "last_seen_s": 0.4, "environment_steps": 9_000 + index, "epsilon": 0.04,
        "collecting_s": 5.0, "blocked_s": 4.0, "episode_return_mean": 187.25, **values,
    }  # fmt: skip


def evaluator(**values: Any) -> dict[str, Any]:
    return {
        "role": "evaluator", "name": "evaluator-0", "index": 0, "state": "living",
        "last_seen_s": 0.4, "evaluations": 14, "doing": "waiting for a snapshot", **values,
    }  # fmt: skip


def score_row(steps: int, mean: float) -> ScoreRow:
    return ScoreRow(
        environment_steps=steps, mean=mean, deviation=mean / 5, minimum=mean / 2, maximum=mean * 1.2
    )


def starting(**changes: Any) -> RunView:
    """Nobody has answered yet."""
    view = RunView(plan=PLAN, directory="runs/first", watched_s=0.2, silent_s=0.2)
    return replace(view, **changes)


def status(phase: str = "training", wall_s: float = 42.0, **progress: Any) -> LearnerStatus:
    values = {
        "wall_s": wall_s, "environment_steps": 18_304, "updates": 9_100, "episodes": 90,
        "episode_return_mean": 187.25, "loss": 0.0123, "epsilon": 0.04, "staleness_mean": 12.5,
        "last_evaluation_return": 201.0, "best_evaluation_return": 230.0,
    }  # fmt: skip
    return LearnerStatus.read(
        {
            "run": {"run_id": "x", "phase": phase, "wall_s": wall_s},
            "progress": values | progress,
            "stop": {"environment_steps": 500_000, "evaluation_return": 475.0},
            "verdict": "learner-bound: it computes 95 % of the time; collectors are held back by "
            "samples_per_insert",
        }
    )


def training(*rows: dict[str, Any], **changes: Any) -> RunView:
    """In the middle."""
    means = (91.75, 57.45, 167.2, 204.5, 230.0, 201.0)
    scores = tuple(score_row(1_000 * (i + 12), mean) for i, mean in enumerate(means))
    view = RunView(
        plan=PLAN,
        directory="runs/first",
        learner=status(),
        memory=MemoryStatistics(size=18_300, capacity=50_000, samples_per_insert=31.87),
        members=read_members(rows or (collector(0), collector(1), evaluator())),
        history=History(
            returns=tuple((100.0 * i, 20.0 + i * i / 10) for i in range(40)),
            scores=tuple((float(row.environment_steps), row.mean) for row in scores),
            newest=scores,
            best=scores[4],
            evaluations=6,
        ),
        rates={
            "updates": 1_500.0, "environment_steps": 3_000.0, "steps of collector-0": 1_501.0,
            "steps of collector-1": 1_499.0, "blocked of collector-0": 0.82,
            "blocked of collector-1": 0.9,
        },
        watched_s=44.0,
        silent_s=0.3,
    )  # fmt: skip
    return replace(view, **changes)
