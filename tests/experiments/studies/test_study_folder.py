"""A study's folder: what was begun in it, and how far each of its runs is."""

import json

import pytest

from tests.experiments.made_runs import make_run
from tests.experiments.studies.made_studies import make_plan
from zdqn.config import load_config
from zdqn.errors import FileError, MismatchError, RunDirectoryTakenError
from zdqn.experiments.studies.study_folder import (
    RunState,
    StudyFiles,
    check_record,
    claim,
    describe_writer,
    last_lines,
    make_ready,
    progress_of,
    state_of,
)
from zdqn.records.run_lock import RunLock


@pytest.fixture
def files(tmp_path):
    (tmp_path / "study").mkdir()
    return StudyFiles(tmp_path / "study")


@pytest.fixture
def run():
    return make_plan().runs()[0]


# --- what was begun there -----------------------------------------------------------------------


def test_the_same_study_goes_on(files):
    check_record(files, make_plan())
    check_record(files, make_plan())
    assert json.loads(files.record.read_text()) == make_plan().trained()


def test_what_is_only_looked_at_may_change(files):
    check_record(files, make_plan())
    check_record(files, make_plan(threshold=5.0, baseline="b", final_evaluations=2))


def test_another_study_is_refused_and_says_in_what(files):
    check_record(files, make_plan())
    with pytest.raises(MismatchError) as caught:
        check_record(files, make_plan(command="run", overrides=["algorithm.batch_size=8"]))
    words = str(caught.value)
    assert "command was 'train' and is 'run'" in words
    assert "a: algorithm.batch_size was 32 and is 8" in words
    assert "another --study-dir" in words


@pytest.mark.parametrize("then", [{"seeds": (0, 1, 2)}, {"seeds": (1,)}, {"names": ("a", "b", "c")},
                                  {"names": ("a",)}])  # fmt: skip
def test_seeds_and_variants_may_come_and_go(files, then):
    check_record(files, make_plan())
    check_record(files, make_plan(**then))
    check_record(files, make_plan())


@pytest.mark.parametrize("between", [("c",), ("a",)])
def test_a_variant_that_was_left_out_comes_back_as_it_was_or_not_at_all(files, between):
    check_record(files, make_plan())
    check_record(files, make_plan(names=between))
    with pytest.raises(MismatchError, match=r"b: algorithm\.batch_size was 32 and is 8"):
        check_record(files, make_plan(names=("x", "b"), overrides=["algorithm.batch_size=8"]))


def test_a_long_list_of_differences_is_cut(files):
    check_record(files, make_plan())
    changed = ["algorithm.batch_size=8", "algorithm.discount=0.5", "replay.capacity=5000"]
    with pytest.raises(MismatchError, match=r"and [1-9]\d* more"):
        check_record(files, make_plan(overrides=changed))


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_a_record_that_cannot_be_read_is_named(files, text):
    files.record.write_text(text)
    with pytest.raises(FileError, match=r"study\.json"):
        check_record(files, make_plan())


def test_a_folder_of_something_else_is_left_alone(files):
    (files.path / "runs").mkdir()
    with pytest.raises(FileError, match="but no study"):
        check_record(files, make_plan())
    assert not files.record.exists()


def test_the_folder_of_a_run_is_left_alone(tmp_path):
    make_run(tmp_path / "run", [1])
    with pytest.raises(FileError, match=r"a run.*but no study"):
        check_record(StudyFiles(tmp_path / "run"), make_plan())


def test_one_command_at_a_time(files):
    with claim(files), pytest.raises(RunDirectoryTakenError, match="another --study-dir"):
        claim(files)
    claim(files).close()


# --- runs ---------------------------------------------------------------------------------------


def test_how_far_a_run_is(files, run):
    directory = files.run_directory(run)
    assert state_of(directory) is RunState.WAITING
    make_run(directory, [1, 2], stop_reason=None)
    assert state_of(directory) is RunState.CUT_OFF
    for reason in ("environment_steps", "updates", "episodes", "wall_s", "evaluation_return"):
        make_run(directory, [1, 2], stop_reason=reason)
        assert state_of(directory) is RunState.FINISHED, reason
    for reason in ("SIGINT", "the end of its study", "stopped"):
        make_run(directory, [1, 2], stop_reason=reason)
        assert state_of(directory) is RunState.CUT_OFF, reason


def test_a_summary_that_cannot_be_read_is_none(files, run):
    directory = make_run(files.run_directory(run), [1])
    (directory / "summary.json").write_text("{")
    assert state_of(directory) is RunState.CUT_OFF


def test_a_run_that_begins_anew_leaves_nothing_of_what_was_cut_off(files, run):
    directory = make_run(files.run_directory(run), [1, 2], stop_reason=None)
    (directory / "checkpoints").mkdir()
    (directory / "checkpoints" / "update-000000001.pt").touch()
    assert not make_ready(files, run, resume=False)
    assert not directory.exists()
    assert load_config(files.config(run)) == run.config
    assert files.log(run).parent.is_dir()


def test_a_run_goes_on_where_it_has_a_checkpoint(files, run):
    directory = make_run(files.run_directory(run), [1, 2], stop_reason=None)
    assert not make_ready(files, run, resume=True)  # there is none
    make_run(directory, [1, 2], stop_reason=None)
    (directory / "checkpoints").mkdir()
    (directory / "checkpoints" / "update-000000001.pt").touch()
    assert make_ready(files, run, resume=True)
    assert (directory / "evaluations.csv").exists()


def test_who_writes_there_is_named(files, run):
    directory = files.run_directory(run)
    assert describe_writer(directory) == ""
    directory.mkdir(parents=True)
    with RunLock(directory / ".run.lock"):
        assert "process" in describe_writer(directory)
    assert describe_writer(directory) == ""
    with RunLock(directory / ".launch.lock"):
        assert "process" in describe_writer(directory)


def test_the_last_lines_of_a_log(tmp_path):
    path = tmp_path / "log"
    assert last_lines(path) == []
    path.write_text("".join(f"line {number}\n\n" for number in range(5_000)))
    assert last_lines(path, 2) == ["line 4998", "line 4999"]


def test_progress_is_that_to_the_nearest_end(files, tmp_path):
    run = make_plan(overrides=["stop.updates=100"]).runs()[0]
    directory = files.run_directory(run)
    assert progress_of(run, directory) == 0
    make_run(directory, [1, 2, 3], steps_apart=100)  # 300 of 600 steps, 30 of 100 updates
    assert progress_of(run, directory) == 0.5
    with (directory / "metrics.jsonl").open("a") as file:
        file.write('{"environment_steps": 59')  # is being written
    assert progress_of(run, directory) == 0.5
    make_run(directory, [1] * 9, steps_apart=100)
    assert progress_of(run, directory) == 1
