"""The parent's side of a process, over one that a test makes up: it could run anywhere."""

import io
import json
import queue
import signal
import threading

import pytest

from zdqn.config import Config, RunSection
from zdqn.errors import ConfigError, RoleFailedError
from zdqn.launch.child_main import Assignment, read_assignment
from zdqn.launch.child_process import Bound, ChildProcess, Ended, SinksTold
from zdqn.launch.plan import LastWord, PlannedProcess

WAIT_S = 60.0
PLANNED = PlannedProcess("memory", "memory", {"THREADS": "1"})
ASSIGNMENT = Assignment(Config(run=RunSection(seed=3)), {"bind": None}, "info")


class FakeProcess:
    """Says what a test has it say, until it is ended."""

    def __init__(self):
        self.given = b""
        self.input_closed = False
        self.kills = 0
        self.broken = False
        self.output: queue.Queue[bytes | None] = queue.Queue()
        self.errors: queue.Queue[bytes | None] = queue.Queue()
        self._exit_code = 0
        self._ended = threading.Event()

    def end(self, exit_code=0):
        self._exit_code = exit_code
        self.output.put(None)
        self.errors.put(None)
        self._ended.set()

    def write_input(self, data):
        if self.broken:
            raise BrokenPipeError
        self.given += data

    def close_input(self):
        self.input_closed = True

    def output_lines(self):
        return iter(self.output.get, None)

    def error_lines(self):
        return iter(self.errors.get, None)

    def wait(self):
        self._ended.wait(WAIT_S)
        return self._exit_code

    def signal(self, number):
        self.signals = [*getattr(self, "signals", []), number]

    def kill(self):
        self.kills += 1


class Scene:
    """A child over a fake process."""

    def __init__(self, folder):
        self.process = FakeProcess()
        self.asked: list[tuple[list[str], dict[str, str]]] = []
        self.shown: list[tuple[str, str]] = []
        self.log = folder / "memory.log"
        self._events: queue.Queue[Bound | SinksTold | Ended] = queue.Queue()
        self.child = ChildProcess(
            PLANNED,
            start=self._start,
            log_file=self.log,
            show=lambda name, line: self.shown.append((name, line)),
            events=self._events,
        )

    def _start(self, argv, environment):
        self.asked.append((list(argv), dict(environment)))
        return self.process

    def event(self):
        return self._events.get(timeout=WAIT_S)

    def end(self, exit_code=0):
        """End the process; give the event that says so."""
        self.process.end(exit_code)
        return self.event()


@pytest.fixture
def scene(tmp_path, monkeypatch):
    monkeypatch.setattr("zdqn.launch.child_process._DRAIN_S", WAIT_S)
    scene = Scene(tmp_path)
    yield scene
    scene.process.end()
    scene.child.close()


def test_it_is_started_as_planned(scene):
    assert scene.asked == [(PLANNED.argv(), {"THREADS": "1"})]
    assert (scene.child.name, scene.child.assigned) == ("memory", False)


def test_what_it_logs_goes_to_its_file_and_is_shown(scene):
    scene.process.errors.put(b"one\n")
    scene.process.errors.put(b"t\xffo  \r\n")
    assert scene.end() == Ended(scene.child, 0)
    assert scene.shown == [("memory", "one"), ("memory", "t\N{REPLACEMENT CHARACTER}o")]
    assert scene.log.read_text() == "one\nt\N{REPLACEMENT CHARACTER}o\n"


def test_that_a_server_is_up_is_an_event(scene):
    scene.process.output.put(json.dumps({"bound": {"samples": "tcp://a:1"}}).encode() + b"\n")
    assert scene.event() == Bound(scene.child, {"samples": "tcp://a:1"})


def test_an_assignment_goes_to_its_input(scene, monkeypatch):
    monkeypatch.setattr("sys.path", ["somewhere"])
    scene.child.assign(ASSIGNMENT)
    assert scene.child.assigned
    assert read_assignment(io.BytesIO(scene.process.given).read) == ASSIGNMENT
    assert not scene.process.input_closed
    scene.child.ask_to_stop()
    assert scene.process.input_closed


def test_one_that_died_before_its_assignment_says_so_with_its_end_alone(scene):
    scene.process.broken = True
    scene.child.assign(ASSIGNMENT)
    assert scene.child.assigned
    assert scene.end(-signal.SIGKILL) == Ended(scene.child, -signal.SIGKILL)


