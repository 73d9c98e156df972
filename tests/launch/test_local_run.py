"""The supervisor, with small scripts in place of roles: starts, restarts, ends, leaves nothing."""

import json
import signal
import sys
import threading
from pathlib import Path

import pytest

from zdqn.config import Config, LaunchSection, ReplaySection, StopSection
from zdqn.errors import ConfigError, EnvironmentFailedError, RoleFailedError
from zdqn.launch.local_run import LocalRun
from zdqn.launch.placement import ThisMachine
from zdqn.launch.plan import RunArguments
from zdqn.launch.starting import start_locally

SCRIPT = """
import json, os, pathlib, signal, sys, time

role, name, notes = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
behaviour = json.loads((notes / "behaviour.json").read_text()).get(name, {})
starts = notes / (name + ".starts")
count = int(starts.read_text()) if starts.exists() else 0
starts.write_text(str(count + 1))

def report(**message):
    print(json.dumps(message), flush=True)

def read_to_end():
    while os.read(0, 65536):
        pass

def all_started(names):
    while not all((notes / (other + ".assigned")).exists() for other in names):
        time.sleep(0.005)

if not os.read(0, 1):  # never given anything to do
    sys.exit(0)
(notes / (name + ".pid")).write_text(str(os.getpid()))
(notes / (name + ".assigned")).write_text("")
print("hello from", name, file=sys.stderr, flush=True)
if role in ("memory", "learner"):
    link = {"memory": "samples", "learner": "model"}[role]
    report(bound={link: "tcp://127.0.0.1:%d" % os.getpid()})
if count < behaviour.get("deaths", 0):
    all_started(behaviour.get("after", []))
    if "failed" in behaviour:
        report(failed=behaviour["failed"])
    if "ended" in behaviour:
        report(ended=behaviour["ended"])
    if behaviour.get("exit", 70) < 0:
        os.kill(os.getpid(), -behaviour["exit"])
    sys.exit(behaviour.get("exit", 70))
if behaviour.get("stubborn"):
    while True:
        time.sleep(60)
if role == "learner" and "done_after" in behaviour:
    while not all(
        (notes / (other + ".starts")).exists()
        and int((notes / (other + ".starts")).read_text() or 0) >= number
        for other, number in behaviour["done_after"].items()
    ):
        time.sleep(0.005)
    report(ended={"signal": "", "reason": "updates"})
    sys.exit(0)
read_to_end()
if behaviour.get("breaks_at_the_end"):
    sys.exit(70)
"""


GOES_ON = "the run goes on without it"


class Audience:
    """Keeps what it sees, and lets a learner wait until a process has been given up."""

    def __init__(self, folder):
        self.lines = []
        self.followed = []
        self.endings = []
        self._folder = folder

    def log(self, name, line):
        self.lines.append((name, line))
        if name == "run" and GOES_ON in line:
            (self._folder / "given up.starts").write_text("1")

    def follow(self, role, address):
        self.followed.append((role, address))

    def ending(self, reason):
        self.endings.append(reason)

    def said(self):
        return " ".join(line for name, line in self.lines if name == "run")


