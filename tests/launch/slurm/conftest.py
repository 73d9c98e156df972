"""A Slurm that remembers, and runs nothing."""

import pytest

from tests.launch.slurm.fake_slurm import FakeSlurm


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    return FakeSlurm(tmp_path / "slurm", monkeypatch)
