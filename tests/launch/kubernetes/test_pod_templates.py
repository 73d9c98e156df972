"""What a pod does before its role begins, and what its probes ask: carried out here."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.launch.kubernetes.plans import container_of, plan, pod_of, printed
from zdqn.config import Config
from zdqn.launch.kubernetes.pod_secrets import read_secrets
from zdqn.roles.memory import Memory
from zdqn.wire.keys.role_keys import open_keys

ROOT = Path(__file__).parents[3]
DEADLINE_S = 100


@pytest.fixture
def commands(tmp_path):
    """Gives a function that runs a command as a container would, with folders moved here."""
    (tmp_path / "bin").mkdir()
    zdqn = tmp_path / "bin" / "zdqn"
    zdqn.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m zdqn "$@"\n')
    zdqn.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }

    def run(argv):
        moved = [
            word.replace("/keys", f"{tmp_path}/keys").replace("/secret/", f"{tmp_path}/secret/")
            if "--keys" in word or word.startswith("/keys")
            or "umask" in word
            else word
            for word in argv
        ]  # fmt: skip
        return subprocess.run(
            moved, env=environment, capture_output=True, text=True, timeout=DEADLINE_S, check=False
        )

    return run


def mount(folder, files):
    """Lay files out as Kubernetes mounts a Secret: links, that a group may read."""
    (folder / "..data").mkdir(parents=True)
    for name, text in files.items():
        path = folder / "..data" / name
        path.write_text(text)
        path.chmod(0o440)
        (folder / name).symlink_to(Path("..data") / name)


@pytest.mark.own_keys
def test_a_pod_of_a_server_takes_its_keys_and_its_probes_get_an_answer(tmp_path, commands):
    secrets = read_secrets(tmp_path / "made", lambda line: None)
    found = printed(plan(), secrets)["StatefulSet", "cluster-memory"]
    mount(tmp_path / "secret", secrets["memory"])
    (tmp_path / "keys").mkdir()  # the volume
    (take,) = pod_of(found)["initContainers"]
    for _ in range(2):  # the second as after an earlier start of the pod
        done = commands(take["command"])
        assert done.returncode == 0, done.stderr
    folder = tmp_path / "keys" / "own"
    opened, original = open_keys(folder, "memory"), open_keys(tmp_path / "made", "memory")
    assert opened is not None
    assert original is not None
    assert opened.own.pair == original.own.pair
    own = open_keys(tmp_path / "made", "operator")
    assert own is not None
    allowed = opened.folder.allowed()
    assert allowed.caller(own.own.pair.public).role == "operator"  # who has printed may ask too

    probe = container_of(found)["livenessProbe"]["exec"]["command"]
    stop = threading.Event()
    with Memory(Config(), bind="tcp://127.0.0.1:0", keys=folder, stop=stop) as memory:
        thread = threading.Thread(target=memory.run)
        thread.start()
        try:
            asked = [*probe[:-1], memory.endpoints["samples"]]
            done = commands(asked)
            assert done.returncode == 0, done.stderr
            assert "memory" in done.stdout
        finally:
            stop.set()
            thread.join(DEADLINE_S)
    done = commands(asked)
    assert done.returncode == 69, done.stdout


def test_a_pod_of_a_client_gets_no_key_but_its_own(tmp_path, commands):
    secrets = read_secrets(tmp_path / "made", lambda line: None)
    found = printed(plan(), secrets)["Deployment", "cluster-collectors"]
    mount(tmp_path / "secret", secrets["collector"])
    (tmp_path / "keys").mkdir()
    (take,) = pod_of(found)["initContainers"]
    done = commands(take["command"])
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "keys" / "own"
    assert sorted(path.name for path in folder.iterdir()) == [
        "collector.public", "collector.secret", "learner.public", "memory.public",
    ]  # fmt: skip
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} <= {0o400, 0o600}
    assert open_keys(folder, "collector") is not None