def test_the_end_of_a_process_ends_what_it_left_behind(scene):
    assert scene.process.kills == 0
    scene.end()
    assert scene.process.kills == 1


def test_the_error_that_it_reported_is_the_failure(scene):
    failed = {"kind": "ConfigError", "message": "no such id", "traceback": "Traceback ...\n"}
    scene.process.output.put(json.dumps({"failed": failed}).encode())
    scene.end(78)
    error = scene.child.failure(78)
    assert isinstance(error, ConfigError)
    assert str(error) == "no such id"
    assert "Traceback ..." in scene.log.read_text()


def test_one_that_is_lost_with_its_host_says_so(scene):
    assert not scene.child.lost
    failed = {"kind": "PeerUnavailableError", "message": "The cable.", "traceback": ""}
    scene.process.output.put(json.dumps({"failed": failed, "lost": True}).encode())
    scene.end(69)
    assert scene.child.lost
    assert scene.child.describe_end(69) == "was lost with its host"
    assert scene.child.reason() == "The cable."


@pytest.mark.parametrize("kind", ["RoleFailedError", "EnvironmentFailedError", "ConfigError"])
def test_where_given_code_raised_the_log_is_named(scene, kind):
    failed = {"kind": kind, "message": "It broke.", "traceback": "Trace", "by_given_code": True}
    scene.process.output.put(json.dumps({"failed": failed}).encode())
    scene.end(70)
    assert str(scene.child.failure(70)) == f"It broke. The traceback is in {scene.log}."
    assert scene.child.reason() == str(scene.child.failure(70))


def test_its_last_word_is_kept(scene):
    ended = {"signal": "SIGTERM", "reason": ""}
    scene.process.output.put(json.dumps({"ended": ended}).encode())
    scene.end(0)
    assert scene.child.last_word == LastWord("SIGTERM", "")
    assert str(scene.child.failure(0)) == (
        f"memory was told to end by SIGTERM, and did (exit code 0). Its log is {scene.log}."
    )


@pytest.mark.parametrize(
    "said", [b"hello\n", b"[1]\n", b'"bound"\n', b'{"failed": 3}\n', b"\xff\n"]
)
def test_what_is_no_report_is_shown_and_does_not_stop_those_that_follow(scene, said):
    scene.process.output.put(said)
    scene.process.output.put(json.dumps({"bound": {"samples": "tcp://a:1"}}).encode() + b"\n")
    assert scene.event() == Bound(scene.child, {"samples": "tcp://a:1"})
    assert scene.shown == [("memory", said.decode(errors="replace").rstrip())]


def test_it_is_told_why_it_is_to_stop_and_only_once(scene):
    scene.child.ask_to_stop("SIGINT")
    scene.child.ask_to_stop("something else")
    assert scene.process.given == b"SIGINT"
    assert scene.process.input_closed


def test_an_error_that_is_none_of_ours_is_that_of_a_role(scene):
    failed = {"kind": "Unheard", "message": "what", "traceback": ""}
    scene.process.output.put(json.dumps({"failed": failed}).encode())
    scene.end(70)
    assert type(scene.child.failure(70)) is RoleFailedError


def test_without_a_reason_its_last_words_are_given(scene):
    for number in range(15):
        scene.process.errors.put(f"line {number}\n".encode())
    scene.end(-signal.SIGKILL)
    message = str(scene.child.failure(-signal.SIGKILL))
    assert message.startswith("memory ended with SIGKILL. It gave no reason.")
    assert f"Its log is {scene.log}; it ends with:\n  line 5\n" in message
    assert message.endswith("\n  line 14")


def test_and_without_words_only_its_log(scene):
    scene.end(3)
    assert str(scene.child.failure(3)) == (
        f"memory ended with exit code 3. It gave no reason. Its log is {scene.log}."
    )


def test_one_that_cannot_be_started_leaves_nothing_open(tmp_path):
    def refuse(argv, environment):
        raise FileNotFoundError(argv[0])

    with pytest.raises(FileNotFoundError):
        ChildProcess(
            PLANNED,
            start=refuse,
            log_file=tmp_path / "memory.log",
            show=lambda *_: None,
            events=queue.Queue(),
        )
