"""What Slurm is asked, and what its answers become."""

import os
from pathlib import Path

import pytest

from zdqn.errors import ConfigError, FileError, PeerUnavailableError
from zdqn.launch.slurm import slurm_commands
from zdqn.launch.slurm.slurm_commands import QueuedJob, of_run


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Puts a command on PATH that prints something, and ends with a code."""

    def make(name, *, prints="", says="", code=0):
        script = tmp_path / name
        script.write_text(
            f"#!/bin/sh\nprintf '%s' '{prints}'\nprintf '%s' '{says}' >&2\nexit {code}\n"
        )
        script.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin:/bin")

    return make


@pytest.mark.parametrize("prints", ["12\n", "12;cluster\n", "a site says hello\n12\n"])
def test_a_job_has_the_number_that_sbatch_prints(command, prints):
    command("sbatch", prints=prints)
    assert slurm_commands.submit(Path("f")) == "12"


def test_another_answer_is_quoted(command):
    command("sbatch", prints="Submitted batch job twelve")
    with pytest.raises(ConfigError, match="Submitted batch job twelve"):
        slurm_commands.submit(Path("f"))


def test_one_that_waits_for_another_says_so(slurm, tmp_path):
    path = tmp_path / "a b.sbatch"
    path.write_text("#!/bin/bash\n#SBATCH --array=2-3%1\n")
    first = slurm_commands.submit(path)
    second = slurm_commands.submit(path, after=first)
    assert slurm.called("sbatch") == [
        ["--parsable", str(path)], ["--parsable", f"--dependency=after:{first}", str(path)],
    ]  # fmt: skip
    slurm.set_states("RUNNING", array=first, node="n1")
    assert slurm_commands.queued_jobs() == [
        QueuedJob(f"{first}_2", first, "2", "RUNNING", "n1", "0:01", "None"),
        QueuedJob(f"{first}_3", first, "3", "RUNNING", "n1", "0:01", "None"),
        QueuedJob(f"{second}_2", second, "2", "PENDING", "", "0:01", "Resources"),
        QueuedJob(f"{second}_3", second, "3", "PENDING", "", "0:01", "Resources"),
    ]
    assert len(of_run(slurm_commands.queued_jobs(), [second])) == 2


def test_jobs_are_cancelled_and_queued_again(slurm, tmp_path):
    path = tmp_path / "f"
    path.write_text("")
    job = slurm_commands.submit(path)
    with pytest.raises(ConfigError, match="pending"):
        slurm_commands.requeue(job)
    slurm.set_states("RUNNING")
    slurm_commands.requeue(job)
    slurm_commands.cancel([job])
    slurm_commands.cancel([])
    assert slurm.called("scancel") == [[job]]
    assert slurm_commands.queued_jobs() == []
    assert slurm_commands.partitions() == ["long", "spare"]


def test_a_reason_may_hold_what_separates_fields(command):
    command("squeue", prints="1|1|N/A|PENDING||0:00|(a|b)\n")
    (job,) = slurm_commands.queued_jobs()
    assert (job.task, job.reason) == ("", "(a|b)")


@pytest.mark.parametrize(
    ("says", "kind", "words"),
    [
        ("error: invalid partition: x", ConfigError, "invalid partition: x.*It was: sbatch"),
        ("Unable to contact slurm controller (connect failure)", PeerUnavailableError, "ping"),
        ("", ConfigError, "exit code 1, and not a word"),
    ],
)
def test_what_slurm_refuses_is_quoted(command, says, kind, words):
    command("sbatch", says=says, code=1)
    with pytest.raises(kind, match=words):
        slurm_commands.submit(Path("f"))
    with pytest.raises(kind, match=words.partition(".*")[0]):
        slurm_commands.judge("text")


def test_where_there_is_no_slurm_the_command_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FileError, match="no squeue on PATH"):
        slurm_commands.queued_jobs()


def test_one_that_does_not_answer_is_not_waited_for_without_end(command, monkeypatch):
    command("squeue")
    monkeypatch.setattr(slurm_commands, "_ANSWER_S", 0.2)
    path = Path(os.environ["PATH"].split(os.pathsep)[0]) / "squeue"
    path.write_text("#!/bin/sh\nexec sleep 60\n")
    with pytest.raises(PeerUnavailableError, match="squeue has not answered"):
        slurm_commands.queued_jobs()
