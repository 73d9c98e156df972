"""An agent's folder: who is there, and what an earlier one has left."""

import json
import os
import signal
import subprocess
import sys

from zdqn.launch.cluster.agent_place import (
    LAUNCH_ID,
    AgentPlace,
    identify,
    lives,
    read_launch_id,
)

SLEEPER = [sys.executable, "-S", "-c", "import time; print(flush=True); time.sleep(600)"]


def sleeper(**options):
    process = subprocess.Popen(SLEEPER, stdout=subprocess.PIPE, process_group=0, **options)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def end(process):
    process.kill()
    process.communicate()


def test_a_process_is_told_apart_from_one_that_gets_its_number():
    process = sleeper()
    identity = identify(process.pid)
    assert identity is not None
    assert lives(identity)
    assert not lives([identity[0], "1", identity[2]])
    assert not lives([identity[0], identity[1], "another start of the host"])
    end(process)
    assert not lives(identity)
    assert identify(process.pid) is None


def test_who_takes_over_ends_what_was_left(tmp_path):
    place = AgentPlace(tmp_path / "run", "h")
    process = sleeper()
    place.remember({"collector-0@h": process.pid})
    told = json.loads((place.folder / "agent.json").read_text())
    told["agent"] = None  # which was killed
    (place.folder / "agent.json").write_text(json.dumps(told))
    AgentPlace(tmp_path / "run", "h").take_over()
    assert process.wait(90) == -signal.SIGTERM
    process.communicate()
    assert place.read()["agent"] == identify(os.getpid())
    assert place.read()["processes"] == {}


def test_a_process_of_another_start_is_left_alone(tmp_path):
    place = AgentPlace(tmp_path / "run", "h")
    process = sleeper()
    identity = identify(process.pid)
    assert identity is not None
    told = {"processes": {"x": [identity[0], "1", identity[2]]}}
    (place.folder / "agent.json").write_text(json.dumps(told))
    place.take_over()
    assert process.poll() is None
    assert not place.send_signal("x", signal.SIGKILL)
    end(process)


def test_signals_go_to_who_is_remembered(tmp_path):
    place = AgentPlace(tmp_path / "run", "h")
    process = sleeper()
    place.remember({"x": process.pid}, {"y": 3})
    assert place.is_taken()
    assert place.send_signal("x", signal.SIGTERM)
    assert process.wait(90) == -signal.SIGTERM
    process.communicate()
    assert not place.send_signal("x", signal.SIGTERM)
    assert not place.send_signal("nobody", signal.SIGTERM)
    place.leave()
    assert not place.is_taken()
    assert place.read()["ends"] == {"y": 3}


def test_a_shared_disk_shows_a_launchs_own_folder(tmp_path):
    place = AgentPlace(tmp_path / "run", "h")
    assert place.launch_id() == ""
    (tmp_path / "run" / LAUNCH_ID).write_text("abc")
    assert place.launch_id() == read_launch_id(tmp_path / "run") == "abc"


def test_a_place_where_nothing_began_vanishes_and_another_does_not(tmp_path):
    place = AgentPlace(tmp_path / "run", "h")
    (tmp_path / "run" / "theirs").write_text("")
    AgentPlace(tmp_path / "run", "h").vanish()
    assert place.folder.exists()
    place.vanish()
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["theirs"]


def test_its_folders_are_its_owners_alone(tmp_path):
    place = AgentPlace(tmp_path / "run", "h")
    assert place.logs.is_dir()
    assert (tmp_path / "run").stat().st_mode & 0o077 == 0
