"""A run from its file to its jobs."""

import stat

import pytest

from tests.launch.slurm.plans import asking, slurm_plan
from zdqn.errors import ConfigError, RunDirectoryTakenError
from zdqn.launch.slurm import slurm_commands
from zdqn.launch.slurm.batch_files import RunPlace, batch_files
from zdqn.launch.slurm.run_stage import RunStage, read_stage, write_stage
from zdqn.launch.slurm.slurm_entry import (
    Submission,
    add_collectors,
    describe_submission,
    submit_run,
)
from zdqn.launch.slurm.slurm_record import read_slurm_record
from zdqn.records.run_lock import RunLock

pytestmark = pytest.mark.usefixtures("unlooked")


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "a run"


def submit(directory, plan=None, **changes):
    place = RunPlace(directory, directory.parent)
    return submit_run(plan or slurm_plan(), Submission(place, **changes))


def test_servers_are_submitted_first_and_collectors_begin_after_them(slurm, directory):
    record = submit(directory)
    assert list(record.jobs) == ["servers", "collectors-0", "collectors-3"]
    folder = directory / "slurm"
    after = f"--dependency=after:{record.servers_job}"
    assert [words for words in slurm.called("sbatch") if words[0] == "--parsable"] == [
        ["--parsable", str(folder / "servers.sbatch")],
        ["--parsable", after, str(folder / "collectors-0.sbatch")],
        ["--parsable", after, str(folder / "collectors-3.sbatch")],
    ]
    assert read_slurm_record(directory) == record
    for name, text in batch_files(record.plan, record.place(directory)).items():
        assert (folder / f"{name}.sbatch").read_text() == text
    assert (directory / "logs").is_dir()  # Slurm makes no folder for a log


def test_what_others_must_not_read_they_cannot(slurm, directory):
    submit(directory)
    for path in directory.rglob("*"):
        if path.suffix != ".public":
            assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_keys_are_made_unless_somebody_insists(slurm, directory):
    assert submit(directory).secure
    keys = {path.name for path in (directory / "keys").glob("*.secret")}
    assert keys == {f"{role}.secret" for role in
                    ("memory", "learner", "collector", "evaluator", "operator")}  # fmt: skip
    other = directory.with_name("other")
    assert not submit(other, secure=False).secure
    assert not (other / "keys").exists()


def test_a_refused_job_leaves_nothing(slurm, directory, monkeypatch):
    monkeypatch.setattr(slurm_commands, "judge", lambda text: "fine")
    slurm.write(refuses="Invalid account")
    with pytest.raises(ConfigError, match="Invalid account"):
        submit(directory)
    assert not directory.exists()
    assert slurm.jobs == []


def test_a_refused_array_takes_the_servers_with_it(slurm, directory, monkeypatch):
    submitted = slurm_commands.submit

    def refuse(path, *, after=""):
        if after:
            raise ConfigError("no arrays here")
        return submitted(path)

    monkeypatch.setattr(slurm_commands, "submit", refuse)
    directory.mkdir(mode=0o700)
    (directory / "logs").mkdir()
    (directory / "logs" / "mine").touch()
    with pytest.raises(ConfigError, match="no arrays"):
        submit(directory)
    assert slurm.jobs == []
    assert [path.name for path in directory.iterdir()] == ["logs"]
    assert (directory / "logs" / "mine").exists()


def test_what_would_not_work_is_not_submitted(slurm, directory):
    with pytest.raises(ConfigError, match="no partition"):
        submit(directory, asking(partition="no"))
    assert slurm.jobs == []
    assert not directory.exists()


def test_a_run_whose_jobs_wait_is_not_submitted_again(slurm, directory):
    jobs = submit(directory).jobs
    with pytest.raises(RunDirectoryTakenError, match=f"{jobs['servers']}.*zdqn stop"):
        submit(directory)


def test_nor_is_one_that_somebody_trains(slurm, directory):
    directory.mkdir(mode=0o700)
    with RunLock(directory / ".run.lock"), pytest.raises(RunDirectoryTakenError):
        submit(directory)
    (directory / "config.toml").touch()
    with pytest.raises(RunDirectoryTakenError, match="already holds a run"):
        submit(directory)


def test_one_that_is_over_goes_on_with_its_keys_and_counts_its_starts(slurm, directory):
    submit(directory)
    secret = (directory / "keys" / "learner.secret").read_text()
    slurm.write(jobs=[])
    write_stage(directory, RunStage("failed", 4, "it broke", exit_code=70))
    (directory / "config.toml").touch()
    submit(directory, resume=True)
    assert read_stage(directory) == RunStage("submitted", 4)
    assert (directory / "keys" / "learner.secret").read_text() == secret


def test_a_dry_run_shows_files_and_commands(slurm, directory):
    plan, place = slurm_plan(), RunPlace(directory, directory.parent)
    shown = "\n".join(describe_submission(plan, place))
    for name, text in batch_files(plan, place).items():
        assert f"# --- {place.batch_file(name)}\n{text}" in shown
    assert "servers=$(sbatch --parsable " in shown
    assert slurm.calls == []
    assert not directory.exists()


def test_more_collectors_are_another_array(slurm, directory):
    record = submit(directory)
    added, name = add_collectors(directory, 2)
    assert name == "collectors-5"
    assert read_slurm_record(directory) == added
    assert slurm.called("sbatch")[-1] == [
        "--parsable",
        f"--dependency=after:{record.servers_job}",
        str(directory / "slurm" / "collectors-5.sbatch"),
    ]
    assert "--array=5-6\n" in (directory / "slurm" / "collectors-5.sbatch").read_text()
