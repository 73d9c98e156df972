"""`zdqn logs` and `zdqn restart`."""

import pytest
from click.testing import CliRunner

from zdqn.cli import run_commands
from zdqn.cli.application import application
from zdqn.stopping import StopEvent


@pytest.fixture
def run(tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "memory.log").write_text("".join(f"m{n}\n" for n in range(20)))
    (tmp_path / "logs" / "collector-0.log").write_text("c\x1b[31m\n")
    return tmp_path


def invoke(*words):
    return CliRunner().invoke(application, [str(word) for word in words])


def test_the_last_lines_of_each_role(run):
    result = invoke("logs", run, "-n", 2)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[1:] == ["memory      | m18", "memory      | m19"]
    assert "\x1b" not in result.stdout


def test_those_of_one_role_stand_alone(run):
    assert invoke("logs", run, "-n", 1, "--role", "memory").stdout == "m19\n"
    result = invoke("logs", run, "--role", "memry")
    assert result.exit_code == 2
    assert 'Did you mean "memory"' in result.output


def test_what_comes_is_followed_until_it_is_interrupted(run, monkeypatch):
    stop = StopEvent()
    waits: list[None] = []

    class Stopping:
        def __enter__(self):
            return self

        def __exit__(self, *_error):
            pass

        def wait(self, _seconds):
            with (run / "logs" / "memory.log").open("a") as file:
                file.write(f"new {len(waits)}\n")
            waits.append(None)
            return len(waits) > 2 or stop.is_set()

    monkeypatch.setattr(run_commands, "stop_on_signals", Stopping)
    result = invoke("logs", run, "-f", "-n", 0, "--role", "memory")
    assert result.stdout == "new 0\nnew 1\n"


def test_a_folder_without_logs_is_named(tmp_path):
    result = invoke("logs", tmp_path)
    assert result.exit_code == 2
    assert "holds no logs" in result.output


def test_a_role_is_restarted_by_its_name(run, monkeypatch):
    asked = []

    def change(directory, kind, what, say):
        asked.append((directory, kind, what))
        return "done"

    monkeypatch.setattr("zdqn.launch.cluster.changes.change_run", change)
    assert invoke("restart", "collector-0@h", run).stdout == "done\n"
    assert asked == [(run, "restart", "collector-0@h")]


def test_what_run_started_is_not_restarted_by_hand(run):
    result = invoke("restart", "memory", run)
    assert result.exit_code == 2
    assert "no run of `zdqn launch`" in result.output
