"""`zdqn keys`: what is made, shown, let in and revoked, and that no secret is printed."""

import pytest
from click.testing import CliRunner

from zdqn.cli.application import application
from zdqn.wire.keys.key_folder import KeyFolder


@pytest.fixture
def folder(tmp_path):
    return KeyFolder(tmp_path / "keys")


@pytest.fixture
def keys(folder):
    """The command, with this folder; gives exit code and all that was printed."""

    def call(command, *words):
        done = CliRunner().invoke(
            application, ["keys", command, "--keys", str(folder.path), *words]
        )
        if folder.path.exists():
            for secret in folder.path.glob("*.secret"):
                assert secret.read_text().split()[1] not in done.output
        return done.exit_code, done.output

    return call


def test_a_life_of_keys(keys, folder, tmp_path):
    code, printed = keys("init")
    assert code == 0
    assert f"--keys {folder.path}" in printed
    code, printed = keys("show")
    assert code == 0
    for role in ("memory", "learner", "collector", "evaluator", "operator"):
        assert folder.public(role).hex() in printed
    other = KeyFolder(tmp_path / "lab7")
    other.init(["collector"])
    code, printed = keys("allow", "collector", str(other.path / "collector.public"), "--name", "l7")
    assert (code, printed.strip()[-5:]) == (0, "et in")
    assert folder.allowed().caller(other.public("collector")).name == "l7"
    assert "l7" in keys("show")[1]
    code, printed = keys("revoke", "l7")
    assert code == 0
    assert "(l7) is let in no more" in printed
    assert folder.allowed().caller(other.public("collector")).role is None


def test_one_role_alone(keys, folder):
    assert keys("init", "--role", "collector")[0] == 0
    assert folder.own_roles() == ["collector"]


def test_mistakes_are_a_sentence_with_an_exit_code(keys, folder):
    code, printed = keys("show")
    assert code == 77
    assert "zdqn keys init" in printed
    keys("init")
    assert keys("init")[0] == 77
    assert keys("allow", "memory", "x")[0] == 2
    assert keys("allow", "collector", "x")[0] == 2
    assert keys("revoke", "nobody")[0] == 2
    (folder.path / "memory.secret").chmod(0o644)
    code, printed = keys("show")
    assert code == 77
    assert "chmod 600" in printed


def test_keys_have_a_place_of_their_own_by_default(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert CliRunner().invoke(application, ["keys", "init"]).exit_code == 0
    assert KeyFolder(tmp_path / "zdqn" / "keys").own("memory").role == "memory"
