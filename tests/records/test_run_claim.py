"""A folder holds one run, of one process; nothing that is refused has changed it."""

from pathlib import Path

import pytest

from zdqn.errors import FileError, RunDirectoryTakenError, UsageError
from zdqn.records.run_claim import RunClaim
from zdqn.records.run_files import RunFiles
from zdqn.records.run_lock import RunLock, describe_holder


def make_run(folder):
    """Make a folder that holds all that a run can leave, and files of somebody else."""
    files = RunFiles(folder)
    files.checkpoints.mkdir(parents=True)
    files.logs.mkdir()
    ours = [
        files.config, files.metrics, files.evaluations, files.summary, files.learning_curve,
        files.best, files.checkpoints / "update-000000001.pt",
        files.checkpoints / ".update-000000002.pt.0123456789abcdef.tmp",
    ]  # fmt: skip
    servers = [files.endpoints, files.learner_epoch, files.log_of("learner"),
               files.log_of("collector-11")]  # fmt: skip
    foreign = [folder / "notes.txt", files.logs / "mine.log", files.checkpoints / "kept.pt"]
    for path in (*ours, *servers, *foreign):
        path.write_text(path.name)
    return ours, servers, foreign


def tree(folder):
    """Give every file with its content, but for locks, which say nothing of a run."""
    return {
        path: path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
        if not path.name.endswith("lock")
    }


@pytest.mark.parametrize(
    "name", ["config", "metrics", "evaluations", "summary", "learning_curve", "best"]
)
@pytest.mark.parametrize("launching", [False, True])
def test_a_folder_that_holds_anything_of_a_run_is_refused_as_it_is(tmp_path, name, launching):
    getattr(RunFiles(tmp_path), name).write_text("x")
    before = tree(tmp_path)
    with pytest.raises(RunDirectoryTakenError, match=r"--resume .*--run-dir.*--overwrite") as error:
        RunClaim(tmp_path, launching=launching)
    assert getattr(RunFiles(tmp_path), name).name in str(error.value)
    assert tree(tmp_path) == before


def test_addresses_and_logs_alone_are_no_run(tmp_path):
    files = RunFiles(tmp_path)
    files.endpoints.write_text("{}")  # a memory has started first
    files.logs.mkdir()
    with RunClaim(tmp_path):
        assert files.results() == []
        assert describe_holder(files.lock)
    assert files.endpoints.exists()


def test_a_run_is_gone_on_with_in_its_own_folder_whatever_that_is_called(tmp_path, monkeypatch):
    make_run(tmp_path / "a")
    (tmp_path / "link").symlink_to("a")
    monkeypatch.chdir(tmp_path)
    before = tree(tmp_path / "a")
    for resume in (tmp_path / "a", Path("a"), Path("link"), Path("a/../a")):
        with RunClaim(tmp_path / "a", resume=resume) as claim:
            claim.clear()
            claim.clear_servers()
    assert tree(tmp_path / "a") == before


def test_one_run_is_not_gone_on_with_in_the_folder_of_another(tmp_path):
    make_run(tmp_path / "a")
    make_run(tmp_path / "b")
    with pytest.raises(RunDirectoryTakenError):
        RunClaim(tmp_path / "b", resume=tmp_path / "a")
    RunClaim(tmp_path / "b", resume=tmp_path / "a", overwrite=True).close()


def test_what_is_gone_on_with_cannot_be_overwritten(tmp_path):
    make_run(tmp_path / "a")
    with pytest.raises(UsageError, match="--overwrite"):
        RunClaim(tmp_path / "a", resume=tmp_path / "a", overwrite=True)


def test_overwriting_removes_what_a_run_left_and_nothing_else_and_not_before_it_is_told(tmp_path):
    ours, servers, foreign = make_run(tmp_path)
    before = tree(tmp_path)
    with RunClaim(tmp_path, overwrite=True) as claim:
        assert tree(tmp_path) == before
        claim.clear()
        assert not any(path.exists() for path in ours)
        assert all(path.exists() for path in (*servers, *foreign))
        claim.clear_servers()
        assert not any(path.exists() for path in servers)
    assert all(path.read_text() == path.name for path in foreign)


def test_a_kept_replay_goes_with_the_run_that_is_overwritten_and_with_no_other(tmp_path):
    make_run(tmp_path)
    replay = RunFiles(tmp_path).replay
    kept = [replay / "frames.array", replay / "snapshot-0" / "state.json"]
    for path in (*kept, replay / "lock"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    with RunClaim(tmp_path, resume=tmp_path) as claim:
        claim.clear_replay()
    assert all(path.exists() for path in kept)
    with RunClaim(tmp_path, overwrite=True) as claim:
        claim.clear_replay()
    assert not any(path.exists() for path in kept)
    assert (replay / "lock").exists()


def test_what_cannot_be_removed_is_named(tmp_path):
    RunFiles(tmp_path).best.mkdir()
    with (
        RunClaim(tmp_path, overwrite=True) as claim,
        pytest.raises(FileError, match=r"best\.pt"),
    ):
        claim.clear()


def test_a_folder_that_was_made_and_not_used_is_no_more(tmp_path):
    RunClaim(tmp_path / "new").close()
    assert not (tmp_path / "new").exists()
    with RunClaim(tmp_path / "used"):
        RunFiles(tmp_path / "used").config.touch()
    assert RunFiles(tmp_path / "used").lock.exists(), "it stays"
    (tmp_path / "empty").mkdir()
    RunClaim(tmp_path / "empty").close()
    assert not any((tmp_path / "empty").iterdir())


def test_a_folder_has_one_writer_and_one_launcher(tmp_path):
    with (
        RunClaim(tmp_path, launching=True),
        RunClaim(tmp_path),
        pytest.raises(RunDirectoryTakenError),
    ):
        RunClaim(tmp_path, overwrite=True)
    with RunClaim(tmp_path), pytest.raises(RunDirectoryTakenError):
        RunClaim(tmp_path, launching=True)  # the learner of a launcher that was killed
    with RunClaim(tmp_path, launching=True), pytest.raises(RunDirectoryTakenError):
        RunClaim(tmp_path, launching=True)


def test_of_a_writer_that_was_launched_the_launcher_is_named(tmp_path):
    with RunClaim(tmp_path, launching=True), RunClaim(tmp_path):
        RunFiles(tmp_path).launch_lock.write_text(
            '{"command": "zdqn run a.toml", "pid": 7, "host": "h", "since": "today"}'
        )
        with pytest.raises(RunDirectoryTakenError, match=r"zdqn run a\.toml \(process 7 on h"):
            RunClaim(tmp_path)


def test_a_refused_claim_holds_nothing(tmp_path):
    RunFiles(tmp_path).config.touch()
    with pytest.raises(RunDirectoryTakenError):
        RunClaim(tmp_path)
    assert describe_holder(RunFiles(tmp_path).lock) == ""
    RunLock(RunFiles(tmp_path).lock).close()


def test_a_place_that_is_no_folder_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match="--run-dir"):
        RunClaim(tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
