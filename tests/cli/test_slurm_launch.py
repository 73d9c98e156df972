"""`zdqn launch --slurm`, and what is typed of such a run, with a Slurm that runs nothing."""

import json
import sys

import pytest
from click.testing import CliRunner

from tests.launch.slurm.fake_slurm import PYTHON_CHECK, FakeSlurm
from zdqn.cli.application import application
from zdqn.launch.cluster.preflight import HostFinding
from zdqn.launch.slurm.run_stage import RunStage, write_stage

LAB = """
[config.run]
seed = 3
[defaults]
python = "{python}"
[slurm]
partition = "long"
[slurm.collectors]
partition = "spare"
[memory]
host = "alpha"
[[collectors]]
count = 2
"""


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(PYTHON_CHECK, lambda kind, settings: HostFinding(kind, "good", "fine"))
    (tmp_path / "lab.toml").write_text(LAB.format(python=sys.executable))
    return FakeSlurm(tmp_path / "slurm", monkeypatch)


def invoke(*words):
    return CliRunner().invoke(application, [str(word) for word in words])


@pytest.fixture
def run(slurm, tmp_path):
    result = invoke("launch", "--slurm", "lab.toml", "--run-dir", "r", "--set", "run.seed=5")
    assert result.exit_code == 0, result.output
    return tmp_path / "r", result


def test_a_dry_run_prints_files_and_commands_and_submits_nothing(slurm, tmp_path):
    result = invoke("launch", "--slurm", "lab.toml", "--dry-run")
    assert result.exit_code == 0
    assert f"# --- {tmp_path}/runs/TIME-lab/slurm/servers.sbatch\n#!/bin/bash\n" in result.stdout
    assert "#SBATCH --partition=spare\n" in result.stdout
    assert result.stdout.splitlines()[-1].startswith("sbatch --parsable --dependency=after:$serv")
    assert slurm.calls == []
    assert not (tmp_path / "runs").exists()


def test_what_names_a_host_is_said_to_mean_nothing(run):
    assert "note: Slurm chooses the nodes: memory.host name none." in run[1].stderr


def test_a_check_prints_what_was_found(slurm, tmp_path):
    result = invoke("launch", "--slurm", "lab.toml", "--check")
    assert result.exit_code == 0, result.output
    assert "Slurm would take it" in result.stdout
    slurm.write(partitions=["long"])
    result = invoke("launch", "--slurm", "lab.toml", "--check")
    assert result.exit_code == 78
    assert 'there is no partition "spare"' in result.stdout
    assert slurm.jobs == []
    assert not (tmp_path / "runs").exists()


def test_a_run_is_submitted_with_words_of_how_to_find_it(run, slurm):
    directory, result = run
    assert "submitted job 101, servers\nsubmitted job 102, collectors-0\n" in result.stdout
    assert "`zdqn stop r` ends it" in result.output
    record = json.loads((directory / "slurm.json").read_text())
    assert record["plan"]["config"]["run"]["seed"] == 5
    assert [job["task"] for job in slurm.jobs] == ["", "0", "1"]


def test_one_that_waits_in_the_queue_is_shown(run):
    result = invoke("status", "r")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "Slurm: the run is submitted, start 0 of its servers",
        "  servers       job 101  PENDING (Resources)",
        "  collectors-0  job 102  2 PENDING (Resources)",
    ]
    assert json.loads(invoke("status", "r", "--json").stdout)["slurm"][1].endswith("(Resources)")
    assert "from when they begin" in invoke("logs", "r").output


def test_one_that_has_not_begun_is_cancelled(run, slurm):
    result = invoke("stop", "r")
    assert result.exit_code == 0, result.output
    assert "cancelled its jobs" in result.stdout
    assert slurm.jobs == []


def test_one_that_has_failed_gives_its_exit_code_when_it_is_stopped(run):
    write_stage(run[0], RunStage("failed", 1, "it broke", exit_code=70))
    assert invoke("stop", "r").exit_code == 70


def test_its_logs_are_shown(run):
    (run[0] / "logs" / "collector-0.log").write_text("hello\n")
    assert invoke("logs", "r").stdout == "hello\n"


def test_it_is_changed_by_its_folder(run, slurm):
    assert invoke("launch", "--add", "collectors=2", "r").stdout.startswith("added collector-2 to")
    refused = invoke("launch", "--remove", "n1", "r")
    assert refused.exit_code == 2
    assert "scancel" in refused.output
    slurm.set_states("RUNNING")
    assert "job 101" in invoke("restart", "servers", "r").stdout


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--local",), 2, "--local and --slurm"),
        (("--detach",), 2, "--detach and --slurm"),
        (("-v",), 2, "--verbose and --slurm"),
        (("--resume", "."), 74, "holds none"),
    ],
)
def test_what_means_nothing_to_slurm_is_refused(slurm, words, code, said):
    result = invoke("launch", "--slurm", "lab.toml", *words)
    assert result.exit_code == code
    assert said in result.output
    assert slurm.jobs == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('partion = "x"', 'Did you mean "partition"'),
        ("cpus = -1", "cpus is -1"),
        ('at_time_limit = "stop"', '"end", "requeue"'),
    ],
)
def test_a_mistake_in_its_section_is_one_paragraph(slurm, tmp_path, line, words):
    text = LAB.format(python=sys.executable).replace('partition = "spare"', line)
    if line.startswith("at_time"):
        text = text.replace("[slurm.collectors]", "")
    (tmp_path / "lab.toml").write_text(text)
    result = invoke("launch", "--slurm", "lab.toml")
    assert result.exit_code == 78
    assert words in result.output
    assert "Traceback" not in result.output


def test_a_file_with_counts_alone_is_refused_over_ssh_with_the_way_out(slurm):
    result = invoke("launch", "lab.toml", "--dry-run")
    assert result.exit_code == 78
    assert "learner.host is missing" in result.output
