"""A Slurm that remembers, and runs nothing."""

import pytest

from tests.launch.slurm.fake_slurm import PYTHON_CHECK, FakeSlurm
from zdqn.launch.cluster.preflight import HostFinding


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    return FakeSlurm(tmp_path / "slurm", monkeypatch)


@pytest.fixture
def unlooked(monkeypatch):
    """No Python is started to look at it before a submission."""
    monkeypatch.setattr(PYTHON_CHECK, lambda kind, settings: HostFinding(kind, "good", "fine"))
