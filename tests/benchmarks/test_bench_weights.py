"""The benchmark of broadcasts, tiny, with real processes: it ends, with finite figures."""

from tests.benchmarks.tiny import TINY, check, quiet
from zdqn.benchmarks import bench_weights


def test_weights(monkeypatch):
    monkeypatch.setattr(bench_weights, "_SETTLE_S", 0.05)
    result = bench_weights.measure(TINY, quiet, items=2000)
    check(
        result.figures,
        *(f"weights.{count}.{kind}" for count in (1, 20)
          for kind in ("learner_speed_kept", "delivery_p50", "delivery_p99")),
    )  # fmt: skip
    assert "MB/s to 20 of them" in result.notes[0]
