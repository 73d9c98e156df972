"""A run's folder, whole and in pieces."""

import shutil

import pytest

import zdqn
from zdqn.doctor import Verdict
from zdqn.doctor.run_folder import examine_run
from zdqn.records.run_files import RunFiles, read_summary
from zdqn.records.run_lock import RunLock

SHORT = {
    "environment": {"id": "CartPole-v1"},
    "replay": {"min_size": 64, "capacity": 1000, "samples_per_insert": 3.2},
    "evaluator": {"period_environment_steps": 100, "episodes": 1},
    "stop": {"environment_steps": 200},
    "network": {"hidden": [8]},
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "r"
    zdqn.train(SHORT, run_directory=path, progress=False)
    return path


@pytest.fixture
def run(trained, tmp_path):
    """A copy that may be broken."""
    return RunFiles(shutil.copytree(trained, tmp_path / "copy"))


def by_subject(files):
    return {finding.subject: finding for finding in examine_run(files.path)}


def test_a_run_that_has_ended(run):
    found = by_subject(run)
    assert {finding.verdict for finding in found.values()} == {Verdict.GOOD}
    assert found["run"].text.endswith("stop.environment_steps was reached")
    steps = read_summary(run.path)["environment_steps"]
    assert f" {steps} environment steps" in found["checkpoints"].text


def test_a_run_that_goes_on(run):
    with RunLock(run.lock):
        assert "is in use by" in by_subject(run)["run"].text


def test_a_run_that_was_killed(run):
    run.summary.unlink()
    found = by_subject(run)["run"]
    assert found.verdict is Verdict.ODD
    assert "--resume" in found.remedy


def test_a_damaged_checkpoint_is_named(run):
    newest = max(run.checkpoints.glob("*.pt"))
    newest.write_bytes(newest.read_bytes()[:100])
    found = by_subject(run)["checkpoints"]
    assert found.verdict is Verdict.ODD
    assert newest.name in found.text
    run.best.write_bytes(b"no network")
    assert by_subject(run)["best network"].verdict is Verdict.ODD


def test_a_run_without_a_checkpoint_so_far(run):
    for file in run.checkpoints.glob("*.pt"):
        file.unlink()
    assert by_subject(run)["checkpoints"].text.startswith("none so far")


def test_a_configuration_that_cannot_be_read_is_bad(run):
    run.config.write_text("nonsense = 1")
    found = by_subject(run)["its configuration"]
    assert (found.verdict, found.exit_code) == (Verdict.BAD, 78)


def test_a_folder_without_a_run_is_bad(tmp_path):
    (found,) = examine_run(tmp_path)
    assert (found.verdict, found.exit_code) == (Verdict.BAD, 74)
