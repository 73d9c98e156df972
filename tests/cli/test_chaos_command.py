"""`zdqn chaos` translates words into strikes, and judges how they were borne."""

import signal
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner

from zdqn.cli import chaos_command
from zdqn.cli.application import application
from zdqn.errors import RoleFailedError
from zdqn.launch.plan import PlannedProcess
from zdqn.launch.strikes import ROLES, SIGNALS, Recovery
from zdqn.records.run_result import RunResult

SUMMARY = {
    "blocks_sent": 3, "blocks": 2, "blocks_lost": 1, "blocks_refused": 0, "blocks_in_flight": 0,
}  # fmt: skip
BACK = Recovery(PlannedProcess("memory", "memory"), 1.0, begins_anew=True, worked_s=2.5)


@pytest.fixture
def invoke(monkeypatch, tmp_path):
    """Run the command without its training; give what that was called with, and the result."""
    monkeypatch.chdir(tmp_path)
    Path("tiny.toml").write_text("[run]\nseed = 1\n")

    def run(*words, summary=SUMMARY, meanwhile=lambda companion: None):
        calls = []

        def stand_in(config, given, **arguments):
            calls.append((config, given, arguments))
            arguments["companion"].recoveries.append(BACK)
            meanwhile(arguments["companion"])
            return RunResult(Path("there"), summary)

        monkeypatch.setattr("zdqn.launch.entry.run_processes", stand_in)
        result = CliRunner().invoke(application, ["chaos", "tiny.toml", *words])
        return (*calls, result)

    return run


def test_roles_and_signals_are_those_that_can_be_struck_and_sent():
    assert chaos_command._ROLES == ROLES
    assert chaos_command._DONE.keys() == SIGNALS.keys()


def strikes_of(arguments):
    return arguments["companion"]._strikes


def test_by_default_any_role_is_killed_every_5_s(invoke):
    (config, given, arguments), result = invoke()
    assert result.exit_code == 0, result.output
    assert config.run.seed == 1
    assert given.run_directory.name.endswith("-tiny")
    strikes = strikes_of(arguments)
    assert (strikes._every_s, len(strikes._roles)) == (5.0, 4)
    assert arguments["companion"]._number is signal.SIGKILL
    assert "memory        1              1    1.5 s     1.5 s" in result.output
    assert "3 sent = 2 stored + 1 lost" in result.output
    assert "every role that was struck came back; the account of blocks is exact" in result.output


def test_options(invoke):
    (config, given, arguments), result = invoke(
        "--every", "500ms", "--role", "memory", "--role", "learner", "--signal", "STOP",
        "--seed", "3", "--set", "run.seed=9", "--run-dir", "here", "--overwrite",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert (config.run.seed, given.run_directory, given.overwrite) == (9, Path("here"), True)
    strikes = strikes_of(arguments)
    assert (strikes._every_s, strikes._roles) == (0.5, {"memory", "learner"})
    assert arguments["companion"]._number is signal.SIGSTOP
    assert "stopped" in result.output


def test_another_seed_strikes_others(invoke):
    first, again, other = (
        strikes_of(invoke("--seed", seed)[0][2])._rng.random() for seed in ("1", "1", "2")
    )
    assert first == again != other


@pytest.mark.parametrize("text", ["0", "soon", "-1s", "5h"])
def test_what_is_no_time(invoke, text):
    result = invoke("--every", text)[-1]
    assert result.exit_code == 2
    assert "is no time above 0. Write such as 5s, 500ms or 2min" in result.output


@pytest.mark.parametrize(("text", "seconds"), [("2min", 120.0), ("1.5s", 1.5), ("7", 7.0)])
def test_times(invoke, text, seconds):
    assert strikes_of(invoke("--every", text)[0][2])._every_s == seconds


def test_a_learner_that_is_told_to_end_would_end_the_run(invoke):
    result = invoke("--signal", "TERM", "--role", "learner")[-1]
    assert result.exit_code == 2
    assert "Take --signal KILL" in result.output
    (_, _, arguments), result = invoke("--signal", "TERM")
    assert result.exit_code == 0
    assert strikes_of(arguments)._roles == {"memory", "collector", "evaluator"}


def test_an_account_that_is_not_exact_fails(invoke):
    result = invoke(summary=SUMMARY | {"blocks_lost": 0})[-1]
    assert result.exit_code == 70
    assert "error: The account of blocks is not exact: 3 were sent" in result.output


def test_a_role_that_does_not_come_back_fails(invoke):
    def fail(companion):
        companion.failure = RoleFailedError("memory has not come back")

    result = invoke(meanwhile=fail)[-1]
    assert result.exit_code == 70
    assert "error: memory has not come back" in result.output


def test_a_run_that_fails_shows_the_table_all_the_same(invoke):
    def fail(_companion):
        raise RoleFailedError("the learner broke")

    result = invoke(meanwhile=fail)[-1]
    assert result.exit_code == 70
    assert "error: the learner broke" in result.output
    assert "memory        1              1" in result.output


def test_a_run_that_was_asked_to_end_while_its_learner_was_away_ends_as_asked(invoke):
    def strike_and_interrupt(companion, *, asked):
        learner = PlannedProcess("learner", "learner")
        companion.recoveries.append(Recovery(learner, 1.0, begins_anew=True))
        if asked:
            signal.raise_signal(signal.SIGINT)

    result = invoke(summary={}, meanwhile=partial(strike_and_interrupt, asked=True))[-1]
    assert result.exit_code == 0, result.output
    assert "ended while its learner was away" in result.output
    result = invoke(summary={}, meanwhile=partial(strike_and_interrupt, asked=False))[-1]
    assert result.exit_code == 70
    assert "left no account" in result.output