class Stage:
    """A run of scripts."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.audience = Audience(folder)
        self.stop = threading.Event()
        self.script = folder / "role.py"
        self.script.write_text(SCRIPT)

    def start(self, argv, environment):
        """Start the script in place of a role."""
        words = [*argv[-2:], str(self.folder)]
        return start_locally([sys.executable, "-S", "-E", str(self.script), *words], environment)

    def run(
        self, behaviour, *, collectors=1, evaluators=1, max_restarts=3, storage="ram",
        companion=None, **stop,
    ):  # fmt: skip
        (self.folder / "behaviour.json").write_text(json.dumps(behaviour))
        config = Config(
            launch=LaunchSection(
                collectors=collectors, evaluators=evaluators, max_restarts=max_restarts
            ),
            replay=ReplaySection(storage=storage),
            stop=StopSection(**stop),
        )
        given = RunArguments(run_directory=self.folder / "run")
        with LocalRun(
            ThisMachine(config, given),
            audience=self.audience,
            start=self.start,
            stop=self.stop,
            companion=companion,
        ) as local:
            local.run()

    def starts(self, name):
        path = self.folder / f"{name}.starts"
        return int(path.read_text()) if path.exists() else 0

    def living(self):
        pids = [int(path.read_text()) for path in self.folder.glob("*.pid")]
        return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


@pytest.fixture
def stage(tmp_path):
    stage = Stage(tmp_path)
    before = set(threading.enumerate())
    yield stage
    assert stage.living() == []
    assert not [thread for thread in threading.enumerate() if thread not in before]


ALL_STARTED = {"memory": 1, "collector-0": 1, "evaluator-0": 1}
GIVEN_UP = {"given up": 1}


def test_a_run_ends_with_its_learner(stage):
    stage.run({"learner": {"done_after": ALL_STARTED}})
    endpoints = json.loads((stage.folder / "run" / "endpoints.json").read_text())
    assert set(endpoints) == {"memory", "learner"}
    assert stage.audience.followed == [
        ("memory", endpoints["memory"]["samples"]), ("learner", endpoints["learner"]["model"])
    ]  # fmt: skip
    assert not stage.audience.endings, "nobody asked for it"
    for name in ("memory", "learner"):
        assert f"hello from {name}" in (stage.folder / "run" / "logs" / f"{name}.log").read_text()
    assert ("learner", "hello from learner") in stage.audience.lines


def test_stop_ends_everything(stage):
    stage.stop.set()
    stage.run({})
    for name in ("learner", *ALL_STARTED):
        assert stage.starts(name) == 1
    assert stage.audience.said() == ""  # none was slow to stop, or started again


def test_what_died_by_accident_is_started_again(stage):
    stage.run(
        {"collector-0": {"deaths": 1}, "learner": {"done_after": {"collector-0": 2}}},
    )
    assert stage.starts("collector-0") == 2
    assert (
        "collector-0 ended with exit code 70; starting it again (1 of 3)" in stage.audience.said()
    )


@pytest.mark.parametrize(
    ("storage", "held"), [("ram", "what it held is lost"), ("disk", "it comes back with what it")]
)
def test_a_killed_memory_is_started_again(stage, storage, held):
    stage.run(
        {"memory": {"deaths": 1, "exit": -9}, "learner": {"done_after": {"memory": 2}}},
        storage=storage,
    )
    assert "memory ended with SIGKILL; starting it again" in stage.audience.said()
    assert f"Learner and collectors wait for it; {held}" in stage.audience.said()


BY_SIGNAL = {"deaths": 1, "exit": 0, "ended": {"signal": "SIGTERM", "reason": ""}}
SILENT = {"deaths": 1, "exit": 0}
OVER = {"deaths": 1, "exit": 0, "ended": {"signal": "", "reason": "zdqn stop by somebody"}}


@pytest.mark.parametrize("name", ["memory", "collector-0", "evaluator-0"])
@pytest.mark.parametrize("end", [BY_SIGNAL, SILENT, {"deaths": 1, "exit": 143}])
def test_an_end_that_nobody_asked_for_is_cured_whatever_its_code(stage, name, end):
    stage.run({name: end, "learner": {"done_after": {name: 2}}}, evaluation_return=9.0)
    assert stage.starts(name) == 2
    (line,) = [line for who, line in stage.audience.lines if who == "run"]
    assert line.startswith(f"{name} ")
    assert "; starting it again (1 of 3)" in line
    assert "SIGTERM" in line or "nobody had asked for" in line


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("memory", "without it"),
        ("collector-0", "without any collector"),
        ("evaluator-0", "without any evaluator: stop.evaluation_return is its only end"),
    ],
)
@pytest.mark.parametrize("end", [BY_SIGNAL, SILENT])
def test_such_ends_end_the_run_when_no_restart_is_left(stage, name, what, end):
    with pytest.raises(RoleFailedError, match=rf"{name} .*exit code 0") as caught:
        stage.run({name: end}, max_restarts=0, evaluation_return=9.0)
    assert caught.value.exit_code == 70
    said = stage.audience.said()
    assert f"(launch.max_restarts = 0), and the run cannot go on {what}" in said
    assert "; it may not be started again (" in said
    assert str(caught.value).startswith(said.split(what)[0])
    assert f"Its log is {stage.folder / 'run' / 'logs' / name}.log" in str(caught.value)


def test_without_an_evaluator_a_run_with_a_goal_ends_by_its_other_limits(stage):
    stage.run(
        {
            "evaluator-0": {"deaths": 9, "exit": 76},
            "learner": {"done_after": {**GIVEN_UP, "collector-0": 1}},
        },
        evaluation_return=9.0,
        updates=5,
    )
    assert "it, and cannot reach stop.evaluation_return, as nobody" in stage.audience.said()
    assert "only stop.updates ends it" in stage.audience.said()


def test_a_memory_that_was_asked_to_stop_ends_the_run_well(stage):
    stage.run({"memory": {**OVER, "after": ["learner", "collector-0"]}})
    assert (
        stage.audience.said() == "memory was asked to stop (zdqn stop by somebody); the run ends."
    )
    assert stage.starts("memory") == 1


@pytest.mark.parametrize("name", ["collector-0", "evaluator-0"])
def test_those_that_were_told_of_the_end_are_not_started_again(stage, name):
    stage.run(
        {name: OVER, "memory": {**OVER, "after": ["learner", name]}},
        evaluation_return=9.0,
    )
    assert stage.starts(name) == 1
    assert name not in stage.audience.said()


def test_a_learner_that_a_signal_ended_ends_the_run_well(stage):
    stage.run({"learner": {**BY_SIGNAL, "after": ["collector-0"]}})
    assert "learner was told to end by SIGTERM" in stage.audience.said()
    assert "the run ends with it" in stage.audience.said()


def test_a_learner_that_ends_without_a_word_has_failed(stage):
    with pytest.raises(RoleFailedError, match=r"learner ended with exit code 0 .* no reason"):
        stage.run({"learner": SILENT})


def test_what_breaks_while_the_run_ends_is_said(stage):
    stage.run(
        {
            "learner": {"done_after": ALL_STARTED},
            "collector-0": {"breaks_at_the_end": True},
        }
    )
    assert "collector-0 ended with exit code 70 while the run was ending" in stage.audience.said()


FAILED = {"kind": "ConfigError", "message": "environment.id is wrong", "traceback": "Traceback"}


def test_a_mistake_is_not_repeated_and_ends_the_run(stage):
    with pytest.raises(ConfigError, match=r"environment\.id is wrong"):
        stage.run({"collector-0": {"deaths": 9, "exit": 78, "failed": FAILED}})
    assert stage.starts("collector-0") == 1
    assert "Traceback" in (stage.folder / "run" / "logs" / "collector-0.log").read_text()


def test_the_run_goes_on_while_one_collector_lives(stage):
    stage.run(
        {
            "collector-0": {"deaths": 9, "exit": 78, "failed": FAILED},
            "learner": {"done_after": {**GIVEN_UP, "collector-1": 1, "evaluator-0": 1}},
        },
        collectors=2,
    )
    assert f"collector-0 ended with exit code 78; {GOES_ON}" in stage.audience.said()
    assert stage.starts("collector-0") == stage.starts("collector-1") == 1


def test_the_run_goes_on_without_an_evaluator(stage):
    stage.run(
        {
            "evaluator-0": {"deaths": 9, "exit": 76},
            "collector-0": {"deaths": 1, "after": ["evaluator-0"]},
            "learner": {"done_after": {**GIVEN_UP, "collector-0": 2}},
        },
    )
    assert f"evaluator-0 ended with exit code 76; {GOES_ON}" in stage.audience.said()
    assert stage.starts("evaluator-0") == 1
    assert stage.starts("collector-0") == 2


def test_restarts_come_to_an_end(stage):
    broke = {"kind": "EnvironmentFailedError", "message": "it raised", "traceback": ""}
    with pytest.raises(EnvironmentFailedError, match="it raised"):
        stage.run({"collector-0": {"deaths": 9, "failed": broke}}, max_restarts=1)
    assert stage.starts("collector-0") == 2
    assert "it was started again 1 time already (launch.max_restarts = 1)" in stage.audience.said()


def test_the_learners_error_is_the_runs_error(stage):
    with pytest.raises(ConfigError, match=r"environment\.id is wrong"):
        stage.run({"learner": {"deaths": 1, "exit": 78, "failed": FAILED}})
    assert stage.starts("learner") == 1


def test_a_killed_learner_ends_the_run(stage):
    with pytest.raises(RoleFailedError, match=r"(?s)SIGKILL.*hello from learner") as caught:
        stage.run({"learner": {"deaths": 1, "exit": -9}})
    assert caught.value.exit_code == 70


def test_processes_that_do_not_stop_are_ended(stage, monkeypatch):
    monkeypatch.setattr("zdqn.launch.local_run.GRACE_S", 0.2)
    monkeypatch.setattr("zdqn.launch.local_run._OTHERS_STOP_S", 0.2)
    stage.stop.set()
    monkeypatch.setattr(LocalRun, "_ask_to_stop", ask_once_all_are_assigned(stage))
    with pytest.raises(RoleFailedError, match="SIGKILL"):
        stage.run({name: {"stubborn": True} for name in ("memory", "learner", "collector-0")})
    assert "the learner did not stop in time" in stage.audience.said()
    assert "ending memory, collector-0" in stage.audience.said()


def ask_once_all_are_assigned(stage):
    original = LocalRun._ask_to_stop

    def ask(self, reason):
        names = ("memory", "learner", "collector-0", "evaluator-0")
        if all((stage.folder / f"{name}.assigned").exists() for name in names):
            original(self, reason)

    return ask


def test_an_interrupt_ends_the_run_cleanly_first(stage, monkeypatch):
    interrupted: list[bool] = []
    original = LocalRun._take_event

    def interrupt_once(self):
        if stage.starts("collector-0") and not interrupted:
            interrupted.append(True)
            raise KeyboardInterrupt
        original(self)

    monkeypatch.setattr(LocalRun, "_take_event", interrupt_once)
    with pytest.raises(KeyboardInterrupt):
        stage.run({})
    assert interrupted


class Striker:
    """Ends a process again and again, each time that it has something to do."""

    def __init__(self, folder, name, number, times):
        self._folder, self._name, self._number, self._left = folder, name, number, times
        self.endpoints = []
        self._struck = None

    def advance(self, run):
        child = run.living.get(self._name)
        if "memory" in run.endpoints:
            self.endpoints.append(dict(run.endpoints["memory"]))
        marks = (self._folder / f"{self._name}.assigned", self._folder / f"{self._name}.starts")
        if child is None or child is self._struck or not self._left or not marks[0].exists():
            return
        marks[0].unlink()
        self._left -= 1
        self._struck = child
        child.strike(self._number)


@pytest.mark.parametrize("name", ["memory", "learner", "collector-0", "evaluator-0"])
def test_what_is_ended_on_purpose_is_started_again_whatever_is_left_of_its_restarts(stage, name):
    striker = Striker(stage.folder, name, signal.SIGKILL, 3)
    stage.run(
        {"learner": {"done_after": {**ALL_STARTED, name: 4}}},
        max_restarts=0,
        companion=striker,
        evaluation_return=9.0,
    )
    assert stage.starts(name) == 4
    assert stage.audience.said() == "", "whoever ends it says so"


def test_one_that_ends_by_itself_still_has_its_restarts_alone(stage):
    striker = Striker(stage.folder, "memory", signal.SIGKILL, 2)
    with pytest.raises(RoleFailedError, match="without any collector"):
        stage.run(
            {"collector-0": {"deaths": 9, "after": ["learner"]}}, max_restarts=1, companion=striker
        )
    assert stage.starts("collector-0") == 2


def test_a_learner_that_was_to_be_started_again_ends_the_run_if_that_was_asked_to_end(stage):
    class Ender(Striker):
        def advance(self, run):
            super().advance(run)
            if not self._left and "learner" not in run.living:
                stage.stop.set()

    stage.run({}, companion=Ender(stage.folder, "learner", signal.SIGKILL, 1))
    assert stage.starts("learner") == 1


def test_a_learner_that_was_struck_just_before_the_run_was_asked_to_end_is_no_failure(stage):
    class Ender(Striker):
        def advance(self, run):
            super().advance(run)
            if not self._left:  # its end has not been heard of yet
                stage.stop.set()

    stage.run({}, companion=Ender(stage.folder, "learner", signal.SIGKILL, 1))
    assert stage.starts("learner") == 1
    assert len(stage.audience.endings) == 1
