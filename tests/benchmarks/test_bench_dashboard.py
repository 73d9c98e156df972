"""The benchmark of pages that look on, tiny, with real processes: it ends, with finite figures."""

import importlib.util

import pytest

from tests.benchmarks.tiny import TINY, check, quiet
from zdqn.benchmarks import bench_dashboard


@pytest.mark.slow  # a run, two dashboards and their pages
@pytest.mark.timeout(600)
def test_dashboard(monkeypatch):
    pytest.importorskip("uvicorn", reason='needs "zdqn[dashboard]"')
    monkeypatch.setattr(bench_dashboard, "_SETTLE_S", 0.05)
    monkeypatch.setattr(bench_dashboard, "_LEARNING", 1)
    result = bench_dashboard.measure(TINY, quiet, writes=1)
    check(
        result.figures,
        *(f"dashboard.{count}.speed_kept" for count in (0, 8)),
        *(f"dashboard.{kind}_delay_{name}" for kind in ("number", "curve")
          for name in ("p50", "max")),
    )  # fmt: skip
    assert "draw nothing" in result.notes[0]


def test_without_the_packages_it_is_left_out(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    result = bench_dashboard.measure(TINY, quiet)
    assert result.figures == []
    assert "zdqn[dashboard]" in result.notes[0]
