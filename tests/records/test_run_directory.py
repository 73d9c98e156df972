import csv
import json
import os
import re
import stat
from pathlib import Path

import pytest

from zdqn.data import EvaluationScores
from zdqn.errors import FileError
from zdqn.records.run_directory import EVALUATION_COLUMNS, RunDirectory
from zdqn.records.snapshots import Evaluation, FrozenSnapshot
from zdqn.wire.status import MetricsRow


@pytest.fixture
def directory(tmp_path):
    return RunDirectory(tmp_path / "runs" / "one")


def make_evaluation(number, evaluator="evaluator-0@host"):
    snapshot = FrozenSnapshot(number, 1 << 32, 500, 60, 7, 1.23456, {})
    scores = EvaluationScores((1.0, 3.0), (10, 20))
    return Evaluation(snapshot, scores, evaluator, 0.98765)


def test_the_folder_is_made_with_its_parents_for_its_owner_alone(directory):
    assert stat.S_IMODE(directory.path.stat().st_mode) == 0o700
    RunDirectory(directory.path)  # again is fine
    assert directory.checkpoints == directory.path / "checkpoints"
    assert directory.best == directory.path / "best.pt"


def test_a_folder_that_cannot_be_made_is_refused_by_name(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match=f"{tmp_path / 'file'}.*--run-dir"):
        RunDirectory(tmp_path / "file")
    with pytest.raises(FileError, match="--run-dir"):
        RunDirectory(tmp_path / "file" / "below")


def test_a_folder_that_may_not_be_written_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: False)  # root may write everywhere
    with pytest.raises(FileError, match="not writable"):
        RunDirectory(tmp_path)


def test_metrics_are_json_lines_that_are_on_disk_at_once(directory):
    directory.add_metrics(MetricsRow(updates=1, loss=0.5))
    row = json.loads((directory.path / "metrics.jsonl").read_text())
    assert list(row) == list(MetricsRow.__struct_fields__)
    assert (row["updates"], row["loss"], row["q_mean"]) == (1, 0.5, None)
    directory.add_metrics(MetricsRow(updates=2))
    lines = (directory.path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["updates"] for line in lines] == [1, 2]


def test_evaluations_have_one_header_even_over_a_restart(directory):
    directory.add_evaluation(make_evaluation(0))
    RunDirectory(directory.path).add_evaluation(make_evaluation(1, 'a "name", with commas'))
    with (directory.path / "evaluations.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == EVALUATION_COLUMNS
    assert rows[0] == {
        "snapshot": "0", "environment_steps": "500", "updates": "60", "episodes_trained": "7",
        "wall_s": "1.235", "mean": "2.0", "deviation": "1.0", "minimum": "1.0", "maximum": "3.0",
        "length_mean": "15.0", "episodes": "2", "duration_s": "0.988",
        "evaluator": "evaluator-0@host", "cut": "0",
    }  # fmt: skip
    assert rows[1]["evaluator"] == 'a "name", with commas'
    assert len(rows) == 2


@pytest.fixture
def full_disk(monkeypatch):
    """Make the disk full after so many bytes; give a way to make room again."""
    write = os.write

    def fill_up(room):
        left = [room]

        def write_some(descriptor, data):
            if left[0] == 0:
                raise OSError(28, "No space left on device")
            written = write(descriptor, data[: left[0]])
            left[0] -= written
            return written

        monkeypatch.setattr("zdqn.records.run_directory.os.write", write_some)
        return lambda: monkeypatch.setattr("zdqn.records.run_directory.os.write", write)

    return fill_up


@pytest.mark.parametrize("room", [0, 10, 300])
@pytest.mark.parametrize("earlier", [0, 1])
def test_a_line_is_written_whole_or_not_at_all_and_the_header_is_always_first(
    directory, full_disk, room, earlier
):
    for number in range(earlier):
        directory.add_evaluation(make_evaluation(number))
        directory.add_metrics(MetricsRow(updates=number))
    before = directory.evaluations.read_bytes() if earlier else b""
    for add, path in (
        (lambda: directory.add_evaluation(make_evaluation(1, "e" * 300)), directory.evaluations),
        (lambda: directory.add_metrics(MetricsRow(updates=1)), directory.metrics),
    ):
        make_room = full_disk(room)
        with pytest.raises(FileError, match=f"{path.name}: No space left"):
            add()
        make_room()
        add()
    assert directory.evaluations.read_bytes().startswith(before)
    with directory.evaluations.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["snapshot"]) for row in rows] == [*range(earlier), 1]
    lines = directory.metrics.read_text().splitlines()
    assert [json.loads(line)["updates"] for line in lines] == [*range(earlier), 1]


