"""Run directories never collide, and their files have names that no other place knows."""

import re
from pathlib import Path

import pytest

from zdqn.errors import FileError
from zdqn.records.run_files import (
    RunFiles,
    choose_run_directory,
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


@pytest.mark.parametrize("text", ["", "{", "half"])
def test_a_spoiled_summary_is_named_and_a_missing_one_is_empty(tmp_path, text):
    assert read_summary(tmp_path) == {}
    RunFiles(tmp_path).summary.write_text(text)
    with pytest.raises(FileError, match=r"summary\.json"):
        read_summary(tmp_path)


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
        return choose_run_directory(given, resume, parent=parent, stem="x")

    for useless in (old, tmp_path / "nowhere", Path(__file__)):
        with pytest.raises(FileError, match=r"--resume is .*no run directory with a checkpoint"):
            choose(named, useless)
    assert not named.exists()
    (old / "checkpoints" / "update-000000001.pt").touch()
    assert choose(named, old) == named
    assert named.is_dir()
    assert choose(None, old) == old
    assert choose(None, None).parent == parent
