"""What a replay will take on another host is what the memory there computes."""

import threading

from tests.roles.conftest import quick_config
from zdqn.data import EnvironmentSpec
from zdqn.launch.cluster.replay_need import find_replay_need
from zdqn.roles.building_replay import build_store

SPEC = EnvironmentSpec((4,), "float32", 2)


def test_it_is_what_the_memory_takes():
    small, large = quick_config("replay.capacity=10_000"), quick_config("replay.capacity=20_000")
    need = find_replay_need(small)
    room = build_store(small).find_room(SPEC)
    assert (need.nbytes, need.on_disk, need.text) == (room.usual_bytes, False, room.describe())
    assert find_replay_need(large).nbytes > 1.9 * need.nbytes
    assert find_replay_need(quick_config("replay.storage=disk")).on_disk


def test_an_environment_that_cannot_be_made_here_leaves_it_open():
    need = find_replay_need(quick_config("environment.id=CartPol-v1"))
    assert need.nbytes == 0
    assert need.text.startswith("how large its replay gets is not known here: ")
    assert "CartPol-v1" in need.text


def test_so_does_one_that_hangs(monkeypatch):
    made = threading.Event()

    def hang(*_, **__):
        made.wait()
        raise AssertionError("never looked at")

    monkeypatch.setattr("zdqn.roles.building.build_environments", hang)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    need = find_replay_need(quick_config(), patience_s=0.01)
    assert "has not been made within 0.01 s" in need.text
    (thread,) = (one for one in threading.enumerate() if one.name == "environment")
    made.set()
    thread.join()
