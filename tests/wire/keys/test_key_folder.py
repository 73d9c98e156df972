"""The folder of keys: made once, private, and who is let in written by hand or command."""

import os
import stat

import pytest

from zdqn.errors import FileError, NotAllowedError, UsageError
from zdqn.wire.keys.allow_list import CLIENT_KEYS, KEY_ROLES
from zdqn.wire.keys.key_folder import KeyFolder


def test_every_role_has_a_key_of_its_own_and_clients_are_let_in(folder):
    own = [folder.own(role) for role in KEY_ROLES]
    assert folder.own_roles() == list(KEY_ROLES)
    assert len({key.pair.public for key in own}) == len(KEY_ROLES)
    for key in own:
        assert folder.public(key.role) == key.pair.public
        listed = folder.allowed().caller(key.pair.public)
        assert listed.role == (key.role if key.role in CLIENT_KEYS else None)


def test_everything_in_it_is_for_its_owner_alone(folder):
    for path in (folder.path, *folder.path.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


def test_keys_are_not_made_twice(folder):
    before = folder.own("memory")
    with pytest.raises(NotAllowedError, match=r"memory.secret exists.*--keys"):
        folder.init()
    assert folder.own("memory") == before


def test_a_machine_may_have_the_key_of_one_role_alone(tmp_path):
    folder = KeyFolder(tmp_path / "lab7")
    folder.init(["collector"])
    assert folder.own_roles() == ["collector"]
    with pytest.raises(NotAllowedError, match=r"learner.public, by which the learner is known"):
        folder.public("learner")


def test_a_folder_or_key_that_is_missing_is_named_with_the_way_out(tmp_path, folder):
    with pytest.raises(NotAllowedError, match=r"zdqn keys init --keys .*nowhere"):
        KeyFolder(tmp_path / "nowhere").own("memory")
    (folder.path / "memory.secret").unlink()
    with pytest.raises(NotAllowedError, match="--role memory"):
        folder.own("memory")


@pytest.mark.parametrize("name", ["memory.secret", "allowed/collector", "."])
def test_what_others_can_read_is_refused(folder, name):
    (folder.path / name).chmod(0o755 if name == "." else 0o644)
    with pytest.raises(NotAllowedError, match="chmod"):
        folder.allowed() if "allowed" in name else folder.own("memory")


def test_a_damaged_secret_is_refused_without_being_shown(folder):
    path = folder.path / "memory.secret"
    text = path.read_text()
    path.write_text(text[:-5])
    with pytest.raises(NotAllowedError, match=r"memory\.secret holds no key") as caught:
        folder.own("memory")
    assert text[7:20] not in str(caught.value)


def test_a_public_key_is_let_in_by_its_file_or_its_digits(folder, stranger):
    public = stranger.path / "collector.public"
    assert folder.allow("collector", str(public)).name == stranger.own("collector").name
    digits = stranger.own("evaluator").pair.public.hex()
    assert str(folder.allow("evaluator", digits, "lab 7")).endswith("(lab 7)")
    assert len(folder.allowed().callers) == len(CLIENT_KEYS) + 2


def test_what_is_no_public_key_is_not_let_in(folder, stranger, tmp_path):
    (tmp_path / "words").write_text("hello")
    for wrong in ("hello", str(tmp_path / "words"), str(stranger.path / "collector.secret")):
        with pytest.raises(UsageError):
            folder.allow("collector", wrong)
    with pytest.raises(NotAllowedError, match="one role: `zdqn keys revoke"):
        folder.allow("learner", str(folder.path / "collector.public"))


def test_a_key_is_revoked_by_name_or_first_digits(folder, stranger):
    folder.allow("collector", str(stranger.path / "collector.public"), "lab7")
    folder.allow("evaluator", str(stranger.path / "evaluator.public"), "lab7")
    assert {gone.role for gone in folder.revoke("lab7")} == {"collector", "evaluator"}
    key = folder.own("collector").pair.public
    before = folder.signature()
    assert [gone.public for gone in folder.revoke(key.hex()[:8].upper())] == [key]
    assert folder.signature() != before
    assert folder.allowed().caller(key).role is None
    assert "# Keys of every collector" in (folder.path / "allowed" / "collector").read_text()


def test_revoking_nobody_or_somebody_unclear_is_refused(folder):
    for which in ("nobody", "ab", ""):
        with pytest.raises(UsageError, match="zdqn keys show"):
            folder.revoke(which)
    path = folder.path / "allowed" / "collector"
    path.write_text("".join(f"{'abcd' * 15}{number:04x} c{number}\n" for number in range(2)))
    with pytest.raises(UsageError, match="begins 2 keys"):
        folder.revoke("abcdabcd")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(FileError, match="closed"):
        KeyFolder(tmp_path / "closed" / "keys").init()


def test_a_folder_that_is_a_file_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="file"):
        KeyFolder(tmp_path / "file" / "keys").init()
