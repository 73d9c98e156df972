"""Who is started when, what becomes of those that end: with processes that a test ends."""

import pytest

from tests.experiments.made_runs import make_run
from tests.experiments.studies.made_studies import make_plan
from zdqn.experiments.studies.study_folder import StudyFiles
from zdqn.experiments.studies.study_runner import StudyRunner
from zdqn.records.run_lock import RunLock
from zdqn.stopping import StopEvent


class FakeProcess:
    """Runs until it is asked for its exit code so often, and leaves a run behind if that is 0."""

    def __init__(self, world, config, run_directory, *, resume, looks, code):
        self.world, self.directory, self.resume = world, run_directory, resume
        self.name = f"{run_directory.parent.name}/{run_directory.name}"
        self.looks, self.code = looks, code
        self.asked = self.killed = False

    def poll(self):
        self.looks -= 1
        if self.looks > 0 and not self.asked:
            return None
        if self.code == 0:
            make_run(self.directory, [1, 2], stop_reason="stopped" if self.asked else "updates")
        return self.code

    def ask_to_stop(self):
        self.asked = True

    def kill(self):
        self.killed = True


class World:
    """Starts fake processes, and hears what is said of them."""

    def __init__(self, tmp_path):
        self.files = StudyFiles(tmp_path)
        self.started, self.most, self.said, self.views = [], 0, [], []
        self.codes, self.looks = {}, 2
        self.stop = StopEvent()
        self.on_view = lambda view: None

    def start(self, command, config, run_directory, *, resume, log):
        name = f"{run_directory.parent.name}/{run_directory.name}"
        log.write_text("first words\nlast words\n")
        process = FakeProcess(
            self, config, run_directory, resume=resume, looks=self.looks,
            code=self.codes.get(name, 0),
        )  # fmt: skip
        self.started.append(process)
        return process

    def show(self, view):
        self.most = max(self.most, len(view.running))
        self.views.append(view)
        self.on_view(view)

    def say(self, text):
        self.said.append(text)

    def train(self, plan, jobs=1, **given):
        with StudyRunner(
            plan, self.files, jobs=jobs, audience=self, stop=self.stop, start=self.start, **given
        ) as runner:
            runner.train()
        return runner

    def names(self):
        return [process.name for process in self.started]


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.setattr("zdqn.experiments.studies.study_runner._LOOK_S", 0.001)
    return World(tmp_path)


def test_all_runs_are_trained_in_the_order_of_the_plan(world):
    runner = world.train(make_plan())
    assert world.names() == ["a/seed-0", "b/seed-0", "a/seed-1", "b/seed-1"]
    assert runner.failed == {}
    assert world.views[-1].done == 4
    assert world.views[-1].share == 1


@pytest.mark.parametrize("jobs", [1, 2, 3, 9])
def test_so_many_go_at_once(world, jobs):
    world.looks = 5
    world.train(make_plan(seeds=(0, 1, 2)), jobs)
    assert world.most == min(jobs, 6)


def test_finished_runs_are_kept_and_others_are_begun_again(world):
    plan = make_plan()
    make_run(world.files.run_directory(plan.runs()[0]), [1, 2])
    make_run(world.files.run_directory(plan.runs()[1]), [1, 2], stop_reason=None)
    world.train(plan)
    assert world.names() == ["b/seed-0", "a/seed-1", "b/seed-1"]
    assert world.said[0] == "1 of 4 runs were finished before; kept"
    assert not any(process.resume for process in world.started)


def test_one_that_was_cut_off_goes_on_if_the_study_says_so(world):
    plan = make_plan(unfinished="resume")
    directory = make_run(world.files.run_directory(plan.runs()[0]), [1, 2], stop_reason="SIGTERM")
    (directory / "checkpoints").mkdir()
    (directory / "checkpoints" / "update-000000001.pt").touch()
    world.train(plan)
    assert [process.resume for process in world.started] == [True, False, False, False]
    assert "a/seed-0 goes on" in world.said


def test_a_run_that_fails_is_named_with_its_last_lines_and_the_others_go_on(world):
    world.codes["b/seed-0"] = 70
    world.codes["a/seed-1"] = -9
    runner = world.train(make_plan())
    assert len(world.started) == 4
    assert list(runner.failed) == ["b/seed-0", "a/seed-1"]
    words = "\n".join(world.said)
    assert "b/seed-0 failed: it ended with exit code 70; its log ends with:" in words
    assert "\n  last words" in words
    assert "a/seed-1 failed: it ended with SIGKILL" in words


def test_a_run_that_ends_well_without_having_come_to_its_end_has_failed(world, monkeypatch):
    monkeypatch.setattr(FakeProcess, "poll", lambda self: 0)
    runner = world.train(make_plan(names=("a",), seeds=(0,)))
    assert "nobody had asked for" in runner.failed["a/seed-0"]


def test_a_run_that_cannot_be_started_has_failed(world):
    def start(*_, **__):
        raise OSError("no room")

    world.start = start
    assert world.train(make_plan(seeds=(0,))).failed == {
        "a/seed-0": "no room",
        "b/seed-0": "no room",
    }


def test_when_it_is_asked_to_stop_all_end_cleanly_and_none_is_begun(world):
    world.looks = 10**9
    world.on_view = lambda view: view.running and world.stop.set_for("SIGINT")
    runner = world.train(make_plan(), jobs=2)
    assert world.names() == ["a/seed-0", "b/seed-0"]
    assert all(process.asked and not process.killed for process in world.started)
    assert runner.failed == {}
    assert world.views[-1].ending == "SIGINT"


def test_one_that_breaks_as_it_is_stopped_has_failed(world):
    world.looks, world.codes["a/seed-0"] = 10**9, 74
    world.on_view = lambda view: view.running and world.stop.set_for("SIGINT")
    assert list(world.train(make_plan()).failed) == ["a/seed-0"]


def test_an_error_leaves_no_process_behind(world):
    world.looks = 10**9

    def broken(view):
        raise RuntimeError("the screen broke")

    world.on_view = broken
    with pytest.raises(RuntimeError):
        world.train(make_plan(), jobs=2)
    assert len(world.started) == 2
    assert all(process.killed for process in world.started)


def test_a_run_waits_for_who_still_writes_to_its_folder(world):
    plan = make_plan(names=("a",))
    directory = world.files.run_directory(plan.runs()[0])
    directory.mkdir(parents=True)
    lock = RunLock(directory / ".run.lock")
    try:
        world.on_view = lambda view: lock.close() if view.finished else None
        world.train(plan)
    finally:
        lock.close()
    assert world.names() == ["a/seed-1", "a/seed-0"]
    assert sum("a/seed-0 waits for" in words for words in world.said) == 1


def test_it_does_not_wait_for_ever(world):
    plan = make_plan(names=("a",))
    directory = world.files.run_directory(plan.runs()[0])
    directory.mkdir(parents=True)
    with RunLock(directory / ".run.lock"):
        runner = world.train(plan, patience_s=0)
    assert world.names() == ["a/seed-1"]
    assert "is in use by" in runner.failed["a/seed-0"]


def test_it_knows_how_far_a_run_is(world):
    plan = make_plan(names=("a",), seeds=(0,))

    def look(view):
        directory = world.files.run_directory(plan.runs()[0])
        make_run(directory, [1, 2, 3], steps_apart=100, stop_reason=None)

    world.on_view = look
    world.looks = 4
    world.train(plan)
    assert 0.5 in [run.share for view in world.views for run in view.running]
    assert 3 in [run.evaluation for view in world.views for run in view.running]
