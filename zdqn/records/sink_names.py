"""What numbers of a run are called wherever they are kept by name: TensorBoard, W&B, MLflow."""

from __future__ import annotations

import msgspec

from zdqn.records.snapshots import Evaluation
from zdqn.wire.status import MetricsRow

EVALUATION_NAMES = ("mean", "deviation", "minimum", "maximum", "length_mean")
"""Columns of ``evaluations.csv`` that sinks are told, each behind ``evaluation/``."""


def metrics_by_name(row: MetricsRow) -> dict[str, float]:
    """Give the numbers of a row, such as ``metrics/loss``; what is not known yet is left out."""
    values = msgspec.structs.asdict(row)
    return {f"metrics/{name}": value for name, value in values.items() if value is not None}


def scores_by_name(evaluation: Evaluation) -> dict[str, float]:
    """Give the scores of a snapshot, such as ``evaluation/mean``."""
    scores = evaluation.scores
    values = (
        scores.mean,
        scores.deviation,
        min(scores.returns),
        max(scores.returns),
        sum(scores.lengths) / len(scores.lengths),
    )
    named = zip(EVALUATION_NAMES, values, strict=True)
    return {f"evaluation/{name}": float(value) for name, value in named}
