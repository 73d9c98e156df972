"""Run directories never collide, and their files have names that no other place knows."""

import os
import re
from pathlib import Path

import pytest

from zdqn.errors import FileError
from zdqn.records.run_files import (
    RunFiles,
    chosen_run_directory,
    has_ended,
    is_plain,
    make_run_directory,
    read_summary,
)

ROOT = Path(__file__).parents[2]


def test_every_file_is_in_the_folder_and_none_is_another():
    files = RunFiles(Path("run"))
    paths = [
        getattr(files, name) for name, kind in vars(RunFiles).items() if isinstance(kind, property)
    ]
    paths.append(files.log_of("collector-0"))
    assert len(set(paths)) == len(paths)
    assert all(path.is_relative_to("run") for path in paths)
    assert files.log_of("collector-0") == Path("run/logs/collector-0.log")


def test_only_run_files_knows_what_they_are_called():
    files = RunFiles(Path())
    names = {files.config, files.metrics, files.evaluations, files.summary, files.learning_curve,
             files.best, files.endpoints}  # fmt: skip
    pattern = re.compile("|".join(rf"[\"'/]{re.escape(str(name))}[\"']" for name in names))
    knowing = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "zdqn").rglob("*.py")
        if pattern.search(path.read_text(encoding="utf-8"))
    }
    assert knowing == {"zdqn/records/run_files.py"}


@pytest.mark.parametrize("text", ["", "{", "half", "[]", "5", "null", "[" * 100_000])
def test_a_spoiled_summary_is_named_and_a_missing_one_is_empty(tmp_path, text):
    assert read_summary(tmp_path) == {}
    RunFiles(tmp_path).summary.write_text(text)
    with pytest.raises(FileError, match=r"summary\.json"):
        read_summary(tmp_path)


def test_a_summary_of_an_earlier_start_is_none_whatever_clocks_say(tmp_path):
    files = RunFiles(tmp_path)
    assert not has_ended(tmp_path)
    files.metrics.write_text("{}\n")
    assert not has_ended(tmp_path)
    files.summary.write_text('{"updates": 5, "metrics_bytes": 3}')
    os.utime(files.summary, (1, 1))  # by the clock of another host
    assert read_summary(tmp_path) == {"updates": 5, "metrics_bytes": 3}
    assert has_ended(tmp_path)
    with files.metrics.open("a") as file:  # the run goes on
        file.write("{}\n")
    os.utime(files.metrics, (0, 0))
    assert read_summary(tmp_path) == {}
    assert not has_ended(tmp_path)
    files.metrics.unlink()
    assert has_ended(tmp_path)


def test_a_summary_that_says_nothing_of_metrics_or_cannot_be_read_is_one(tmp_path):
    files = RunFiles(tmp_path)
    files.metrics.write_text("{}\n")
    for text in ('{"updates": 5}', '{"updates": 5, "metrics_bytes": null}', "half"):
        files.summary.write_text(text)
        assert has_ended(tmp_path)


def test_what_is_no_plain_file_is_not_waited_for(tmp_path):
    """A folder of somebody else may hold a pipe, or a link to what has no end."""
    os.mkfifo(RunFiles(tmp_path).summary)
    with pytest.raises(FileError, match="no plain file"):
        read_summary(tmp_path)
    RunFiles(tmp_path).summary.unlink()
    RunFiles(tmp_path).summary.symlink_to("/dev/zero")
    with pytest.raises(FileError, match="no plain file"):
        read_summary(tmp_path)
    assert is_plain(Path(__file__))
    assert not is_plain(Path(__file__), most_bytes=10)


def test_run_directories_never_collide(tmp_path):
    made = {make_run_directory(tmp_path / "runs", "cartpole") for _ in range(5)}
    assert len(made) == 5
    assert all(path.is_dir() and "cartpole" in path.name for path in made)


def test_a_name_becomes_a_file_name(tmp_path):
    assert make_run_directory(tmp_path, "a/b c").parent == tmp_path


def test_a_parent_that_is_a_file(tmp_path):
    (tmp_path / "runs").write_text("")
    with pytest.raises(FileError, match="--run-dir"):
        make_run_directory(tmp_path / "runs", "x")


def test_the_folder_that_is_chosen(tmp_path):
    named, old, parent = tmp_path / "named", tmp_path / "old", tmp_path / "runs"
    (old / "checkpoints").mkdir(parents=True)

    def choose(given, resume):
        with chosen_run_directory(given, resume, parent=parent, stem="x") as chosen:
            assert given is not None or chosen.is_dir()
            return chosen

    for useless in (old, tmp_path / "nowhere", Path(__file__)):
        with pytest.raises(FileError, match=r"--resume is .*no run directory with a checkpoint"):
            choose(named, useless)
    assert not named.exists()
    (old / "checkpoints" / "update-000000001.pt").touch()
    assert choose(named, old) == named
    assert not named.exists(), "it is made when the run begins"
    assert choose(None, old) == old
    assert choose(None, None).parent == parent
    assert not any(parent.iterdir()), "nothing was written to it"


def test_a_new_folder_stays_once_something_is_in_it(tmp_path):
    with chosen_run_directory(None, None, parent=tmp_path, stem="x") as chosen:
        (chosen / "something").touch()
    assert chosen.is_dir()


@pytest.mark.parametrize("name", ["config", "metrics", "evaluations", "summary", "best"])
def test_what_training_leaves_makes_a_run(tmp_path, name):
    files = RunFiles(tmp_path)
    getattr(files, name).touch()
    assert files.results() == [getattr(files, name)]


def test_addresses_logs_locks_and_starts_alone_are_no_run(tmp_path):
    files = RunFiles(tmp_path)
    files.logs.mkdir()
    files.checkpoints.mkdir()
    for path in (files.endpoints, files.lock, files.launch_lock, files.learner_epoch,
                 files.log_of("memory"), tmp_path / "notes.txt"):  # fmt: skip
        path.touch()
    assert files.results() == []
    (files.checkpoints / "update-000000001.pt").touch()
    assert files.results() == [files.checkpoints / "update-000000001.pt"]
