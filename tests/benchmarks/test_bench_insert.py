"""The benchmark of inserting, tiny, with real processes: it ends, with finite figures."""

import pytest

from tests.benchmarks.tiny import TINY, check, quiet
from zdqn.benchmarks import bench_insert
from zdqn.benchmarks.measuring import Figure
from zdqn.benchmarks.processes import LOOPBACK


@pytest.mark.parametrize("transport", ["tcp", "ipc"])
def test_insert(tmp_path, transport):
    bind = LOOPBACK if transport == "tcp" else f"ipc://{tmp_path}/vector"
    figures = bench_insert.measure_memory(TINY, quiet, transport, "vector", bind, (1,))
    name = f"insert.{transport}.vector.1"
    check(figures, name, f"{name}.bytes")
    assert all(figure.ratio for figure in figures)


def test_insert_measures_all_that_was_asked_for(monkeypatch):
    monkeypatch.setattr(
        bench_insert, "measure_memory", lambda *words: [Figure(".".join(words[2:4]), "", (1.0,))]
    )
    monkeypatch.setattr(
        bench_insert, "measure_check", lambda *words: [Figure(words[2], "", (1.0,))]
    )
    asked = [tuple(figure.name.split(".")) for figure in bench_insert.measure(TINY, quiet).figures]
    kinds = ["vector", "image", "float_image"]
    sent = [(transport, kind) for transport in ("tcp", "ipc") for kind in kinds]
    assert asked == [*sent, ("vector",), ("float_image",)]


@pytest.mark.parametrize("kind", ["vector", "float_image"])
def test_the_check_for_finite_numbers_is_measured_beside_the_insert(kind):
    figures = bench_insert.measure_check(TINY, quiet, kind, (1, 32))
    check(figures, *(f"insert.check_finite.{kind}.{size}" for size in (1, 32)))
    assert all(figure.ratio and figure.ratio > 0 for figure in figures)
