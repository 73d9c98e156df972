"""The folder of shared connections: short, and its owner's alone."""

import tempfile
from pathlib import Path

import pytest

from tests.launch.cluster.clusters import small_plan
from zdqn.errors import NotAllowedError
from zdqn.launch.cluster.connecting import control_folder, describe_use, use_for


@pytest.fixture
def short(monkeypatch):
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", f"{folder}/r")
        yield Path(folder) / "r"


def test_it_is_made_for_its_owner_alone(short):
    assert describe_use(small_plan()).control_path == f"{short}/zdqn/%C"
    assert not short.exists()
    assert use_for(small_plan(), local=False) == describe_use(small_plan())
    assert control_folder().stat().st_mode & 0o777 == 0o700
    control_folder().chmod(0o755)
    with pytest.raises(NotAllowedError):
        use_for(small_plan(), local=False)


def test_on_this_machine_there_is_none(short):
    assert use_for(small_plan(), local=True) is None
    assert not short.exists()


@pytest.mark.parametrize("runtime", ["", "/run/user/1000", "/a/very/long/name" * 5])
def test_a_socket_in_it_has_a_path_that_ssh_can_use(monkeypatch, runtime):
    monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
    path = describe_use(small_plan()).control_path.replace("%C", "0" * 40)
    assert len(path) + len(".0123456789abcdef") < 104
