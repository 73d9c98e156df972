"""A row, an evaluation and a summary, as sinks are told them."""

from zdqn.data import EvaluationScores
from zdqn.records.snapshots import Evaluation, FrozenSnapshot
from zdqn.wire.status import MetricsRow

ROW = MetricsRow(environment_steps=120, updates=7, loss=0.5, q_mean=None)
EVALUATION = Evaluation(
    FrozenSnapshot(3, 1 << 32, 100, 60, 7, 1.25, {}),
    EvaluationScores((1.0, 3.0), (10, 20)),
    "evaluator-0",
    0.5,
)
SUMMARY = {"stop_reason": "updates", "updates": 7}
