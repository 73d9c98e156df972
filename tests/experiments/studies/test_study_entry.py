"""A study from its plan to its pictures, with real trainings; killed, stopped, and gone on with."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

import zdqn
from tests.experiments.studies.made_studies import make_plan, make_study
from tests.launch.sheets import Sheet
from zdqn.errors import MismatchError
from zdqn.experiments.studies import study_entry
from zdqn.experiments.studies.study_entry import carry_out, cores
from zdqn.experiments.studies.study_folder import RunState, StudyFiles, describe_writer, state_of
from zdqn.experiments.studies.study_outcomes import read_outcome
from zdqn.experiments.studies.study_plan import load_study, plan_study
from zdqn.stopping import StopEvent

DEADLINE_S = 120
ROOT = Path(__file__).parents[3]

HELD = '''
"""CartPole whose steps take half a second as long as a file is there."""
import time
from pathlib import Path
import gymnasium

class Held(gymnasium.Wrapper):
    def __init__(self, env, hold):
        super().__init__(env)
        self.hold = hold

    def step(self, action):
        if self.hold and Path(self.hold).exists():
            time.sleep(0.5)
        return super().step(action)

def make(hold=""):
    return Held(gymnasium.make("CartPole-v1", max_episode_steps=20), hold)
'''

BASE = """
[environment]
id = "held:make"
[stop]
environment_steps = 400
[network]
hidden = [8]
[replay]
min_size = 32
capacity = 500
samples_per_insert = 2.0
[evaluator]
episodes = 1
environments = 1
period_environment_steps = 200
"""

STUDY = """
config = "base.toml"
seeds = [0]
[[variants]]
name = "quick"
[[variants]]
name = "held"
set = { environment.kwargs = { hold = "hold" } }
"""


def test_results_of_what_is_trained_already_are_drawn_anew(tmp_path):
    plan, files = make_study(tmp_path / "s", {"a": [[1, 5]], "b": [[2, 6]]}, threshold=5.0)
    end = carry_out(plan, files.path, stop=StopEvent())
    assert end.results == files.results
    assert not end.failed
    assert not end.stopped
    assert {path.name for path in files.path.glob("*.csv")} == {
        "runs.csv", "evaluations.csv", "curves.csv", "variants.csv"
    }  # fmt: skip
    assert "2 of 2 runs" in files.results.read_text()


def test_a_folder_of_another_study_is_left_as_it_is(tmp_path):
    _, files = make_study(tmp_path / "s", {"a": [[1, 5]]})
    with pytest.raises(MismatchError):
        carry_out(make_plan(overrides=["replay.capacity=400"]), files.path, stop=StopEvent())
    assert not files.results.exists()


def test_one_that_is_stopped_at_once_says_that_there_is_more(tmp_path):
    stop = StopEvent()
    stop.set_for("SIGINT")
    end = carry_out(make_plan(), tmp_path / "s", jobs=1, stop=stop)
    assert end.stopped
    assert end.results is None
    assert len(end.outcome.unfinished) == 4


def test_jobs_are_chosen_from_the_cores(tmp_path, monkeypatch):
    chosen = []

    class Runner:
        failed: Mapping[str, str] = MappingProxyType({})

        def __init__(self, *_, jobs, **__):
            chosen.append(jobs)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def train(self):
            pass

    monkeypatch.setattr(study_entry, "StudyRunner", Runner)
    monkeypatch.setattr(study_entry, "cores", lambda: 3)
    carry_out(make_plan(), tmp_path / "s", stop=StopEvent())
    carry_out(make_plan(), tmp_path / "s", jobs=7, stop=StopEvent())
    assert chosen == [3, 7]


def test_there_is_a_core():
    assert cores() >= 1


# --- real processes -----------------------------------------------------------------------------


class Studying:
    """`zdqn study` in processes of its own, in a folder."""

    def __init__(self, folder):
        self.folder, self.started = folder, []
        (folder / "held.py").write_text(HELD)
        (folder / "base.toml").write_text(BASE)
        (folder / "study.toml").write_text(STUDY)

    def begin(self, *words):
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "zdqn", "study", "study.toml", "--study-dir", "s", *words],
            cwd=self.folder, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        self.started.append(process)
        return process

    def run(self, variant):
        return self.folder / "s" / "runs" / variant / "seed-0"

    def wait_for(self, condition, process=None):
        end_s = time.monotonic() + DEADLINE_S
        while not condition():
            assert process is None or process.poll() is None, process.communicate()[0]
            assert time.monotonic() < end_s, "it did not come in time"
            time.sleep(0.02)

    def close(self):
        for process in self.started:
            if process.poll() is None:
                process.kill()
                process.communicate()
        (self.folder / "hold").unlink(missing_ok=True)
        for variant in ("quick", "held"):
            self.wait_for(lambda name=variant: not describe_writer(self.run(name)))


@pytest.fixture
def studying(tmp_path):
    made = Studying(tmp_path)
    yield made
    made.close()


@pytest.mark.timeout(500)
def test_a_study_that_is_killed_and_then_stopped_goes_on(studying):
    """The first run is over, and the second goes on, when the study is killed and interrupted."""
    (studying.folder / "hold").touch()
    killed = studying.begin("--jobs", "1")
    studying.wait_for(lambda: state_of(studying.run("quick")) is RunState.FINISHED, killed)
    kept = (studying.run("quick") / "summary.json").stat().st_mtime_ns
    studying.wait_for((studying.run("held") / "config.toml").exists, killed)
    killed.kill()
    killed.communicate()
    studying.wait_for(lambda: not describe_writer(studying.run("held")))  # it ends by itself
    assert state_of(studying.run("held")) is RunState.CUT_OFF

    began = (studying.run("held") / "config.toml").stat().st_mtime_ns
    stopped = studying.begin()
    studying.wait_for(lambda: is_newer(studying.run("held") / "config.toml", began), stopped)
    stopped.send_signal(signal.SIGINT)
    output, _ = stopped.communicate(timeout=DEADLINE_S)
    assert stopped.returncode == 130, output
    assert "1 runs are left; the same command again goes on." in output
    assert "quick  final return" in output

    (studying.folder / "hold").unlink()
    last = studying.begin()
    output, _ = last.communicate(timeout=DEADLINE_S)
    assert last.returncode == 0, output
    assert "1 of 2 runs were finished before; kept" in output
    assert (studying.run("quick") / "summary.json").stat().st_mtime_ns == kept
    results = (studying.folder / "s" / "results.md").read_text()
    assert "2 of 2 runs" in results
    assert "Missing" not in results

    (studying.folder / "base.toml").write_text(BASE.replace("capacity = 500", "capacity = 501"))
    changed = studying.begin()
    output, _ = changed.communicate(timeout=DEADLINE_S)
    assert changed.returncode == 76, output
    assert "quick: replay.capacity was 500 and is 501" in " ".join(output.split())


def is_newer(path, before):
    return path.exists() and path.stat().st_mtime_ns > before


@pytest.mark.timeout(300)
def test_a_study_of_runs_of_several_processes_at_once(tmp_path):
    """Two at once do not want the same ports; one that cannot work is named, and the other ends."""
    (tmp_path / "base.toml").write_text(
        BASE.replace('id = "held:make"', "max_episode_steps = 20") + "[launch]\ncollectors = 1\n"
    )
    text = STUDY.replace('{ hold = "hold" }', "{ nonsense = 1 }")
    (tmp_path / "study.toml").write_text(
        'command = "run"\n' + text + '[[variants]]\nname = "double"\n'
        "set = { algorithm.double = true }\n"
    )
    path = tmp_path / "study.toml"
    plan = plan_study(load_study(path), path)
    end = carry_out(plan, tmp_path / "s", jobs=2, stop=StopEvent())
    assert list(end.failed) == ["held/seed-0"]
    assert "nonsense" in (tmp_path / "s" / "logs" / "held-seed-0.log").read_text()
    assert end.outcome.unfinished == ("held/seed-0",)
    assert not end.stopped
    files = StudyFiles(tmp_path / "s")
    for run in plan.runs():
        if run.variant != "held":
            result = zdqn.RunResult.open(files.run_directory(run))
            assert result.environment_steps >= 400
    assert "**Missing**: held/seed-0" in files.results.read_text()


def test_what_is_drawn_of_many_runs_is_waited_for_in_sight(tmp_path, monkeypatch):
    plan, files = make_study(tmp_path / "s", {"a": [[1, 5]], "b": [[2, 6]]}, threshold=5.0)
    canvas, read = Sheet(), read_outcome
    monkeypatch.setattr("zdqn.launch.waiting.choose_canvas", lambda: canvas)

    def read_slowly(*given):
        assert canvas.wait()[0].startswith("reading what was trained")
        return read(*given)

    monkeypatch.setattr(study_entry, "read_outcome", read_slowly)
    monkeypatch.setattr(study_entry, "show", lambda *_, **__: files.results)
    assert carry_out(plan, files.path, stop=StopEvent()).results == files.results
    assert canvas.open == 0
