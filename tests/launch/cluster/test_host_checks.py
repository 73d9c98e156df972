"""What an agent looks at on its host before a run begins."""

import os
import socket
import threading
from types import SimpleNamespace

import pytest

from zdqn.launch.cluster import host_checks
from zdqn.launch.cluster.host_checks import Doorkeeper, look_at_host, taken, try_to_reach
from zdqn.launch.cluster.replay_need import ReplayNeed


def subjects(found):
    return [problem[0] for problem in found["problems"]]


def test_a_host_with_room_has_facts_and_no_problem(tmp_path):
    found = look_at_host(tmp_path / "not" / "yet", [], ["memory"])
    assert found["problems"] == []
    assert [fact.split()[-1] for fact in found["facts"]] == ["cores", "memory", "disk"]
    assert not (tmp_path / "not").exists()


def test_a_port_that_is_taken_would_keep_it_from_working(tmp_path):
    with socket.socket() as held:
        held.bind(("", 0))
        held.listen()
        port = held.getsockname()[1]
        assert taken([port]) == [port]
        found = look_at_host(tmp_path, [port], ["memory"])
        assert subjects(found) == ["ports"]
        assert found["problems"][0][1] is True
    assert taken([port]) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_made_is_one(tmp_path):
    tmp_path.chmod(0o500)
    assert subjects(look_at_host(tmp_path / "run", [], ["memory"])) == ["run directory"]


def test_a_file_in_its_place_is_one(tmp_path):
    (tmp_path / "file").write_text("")
    assert subjects(look_at_host(tmp_path / "file" / "run", [], ["memory"])) == ["run directory"]


def test_little_memory_and_little_disk_are_said(tmp_path, monkeypatch):
    monkeypatch.setattr(host_checks, "available_bytes", lambda: int(1e9))
    monkeypatch.setattr(host_checks, "_LOW_BYTES", 1e18)
    found = look_at_host(tmp_path, [], ["collector"] * 20)
    assert subjects(found) == ["disk", "memory"]
    assert not any(problem[1] for problem in found["problems"])


@pytest.mark.parametrize(
    ("on_disk", "nbytes", "bad"),
    [(False, 0, []), (False, 999_999_999, [False]), (False, 1_000_000_001, [True]),
     (True, 1_000_000_001, []), (True, 2_000_000_001, [True])],
)  # fmt: skip
def test_a_replay_is_held_against_what_is_free(tmp_path, monkeypatch, on_disk, nbytes, bad):
    monkeypatch.setattr(host_checks, "available_bytes", lambda: 1_000_000_000)
    usage = SimpleNamespace(free=2_000_000_000)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    need = ReplayNeed(nbytes, on_disk, "replay of 7 transitions, 9 MB")
    found = look_at_host(tmp_path, [], ["memory"], need)
    assert [is_bad for _, is_bad, _, _ in found["problems"]] == bad
    assert "replay of 7 transitions, 9 MB" in found["facts"]
    for subject, is_bad, text, _ in found["problems"]:
        assert subject == "memory"
        assert ("free, and the replay takes" in text) == is_bad
        assert ("1 process with the replay" in text) != is_bad


def test_a_learner_takes_more_than_a_collector(tmp_path, monkeypatch):
    monkeypatch.setattr(host_checks, "available_bytes", lambda: 350_000_000)
    assert subjects(look_at_host(tmp_path, [], ["collector", "collector"])) == []
    (problem,) = look_at_host(tmp_path, [], ["collector", "learner"])["problems"]
    assert problem[2] == "0.35 GB free for 2 processes, which take 0.36 GB or more"


def test_who_listens_is_reached_and_then_no_more():
    door = Doorkeeper()
    told = door.listen([0])
    port = told["0"]
    assert try_to_reach([("127.0.0.1", port)]) == {f"127.0.0.1:{port}": ""}
    door.leave()
    assert "refused" in try_to_reach([("127.0.0.1", port)])[f"127.0.0.1:{port}"]


def test_who_has_left_does_nothing_any_more(until):
    def doors():
        return [thread for thread in threading.enumerate() if thread.name == host_checks._DOOR]

    until(lambda: not doors())
    door = Doorkeeper()
    door.listen([0])
    assert len(doors()) == 1
    door.leave()
    until(lambda: not doors())


def test_a_port_where_somebody_listens_is_tried_as_it_is():
    with socket.socket() as held:
        held.bind(("", 0))
        held.listen()
        port = held.getsockname()[1]
        door = Doorkeeper()
        assert door.listen([port]) == {str(port): port}
        door.leave()
