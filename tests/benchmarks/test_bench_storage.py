import pytest

from zdqn.benchmarks import bench_storage
from zdqn.benchmarks.measuring import Effort


@pytest.mark.parametrize("kind", ["vector", "image"])
def test_disk_and_ram_do_the_same_and_both_are_measured(kind, monkeypatch):
    spec, _ = bench_storage._SUBJECTS[kind]
    monkeypatch.setitem(bench_storage._SUBJECTS, kind, (spec, 500))
    figures = bench_storage.measure_kind(Effort(1, 0.001), lambda _: None, kind)
    assert {figure.name for figure in figures} >= {
        f"storage.insert.{kind}.1",
        f"storage.insert.{kind}.64.of_ram",
        f"storage.sample.{kind}.of_ram",
        f"storage.coming_back.{kind}",
    }
    assert all(figure.median > 0 for figure in figures)
