"""The keys of one role: its own, and the servers' that it connects to."""

import shutil

import pytest

from zdqn.errors import NotAllowedError
from zdqn.wire.keys.role_keys import open_keys


def test_without_a_folder_there_are_no_keys():
    assert open_keys(None, "memory") is None
    assert open_keys("", "memory") is None


@pytest.mark.parametrize(
    ("role", "servers"),
    [
        ("memory", ()),
        ("learner", ("memory",)),
        ("collector", ("learner", "memory")),
        ("evaluator", ("learner",)),
        ("operator", ("learner", "memory")),
    ],
)
def test_a_role_needs_its_secret_and_the_public_keys_of_its_servers(
    folder, tmp_path, role, servers
):
    part = tmp_path / "part"
    part.mkdir(mode=0o700)
    shutil.copy2(folder.path / f"{role}.secret", part)
    for server in servers:
        with pytest.raises(NotAllowedError, match=rf"{server}\.public"):
            open_keys(part, role)
        shutil.copy2(folder.path / f"{server}.public", part)
    keys = open_keys(part, role)
    assert keys is not None
    assert keys.own.pair == folder.own(role).pair
    assert keys.servers == {server: folder.public(server) for server in servers}


def test_a_server_reads_who_is_let_in_before_it_starts(folder):
    (folder.path / "allowed" / "collector").chmod(0o666)
    with pytest.raises(NotAllowedError, match="allowed/collector"):
        open_keys(folder.path, "memory")
    assert open_keys(folder.path, "collector") is not None
