import os
import subprocess
import sys

import pytest
import zmq

from zdqn.errors import ConfigError
from zdqn.wire.keys.role_keys import open_keys
from zdqn.wire.library import LIBZMQ, OLDEST_SAFE, has_curve


def test_what_is_beneath_can_be_told():
    assert ".".join(map(str, LIBZMQ)) == zmq.zmq_version()
    assert LIBZMQ >= OLDEST_SAFE
    assert has_curve() is bool(zmq.has("curve"))


def test_keys_are_refused_in_a_sentence_where_zeromq_knows_none(monkeypatch, tmp_path):
    monkeypatch.setattr("zdqn.wire.library.has_curve", lambda: False)
    assert open_keys("", "memory") is None
    with pytest.raises(ConfigError, match=r"built without CURVE. Install pyzmq from a wheel"):
        open_keys(tmp_path, "memory")


@pytest.mark.parametrize(
    "arguments",
    [
        "keys init --keys keys",
        "keys show --keys keys",
        "keys allow --keys keys collector " + 64 * "0",
        "keys revoke --keys keys somebody",
        "memory run.toml --keys keys --bind tcp://127.0.0.1:0",
        "collector --keys keys --learner tcp://127.0.0.1:9",
        "status --keys keys tcp://127.0.0.1:9",
        "run run.toml --keys keys --run-dir run",
    ],
    ids=lambda text: text.partition(" --keys")[0],
)
def test_each_command_says_so(arguments, tmp_path):
    script = (
        "import zmq; zmq.has = lambda what: False\n"
        "import sys; from zdqn.cli import main\n"
        "sys.argv = ['zdqn', *sys.argv[1:]]; sys.exit(main())\n"
    )
    (tmp_path / "run.toml").touch()
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments.split()],
        cwd=tmp_path, capture_output=True, text=True, timeout=100,
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 78, done.stderr
    assert "built without CURVE" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "keys").exists()
