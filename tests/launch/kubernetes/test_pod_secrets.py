"""The keys of a run as Secrets."""

import pytest

from zdqn.errors import NotAllowedError
from zdqn.launch.kubernetes.pod_secrets import path_in_folder, read_secrets
from zdqn.wire.keys.allow_list import KEY_ROLES
from zdqn.wire.keys.key_folder import KeyFolder
from zdqn.wire.keys.role_keys import open_keys


def test_keys_are_made_once_and_read_from_then_on(tmp_path):
    said: list[str] = []
    made = read_secrets(tmp_path / "keys", said.append)
    assert len(said) == 1
    assert str(tmp_path / "keys") in said[0]
    assert read_secrets(tmp_path / "keys", said.append) == made
    assert len(said) == 1


def test_each_role_gets_its_own_secret_and_what_is_public_of_its_servers(tmp_path):
    made = read_secrets(tmp_path / "keys", lambda line: None)
    assert {role: sorted(files) for role, files in made.items()} == {
        "memory": ["allowed.collector", "allowed.learner", "allowed.operator", "learner.public",
                   "memory.public", "memory.secret"],
        "learner": ["allowed.collector", "allowed.evaluator", "allowed.operator",
                    "learner.public", "learner.secret", "memory.public"],
        "collector": ["collector.public", "collector.secret", "learner.public", "memory.public"],
        "evaluator": ["evaluator.public", "evaluator.secret", "learner.public"],
    }  # fmt: skip


def test_a_folder_that_is_made_of_a_secret_opens(tmp_path):
    made = read_secrets(tmp_path / "keys", lambda line: None)
    for role in KEY_ROLES[:-1]:
        folder, files = tmp_path / role, made[role]
        KeyFolder(folder).init([])
        for name, text in files.items():
            path = folder / path_in_folder(name)
            path.write_text(text)
            path.chmod(0o400)
        opened = open_keys(folder, role)
        assert opened is not None
        assert opened.own.pair == KeyFolder(tmp_path / "keys").own(role).pair


def test_a_key_that_is_missing_is_named(tmp_path):
    KeyFolder(tmp_path / "keys").init(["memory", "learner", "collector"])
    with pytest.raises(NotAllowedError, match=r"evaluator\.secret"):
        read_secrets(tmp_path / "keys", lambda line: None)


def test_one_that_others_can_read_is_refused(tmp_path):
    KeyFolder(tmp_path / "keys").init()
    (tmp_path / "keys" / "learner.secret").chmod(0o644)
    with pytest.raises(NotAllowedError, match="mode 0644"):
        read_secrets(tmp_path / "keys", lambda line: None)
