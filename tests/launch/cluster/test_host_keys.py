"""Keys of a run on several hosts: each makes its own, and knows what it has to."""

import pytest

from zdqn.errors import NotAllowedError
from zdqn.launch.cluster.host_keys import hosts_in, lists_of, make_host_keys, put_host_keys
from zdqn.wire.keys.allow_list import KeyRole
from zdqn.wire.keys.key_folder import KeyFolder
from zdqn.wire.keys.role_keys import open_keys


def servers(lines):
    return {
        role: line for told in lines.values() for role, line in told.items()
        if role in ("memory", "learner")
    }  # fmt: skip


def test_every_role_finds_what_it_needs_and_no_secret_has_travelled(tmp_path):
    roles: dict[str, list[KeyRole]] = {
        "m": ["memory", "collector"],
        "g": ["learner"],
        "c": ["collector"],
    }
    lines = {host: make_host_keys(tmp_path / host, asked) for host, asked in roles.items()}
    lines[""] = make_host_keys(tmp_path / "here", ["operator"])
    for host in (*roles, "here"):
        lists = lists_of(lines) if host in ("m", "g") else {}
        put_host_keys(tmp_path / host, servers(lines), lists)
    for host, asked in roles.items():
        for role in asked:
            keys = open_keys(tmp_path / host, role)
            assert keys is not None
            for server, public in keys.servers.items():
                assert public.hex() == servers(lines)[server].split()[0]
    allowed = KeyFolder(tmp_path / "m").allowed()
    names = sorted(caller.name for caller in allowed.callers.values())
    assert names == ["collector@c", "collector@m", "learner@g", "operator@"]
    secrets = {path.read_text() for path in tmp_path.rglob("*.secret")}
    told = "".join(line for host in lines.values() for line in host.values())
    assert len(secrets) == 5
    assert not any(secret.split()[1] in told for secret in secrets)
    for path in tmp_path.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0


def test_what_hosts_have_made_is_read_back_from_the_lists_of_a_server(tmp_path):
    roles: dict[str, list[KeyRole]] = {"m": ["learner", "collector"], "c.lab": ["collector"]}
    lines = {host: make_host_keys(tmp_path / host, asked) for host, asked in roles.items()}
    put_host_keys(tmp_path / "m", {}, lists_of(lines))
    found = hosts_in(tmp_path / "m")
    assert lists_of(found) == lists_of(lines)
    assert {host: set(told) for host, told in found.items()} == {
        host: set(asked) for host, asked in roles.items()
    }


def test_keys_that_are_there_stay(tmp_path):
    first = make_host_keys(tmp_path / "k", ["collector"])
    second = make_host_keys(tmp_path / "k", ["collector", "evaluator"])
    assert second["collector"] == first["collector"]
    assert set(second) == {"collector", "evaluator"}


def test_a_folder_that_others_can_enter_is_refused(tmp_path):
    folder = tmp_path / "k"
    folder.mkdir(mode=0o755)
    with pytest.raises(NotAllowedError, match="0755"):
        make_host_keys(folder, ["collector"])


def test_a_host_that_is_gone_is_on_no_list(tmp_path):
    lines = {host: make_host_keys(tmp_path / host, ["collector"]) for host in ("a", "b")}
    assert len(lists_of(lines)["collector"]) == 2
    del lines["b"]
    assert [line.split()[1] for line in lists_of(lines)["collector"]] == ["collector@a"]
