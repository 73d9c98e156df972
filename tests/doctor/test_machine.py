import os
import shutil
from types import SimpleNamespace

import pytest

from zdqn.config import Config
from zdqn.data import EnvironmentSpec
from zdqn.doctor import Verdict, machine

SPEC = EnvironmentSpec((84, 84), "uint8", 6, frame_stack=4)


@pytest.mark.parametrize(
    ("limit", "config", "verdict"),
    [
        (2_000, None, Verdict.GOOD),
        (1_023, None, Verdict.ODD),
        (1_023, Config(), Verdict.ODD),
        (2_000, Config().replace("launch.collectors", 1_000), Verdict.ODD),
    ],
)
def test_files_that_may_be_opened(monkeypatch, limit, config, verdict):
    monkeypatch.setattr(machine, "raise_limit", lambda: limit)
    found = list(machine.examine_files(config))
    assert {finding.verdict for finding in found} == {verdict}
    if config is not None and config.launch.collectors == 1_000:
        assert all("launch.collectors = 1000" in finding.text for finding in found)


def test_processors_are_told_beside_the_processes():
    assert machine.examine_processors(None).text.endswith("for this process")
    config = Config().replace({"launch.collectors": 7, "launch.evaluators": 1})
    assert "7 collectors and 1 evaluator" in machine.examine_processors(config).text


def test_a_replay_that_does_not_fit_is_bad(monkeypatch):
    monkeypatch.setattr(machine, "available_bytes", lambda: 10**9)
    small = machine.examine_memory(Config().replace("replay.capacity", 50_000), SPEC)
    assert small.verdict is Verdict.GOOD
    large = machine.examine_memory(Config().replace("replay.capacity", 10_000_000), SPEC)
    assert (large.verdict, large.exit_code) == (Verdict.BAD, 78)
    assert "replay.capacity is 10000000" in large.text
    assert machine.examine_memory(None, None).text == "1.0 GB free"


def test_a_replay_on_disk_needs_room_there_and_no_memory(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "available_bytes", lambda: 0)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1e9))
    config = Config().replace(
        {"replay.storage": "disk", "replay.path": str(tmp_path / "not there")}
    )
    found = machine.examine_memory(config, SPEC)
    assert found.verdict is Verdict.GOOD
    assert f"1.0 GB of the disk of {tmp_path} free" in found.text
    found = machine.examine_memory(config.replace("replay.capacity", 10_000_000), SPEC)
    assert found.verdict is Verdict.BAD
    assert f"GB of the disk of {tmp_path} are free" in found.text


@pytest.mark.parametrize(
    ("free", "verdict"), [(2e9, Verdict.GOOD), (0.5e9, Verdict.ODD), (1e6, Verdict.BAD)]
)
def test_room_on_the_disk(monkeypatch, tmp_path, free, verdict):
    asked = []

    def usage(path):
        asked.append(path)
        return SimpleNamespace(free=free)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    assert machine.examine_disk(tmp_path / "not" / "there").verdict is verdict
    assert asked == [tmp_path]
    assert not (tmp_path / "not").exists()


def test_a_folder_that_cannot_be_written_to_is_bad(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    found = machine.examine_disk(tmp_path)
    assert (found.verdict, found.exit_code) == (Verdict.BAD, 74)
