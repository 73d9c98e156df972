"""What a user can get wrong that an attack on the whole program once got through."""

import logging
import queue
import socket
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.roles.conftest import System, eventually, quick_config
from zdqn.cli.application import application
from zdqn.config import load_config, parse_override
from zdqn.errors import (
    ConfigError,
    MismatchError,
    did_you_mean,
)
from zdqn.roles.collector import Collector
from zdqn.roles.evaluator import Evaluator
from zdqn.roles.learner.role import Learner
from zdqn.roles.memory import Memory

# --- the configuration --------------------------------------------------------------------------


def test_a_file_that_begins_with_a_byte_order_mark(tmp_path):
    path = tmp_path / "windows.toml"
    path.write_bytes(b"\xef\xbb\xbf[replay]\ncapacity = 1234\n")
    assert load_config(path).replay.capacity == 1234


def test_a_file_that_nests_too_deep(tmp_path):
    path = tmp_path / "deep.toml"
    path.write_text("[stop]\nupdates = " + "[" * 5000)
    with pytest.raises(ConfigError, match=r"deep\.toml nests .* too deep"):
        load_config(path)


def test_an_override_that_nests_too_deep():
    with pytest.raises(ConfigError, match=r"stop\.updates is .*Expected int, got str"):
        load_config(None, ["stop.updates=" + "[" * 5000])


def test_an_override_that_smuggles_in_another_line():
    with pytest.raises(ConfigError, match="more than one value"):
        parse_override('replay.capacity=5000\nnetwork.kind="cnn"')


def test_a_wrong_value_is_told_with_what_it_means():
    with pytest.raises(
        ConfigError, match=r"Expected int >= 1\. It means: Transitions in one update"
    ):
        load_config(None, ["algorithm.batch_size=0"])
    with pytest.raises(ConfigError, match=r"wrappers\[0\].name is 5.*It means: Gymnasium wrappers"):
        load_config(None, ["environment.wrappers=[{name=5}]"])


def test_of_very_many_known_names_only_the_nearest_are_listed():
    known = [f"Game{number}-v0" for number in range(1000)]
    sentence = did_you_mean("zzz77", known, label="Registered")
    assert sentence.startswith("Registered: 1000 names, of which the nearest are ")
    assert "Game77-v0" in sentence
    assert sentence.count("Game") == 5


# --- addresses ----------------------------------------------------------------------------------


def test_an_empty_address_is_not_taken_for_none(tmp_path):
    config = quick_config()
    with pytest.raises(ConfigError, match='--bind is ""'):
        Memory(config, bind="")
    with pytest.raises(ConfigError, match='--bind is ""'):
        Learner(config, bind="", memory="tcp://127.0.0.1:9", run_directory=tmp_path)
    with pytest.raises(ConfigError, match='--memory is ""'):
        Collector(config, learner="tcp://127.0.0.1:9", memory="")


def test_a_file_at_an_ipc_address_is_left_alone(tmp_path):
    thesis = tmp_path / "thesis.txt"
    thesis.write_text("years of work")
    for path in (thesis, tmp_path):
        with pytest.raises(ConfigError, match="something other than a socket"):
            Memory(quick_config(), bind=f"ipc://{path}")
    assert thesis.read_text() == "years of work"


def test_an_ipc_address_that_a_killed_server_left_is_taken_again(tmp_path):
    path = tmp_path / "memory"
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))
    with Memory(quick_config(), bind=f"ipc://{path}") as memory:
        assert memory.endpoints["samples"] == f"ipc://{path}"


@pytest.mark.parametrize("given", [quick_config(), None])
@pytest.mark.parametrize("role", [Collector, Evaluator])
def test_a_memory_where_a_learner_should_be(tmp_path, role, given):
    system = System(tmp_path)
    try:
        address = system.memory(quick_config()).role.endpoints["samples"]
        with (
            role(given, learner=address) as client,
            pytest.raises(MismatchError, match="is a memory, not a learner"),
        ):
            client.run()
    finally:
        system.close()


def test_a_learner_where_a_memory_should_be(tmp_path):
    system = System(tmp_path)
    try:
        config = quick_config()
        learner = system.learner(config, system.memory(config))
        address = learner.role.endpoints["model"]
        collector = system.collector(config, learner, memory=address)
        with pytest.raises(MismatchError, match="is a learner, not a memory"):
            collector.result()
        learner.stop()
    finally:
        system.close()


# --- environments -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def broken(: pass", "SyntaxError"),
        ("raise RuntimeError('no luck')", "RuntimeError: no luck"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
    ],
)
def test_a_module_that_cannot_be_run(tmp_path, monkeypatch, source, words):
    name = f"module_{abs(hash(source))}"
    (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=f"{name}.*{words}"):
        Collector(quick_config(f"environment.id={name}:make"), learner="tcp://127.0.0.1:9")


@pytest.mark.parametrize("identifier", [":make", "../etc:make", ".here:make"])
def test_a_module_name_that_is_none(identifier):
    with pytest.raises(ConfigError, match="dotted name"):
        Collector(quick_config(f"environment.id={identifier}"), learner="tcp://127.0.0.1:9")


def test_an_environment_that_fails_leaves_its_traceback_in_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    module = types.ModuleType("failing_environments")
    module.make = lambda: 1 / 0  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "failing_environments", module)
    config = tmp_path / "tiny.toml"
    config.write_text('[environment]\nid = "failing_environments:make"\n')
    logger = logging.getLogger("zdqn")
    before = list(logger.handlers), logger.level, logger.propagate
    result = CliRunner().invoke(
        application, ["collector", str(config), "--learner", "tcp://127.0.0.1:9"]
    )
    logger.handlers[:], logger.level, logger.propagate = before
    assert result.exit_code == 70
    assert "ZeroDivisionError" in result.stderr
    assert "Traceback (most" not in result.stderr
    (trace,) = tmp_path.glob("zdqn-traceback-*")
    assert str(trace) in result.stderr
    assert "Traceback (most" in trace.read_text()


# --- files --------------------------------------------------------------------------------------


def test_a_role_whose_log_fills_the_disk_can_still_be_let_go(tmp_path):
    from zdqn.launch.child_process import ChildProcess, Ended
    from zdqn.launch.plan import PlannedProcess
    from zdqn.launch.starting import start_locally

    events: queue.Queue[Any] = queue.Queue()
    child = ChildProcess(
        PlannedProcess("memory", "memory"),
        start=start_locally,
        log_file=Path("/dev/full"),
        show=lambda *_: None,
        events=events,
    )
    child.ask_to_stop()
    assert isinstance(events.get(timeout=90), Ended)
    child._log.write("what is still in the buffer")
    child.close()


# --- peers --------------------------------------------------------------------------------------


def test_a_learner_says_when_its_last_collector_has_gone(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("zdqn.roles.learner.status_board._SAY_EVERY_S", 0.02)
    config = quick_config("stop.updates=1000000")
    system = System(tmp_path)
    with caplog.at_level(logging.INFO, "zdqn.learner"):
        try:
            learner = system.learner(config, system.memory(config))
            collector = system.collector(config, learner)
            eventually(lambda: "environment: float32" in caplog.text, "the learner is ready")
            assert "; no collector is alive" not in caplog.text
            collector.stop()
            eventually(lambda: "; no collector is alive" in caplog.text, "it says so")
            learner.stop()
        finally:
            system.close()
