import os

import pytest

from zdqn.config import load_config
from zdqn.data import EnvironmentSpec
from zdqn.errors import FileError
from zdqn.roles.compiling.loop_cache import MOST_FILES, LoopCache, key_of, loop_key

SPEC = EnvironmentSpec((4,), "float32", 2)


def key(*overrides, spec=SPEC):
    return loop_key(load_config(None, overrides), spec)


def test_the_folder_is_the_users_alone(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = LoopCache().folder
    assert folder == tmp_path / "cache" / "zdqn" / "updates"
    assert folder.stat().st_mode & 0o777 == 0o700
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert LoopCache().folder == tmp_path / "home" / ".cache" / "zdqn" / "updates"


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o755])
def test_a_folder_where_others_come_is_refused(tmp_path, mode):
    (tmp_path / "a").mkdir()
    (tmp_path / "a").chmod(mode)
    with pytest.raises(FileError, match=f"chmod 700 {tmp_path}/a"):
        LoopCache(tmp_path / "a")


def test_a_link_to_a_folder_and_a_folder_that_cannot_be_are_refused(tmp_path):
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(FileError, match="of this user alone"):
        LoopCache(tmp_path / "link")
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match="no folder"):
        LoopCache(tmp_path / "file" / "in")


def test_what_is_kept_is_found_and_what_was_not_used_for_longest_goes(tmp_path):
    cache = LoopCache(tmp_path / "a")
    assert cache.find("x") is None
    assert cache.find(None) is None
    for number in range(MOST_FILES + 2):
        path = cache.path(str(number))
        path.touch()
        os.utime(path, (number, number))
    assert cache.find("0") == cache.path("0")  # used now
    cache.prune()
    assert sorted(int(path.stem) for path in cache.folder.iterdir()) == [
        0, *range(3, MOST_FILES + 2),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "override",
    [
        "algorithm.learning_rate=0.1",
        "algorithm.batch_size=33",
        "algorithm.double=true",
        "network.hidden=[8]",
        "network.dueling=true",
        "replay.kind=prioritized",
        "learner.threads=2",
    ],
)
def test_whatever_changes_an_update_changes_the_key(override):
    assert key(override) != key()


def test_nothing_else_changes_the_key():
    assert key("stop.updates=7", "run.seed=3", "learner.compile=true") == key()
    assert key(spec=EnvironmentSpec((5,), "float32", 2)) != key()
    assert key(spec=EnvironmentSpec((4,), "float32", 2, observation_bound=9)) != key()


def test_a_network_of_the_users_own_has_no_key():
    assert key("network.kind=module:factory") is None


def test_other_versions_of_what_compiles_have_other_keys(monkeypatch):
    before = key_of(b"a")
    assert key_of(b"b") != before
    assert key_of(b"a") == before
    monkeypatch.setattr("torch.__version__", "0")
    assert key_of(b"a") != before
    monkeypatch.undo()
    monkeypatch.setattr("zdqn.rl.loop_compiling.RECIPE", -1)
    assert key_of(b"a") != before
    monkeypatch.undo()
    monkeypatch.setattr("zdqn.roles.compiling.loop_cache._machine", lambda: ("another",))
    assert key_of(b"a") != before
