"""A whole `zdqn run --keys`: it trains, is asked and stopped, and no secret is to be seen."""

import os
from pathlib import Path

import pytest

from tests.launch.test_real_run import TINY, Log, roles_of, start, wait_for_servers, wait_until
from tests.roles.conftest import DEADLINE_S
from zdqn.records.endpoints import read_endpoints
from zdqn.wire.keys.allow_list import KEY_ROLES
from zdqn.wire.keys.key_folder import KeyFolder
from zdqn.wire.keys.role_keys import open_keys
from zdqn.wire.remote_control import fetch_status


@pytest.fixture
def folder(tmp_path):
    made = KeyFolder(tmp_path / "keys")
    made.init()
    return made


def forms_of(secret):
    """Give a secret in the forms in which it could be written somewhere."""
    from zmq.utils import z85

    return (secret, secret.hex().encode(), z85.encode(secret), repr(secret).encode())


def test_no_secret_is_in_argv_environment_logs_files_or_output(folder, tmp_path):
    (tmp_path / "tiny.toml").write_text(TINY)
    said = []
    process = start(
        "run", "tiny.toml", "--run-dir", "x", "--keys", "keys", "--log-level", "debug",
        "--set", "stop.updates=0", cwd=tmp_path,
    )  # fmt: skip
    log = Log(process)  # it says much
    try:
        wait_for_servers(tmp_path / "x")
        operator = open_keys(folder.path, "operator")
        address = read_endpoints(tmp_path / "x")["learner"]["model"]

        def trained():
            status = fetch_status(address, DEADLINE_S, operator)
            said.append(repr(status).encode())
            return status["progress"]["updates"] > 20

        wait_until(trained, "updates")
        assert fetch_status(address, DEADLINE_S, operator)["run"]["security"] == "keys"
        for pid in (process.pid, *roles_of(process.pid)):
            said += [Path(f"/proc/{pid}/{name}").read_bytes() for name in ("cmdline", "environ")]
        for words in (("status", "x", "--json"), ("status", "x", "--all"), ("stop", "x")):
            asked = start(*words, cwd=tmp_path)
            output, _ = asked.communicate(timeout=DEADLINE_S)
            assert asked.returncode == 0, output
            said.append(output.encode())
        refused = start("status", address, cwd=tmp_path)  # without keys
        said.append(refused.communicate(timeout=DEADLINE_S)[0].encode())
        assert refused.returncode in (69, 77)
        assert process.wait(DEADLINE_S) == 0
    finally:
        process.kill()
        output = log.end()
        process.stdout.close()
    said.append(output.encode())
    said += [path.read_bytes() for path in (tmp_path / "x").rglob("*") if path.is_file()]
    everything = b"\n".join(said)
    assert b"training is over: zdqn stop by" in everything
    for role in KEY_ROLES:
        for form in forms_of(folder.own(role).pair.secret):
            assert form not in everything


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: (path / "evaluator.secret").unlink(), "evaluator.secret"),
        (lambda path: (path / "learner.secret").chmod(0o640), "chmod 600"),
        (lambda path: path.chmod(0o750), "chmod 700"),
    ],
)
def test_keys_that_will_not_do_are_refused_before_anything_starts(folder, tmp_path, spoil, words):
    (tmp_path / "tiny.toml").write_text(TINY)
    spoil(folder.path)
    process = start("run", "tiny.toml", "--run-dir", "x", "--keys", "keys", cwd=tmp_path)
    output, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 77, output
    assert words in output
    assert "Traceback" not in output
    assert not os.path.exists(tmp_path / "x" / "endpoints.json")  # noqa: PTH110
