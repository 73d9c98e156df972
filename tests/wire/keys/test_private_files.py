"""Files for their owner alone: their modes from the first moment, and what is refused."""

import os
import stat

import pytest

from zdqn.errors import NotAllowedError
from zdqn.wire.keys import private_files


@pytest.fixture(params=[0o000, 0o022, 0o077])
def any_umask(request):
    before = os.umask(request.param)
    yield
    os.umask(before)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("any_umask")
def test_folders_and_files_are_private_whatever_the_umask(tmp_path):
    folder = tmp_path / "a" / "keys"
    private_files.make_private_folder(folder)
    private_files.write_private(folder / "x", "one")
    private_files.replace_private(folder / "y", "two")
    private_files.replace_private(folder / "y", "three")
    assert mode(folder) == 0o700
    assert mode(folder / "x") == mode(folder / "y") == 0o600
    assert private_files.read_private(folder / "y") == "three"
    assert {path.name for path in folder.iterdir()} == {"x", "y"}


def test_files_have_their_mode_from_the_moment_that_they_exist(tmp_path, monkeypatch):
    created = []
    real = os.open

    def watch(path, flags, mode=0o777, **where):
        if flags & os.O_CREAT:
            created.append((mode, bool(flags & os.O_EXCL)))
        return real(path, flags, mode, **where)

    monkeypatch.setattr(os, "open", watch)
    monkeypatch.setattr(os, "chmod", None)
    monkeypatch.setattr(os, "fchmod", None)
    private_files.write_private(tmp_path / "x", "secret")
    private_files.replace_private(tmp_path / "y", "secret")
    assert created == [(0o600, True)] * 2


def test_a_file_is_not_written_over(tmp_path):
    private_files.write_private(tmp_path / "x", "first")
    with pytest.raises(FileExistsError):
        private_files.write_private(tmp_path / "x", "second")
    assert private_files.read_private(tmp_path / "x") == "first"


@pytest.mark.parametrize("others", [0o640, 0o604, 0o620, 0o601, 0o644])
def test_what_others_can_get_at_is_refused_with_the_way_out(tmp_path, others):
    private_files.write_private(tmp_path / "x", "secret words")
    (tmp_path / "x").chmod(others)
    with pytest.raises(NotAllowedError, match=f"mode {others:04o}.*chmod 600") as caught:
        private_files.read_private(tmp_path / "x")
    assert "secret words" not in str(caught.value)


def test_a_folder_that_others_can_enter_is_refused(tmp_path):
    (tmp_path / "keys").mkdir(mode=0o755)
    with pytest.raises(NotAllowedError, match="chmod 700"):
        private_files.make_private_folder(tmp_path / "keys")


def test_what_belongs_to_another_user_is_refused(tmp_path, monkeypatch):
    private_files.write_private(tmp_path / "x", "")
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(NotAllowedError, match="another user"):
        private_files.read_private(tmp_path / "x")


def test_a_link_is_refused(tmp_path):
    private_files.write_private(tmp_path / "x", "")
    (tmp_path / "y").symlink_to(tmp_path / "x")
    with pytest.raises(NotAllowedError, match="is a link"):
        private_files.read_private(tmp_path / "y")


def test_a_list_that_cannot_be_replaced_stays_and_leaves_nothing_beside_it(tmp_path, monkeypatch):
    private_files.write_private(tmp_path / "x", "before")

    def fail(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        private_files.replace_private(tmp_path / "x", "after")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["before"]