@pytest.mark.parametrize("left", ["", "snapshot,environ", None])
def test_what_a_killed_process_left_half_written_is_cut_off(directory, left):
    """Nothing, half a header, or half a line that is longer than what is read at once."""
    if left is None:
        directory.add_evaluation(make_evaluation(0))
        left = directory.evaluations.read_bytes().decode() + "1,500," + "9" * 10_000
    with directory.evaluations.open("w", newline="") as file:
        file.write(left)
    directory.add_evaluation(make_evaluation(2))
    with directory.evaluations.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[-1]) == EVALUATION_COLUMNS
    assert rows[-1]["snapshot"] == "2"
    assert len(rows) == 1 + (len(left) > 1000)


def test_the_snapshots_that_were_evaluated_are_those_that_are_written_down(directory):
    assert directory.evaluated_snapshots() == []
    for number in (0, 2, 1):
        directory.add_evaluation(make_evaluation(number))
    with directory.evaluations.open("ab") as file:
        file.write(b'\n\xff,\nx,1\n3,"half')
    assert directory.evaluated_snapshots() == [0, 2, 1, 3]


def test_config_and_summary_are_replaced_whole(directory):
    directory.write_config("a = 1\n")
    directory.write_config("a = 2\n")
    directory.write_summary({"updates": 3})
    assert (directory.path / "config.toml").read_text() == "a = 2\n"
    assert json.loads((directory.path / "summary.json").read_text()) == {"updates": 3}
    assert sorted(path.name for path in directory.path.iterdir()) == ["config.toml", "summary.json"]


def test_every_start_of_a_learner_has_a_higher_epoch(directory):
    assert directory.next_learner_epoch() == 1
    assert directory.next_learner_epoch() == 2
    assert RunDirectory(directory.path).next_learner_epoch() == 3


def test_a_damaged_epoch_is_refused_as_it_could_make_a_learner_older(directory):
    (directory.path / "learner_epoch").write_text("many")
    with pytest.raises(FileError, match="learner_epoch"):
        directory.next_learner_epoch()


def test_a_full_disk_leaves_the_old_file_and_no_other(directory, monkeypatch):
    directory.write_summary({"old": True})

    def full(self, text, **options):
        self.open("w").close()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(FileError, match=r"summary.json: No space left on device"):
        directory.write_summary({"new": True})
    monkeypatch.undo()
    assert json.loads((directory.path / "summary.json").read_text()) == {"old": True}
    assert [path.name for path in directory.path.iterdir()] == ["summary.json"]


@pytest.mark.parametrize("name", ["metrics.jsonl", "evaluations.csv", "summary.json"])
def test_a_file_that_cannot_be_written_is_named(directory, name):
    (directory.path / name).mkdir()
    with pytest.raises(FileError, match=name):
        {
            "metrics.jsonl": lambda: directory.add_metrics(MetricsRow()),
            "evaluations.csv": lambda: directory.add_evaluation(make_evaluation(0)),
            "summary.json": lambda: directory.write_summary({}),
        }[name]()


def test_a_run_keeps_its_identity_and_shares_it_with_no_other(tmp_path):
    same_name = [RunDirectory(tmp_path / parent / "run") for parent in ("a", "b")]
    first, second = (directory.run_id() for directory in same_name)
    assert first != second
    assert first.startswith("run-")
    assert second.startswith("run-")
    assert RunDirectory(tmp_path / "a" / "run").run_id() == first


@pytest.mark.parametrize("name", ["with blank", "line\nfeed", "x" * 250, "\x1b[2J", "ü"])
def test_an_identity_can_be_said_whatever_the_folder_is_called(tmp_path, name):
    identity = RunDirectory(tmp_path / name).run_id()
    assert len(identity) <= 110
    assert re.fullmatch(r"[A-Za-z0-9_.-]+", identity)


@pytest.mark.parametrize("text", ["two words\n", "run", "\x1b[2J-01234567"])
def test_a_damaged_identity_is_refused_as_others_would_be_taken_for_this_run(tmp_path, text):
    (tmp_path / "run_id").write_text(text)
    with pytest.raises(FileError, match="run_id"):
        RunDirectory(tmp_path).run_id()
