"""Looking at a run: which of its servers and files tell of it."""

import json
from typing import Any

import pytest

from zdqn.config import Config, to_dict
from zdqn.errors import MismatchError, NotAllowedError, PeerUnavailableError
from zdqn.experiments.dashboard.observer import PATIENCE_S, RunObserver
from zdqn.records.endpoints import record_endpoints
from zdqn.records.run_files import RunFiles
from zdqn.records.run_lock import RunLock

LEARNER: dict[str, Any] = {
    "role": "learner",
    "run": {"phase": "training", "wall_s": 5.0},
    "progress": {"wall_s": 5.0, "environment_steps": 1_000, "updates": 500, "loss": 0.5},
    "verdict": "learner-bound: x",
}
MEMORY: dict[str, Any] = {"role": "memory", "size": 900, "transitions": 1_000, "samples": 5_000}


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Servers:
    """What answers at which address; an error is raised."""

    def __init__(self) -> None:
        self.at: dict[str, Any] = {}
        self.configurations: dict[str, Any] = {}

    def fetch_configuration(self, address, *_):
        if address not in self.configurations:
            raise MismatchError("unknown kind 40")
        return self.configurations[address]

    def fetch(self, address, *_):
        answer = self.at.get(address, PeerUnavailableError(f"nothing answered at {address}"))
        if isinstance(answer, Exception):
            raise answer
        return json.loads(json.dumps(answer))


@pytest.fixture
def servers(monkeypatch):
    made = Servers()
    monkeypatch.setattr("zdqn.wire.remote_control.fetch_status", made.fetch)
    configuration = made.fetch_configuration
    monkeypatch.setattr("zdqn.wire.remote_control.fetch_configuration", configuration)
    return made


@pytest.fixture
def files(tmp_path):
    record_endpoints(tmp_path, "learner", {"model": "tcp://l:1"})
    record_endpoints(tmp_path, "memory", {"samples": "tcp://m:2"})
    return RunFiles(tmp_path)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def observer(files, clock):
    return RunObserver(None, files.path, clock=clock)


def write_metrics(files, steps=1_000):
    line = json.dumps({"environment_steps": steps, "wall_s": steps / 100, "loss": 0.25})
    with files.metrics.open("a") as file:
        file.write(line + "\n")


def test_servers_that_answer_are_live(observer, servers, files, clock):
    servers.at = {"tcp://l:1": LEARNER, "tcp://m:2": MEMORY}
    write_metrics(files)
    seen = observer.look()
    assert seen.contact.kind == "live"
    assert seen.view.learner.verdict == "learner-bound: x"
    assert seen.endpoints == {"learner": "tcp://l:1", "memory": "tcp://m:2"}
    assert seen.series.metrics["loss"] == [0.25]
    assert seen.rates == {}
    clock.now_s += 2
    servers.at["tcp://m:2"] = {**MEMORY, "transitions": 1_600, "samples": 25_000}
    seen = observer.look()
    assert (seen.rates["inserts"], seen.rates["samples"]) == (300.0, 10_000.0)


def test_publications_have_a_rate_by_the_learners_clock(observer, servers):
    servers.at = {"tcp://l:1": LEARNER}
    observer.look()
    rates = observer.look().rates
    assert "publications" not in rates  # an older learner does not count them
    for wall_s, count in ((6.0, 100), (8.0, 170)):
        servers.at["tcp://l:1"] = {
            **LEARNER, "run": {"phase": "training", "wall_s": wall_s}, "publications": count
        }  # fmt: skip
        rates = observer.look().rates
    assert rates["publications"] == 35.0


def test_a_memory_that_is_not_asked_has_rates_by_what_its_learner_tells(servers, clock):
    observer = RunObserver("tcp://l:1", None, clock=clock)
    rates = observer.look().rates
    for transitions in (1_000, 1_600):
        memory = {**MEMORY, "transitions": transitions, "address": "tcp://m:2"}
        servers.at = {"tcp://l:1": {**LEARNER, "memory": memory}}
        rates = observer.look().rates
        clock.now_s += 2
    assert rates["inserts"] == 300.0
    assert observer.look().contact.text == "Live: the learner answers."


def test_one_server_that_does_not_answer_is_named(observer, servers):
    servers.at = {"tcp://m:2": MEMORY}
    seen = observer.look()
    assert seen.contact == ("live", "Live: the memory answers.")
    assert seen.warnings == ("nothing answered at tcp://l:1",)


def test_a_run_that_is_away_is_met_again(observer, servers, clock):
    servers.at = {"tcp://l:1": LEARNER}
    assert observer.look().contact.kind == "live"
    servers.at = {}
    clock.now_s += 65
    with RunLock(RunFiles(observer.directory).lock):
        away = observer.look()
    assert away.contact.kind == "away"
    assert "Nobody has answered for 1:05 min;" in away.contact.text
    assert away.view.learner is not None
    assert away.view.learner.progress.updates == 500
    servers.at = {"tcp://l:1": LEARNER}
    assert observer.look().contact.kind == "live"


def test_one_answer_that_is_late_is_no_reason_to_call_a_run_away(observer, servers, clock):
    servers.at = {"tcp://l:1": LEARNER}
    observer.look()
    servers.at = {}
    with RunLock(RunFiles(observer.directory).lock):
        clock.now_s += PATIENCE_S - 1
        assert observer.look().contact.kind == "live"
        clock.now_s += 2
        assert observer.look().contact.kind == "away"


def test_a_run_that_has_ended_is_told_by_its_summary(observer, servers, files):
    files.summary.write_text('{"stop_reason": "updates", "updates": 500, "wall_s": 61}')
    seen = observer.look()
    assert seen.contact.kind == "over"
    assert "(stop.updates was reached) after 500 updates, 1:01 min" in seen.contact.text
    assert seen.summary["updates"] == 500


def test_files_that_are_newer_than_the_last_answer_are_believed(observer, servers, files, clock):
    servers.at = {"tcp://l:1": LEARNER}
    observer.look()
    servers.at = {}
    clock.now_s += 60
    write_metrics(files, steps=400)  # at 4 s, before what was answered at 5 s
    assert observer.look().view.environment_steps == 1_000
    write_metrics(files, steps=2_000)
    assert observer.look().view.environment_steps == 2_000


def test_a_run_that_was_killed_is_not_taken_for_one_that_ended(observer, servers, files):
    write_metrics(files)
    seen = observer.look()
    assert seen.contact.kind == "away"
    assert "was killed" in seen.contact.text


def test_a_folder_without_anything_waits(tmp_path, servers):
    observer = RunObserver(None, tmp_path)
    assert observer.look().contact == ("waiting", f"Nothing has begun in {tmp_path} yet.")
    with RunLock(RunFiles(tmp_path).launch_lock):
        starting = observer.look().contact
    assert starting.kind == "waiting"
    assert starting.text.startswith("It starts: ")


def test_a_run_of_one_process_is_told_by_its_files(tmp_path, servers):
    files, observer = RunFiles(tmp_path), RunObserver(None, tmp_path)
    files.config.write_text('[environment]\nid = "Acrobot-v1"\n[stop]\nupdates = 9\n')
    write_metrics(files)
    with RunLock(files.lock):
        seen = observer.look()
    assert seen.contact.kind == "files"
    assert seen.view.plan.one_process
    assert seen.view.plan.environment == "Acrobot-v1"
    assert seen.view.learner is not None
    assert seen.view.learner.progress.environment_steps == 1_000
    assert seen.view.limits.updates == 9


def test_of_an_address_curves_are_what_was_told(servers, clock):
    observer = RunObserver("tcp://l:1", None, clock=clock)
    servers.at = {"tcp://l:1": LEARNER}
    servers.configurations = {
        "tcp://l:1": to_dict(Config().replace("environment.id", "Acrobot-v1"))
    }
    assert observer.look().view.plan.environment == "Acrobot-v1"
    observer.look()
    told = {**LEARNER, "progress": {**LEARNER["progress"], "wall_s": 6.0, "loss": 0.75}}
    servers.at = {"tcp://l:1": told}
    seen = observer.look()
    assert seen.series.metrics["loss"] == [0.5, 0.75]
    assert seen.name == "tcp://l:1"
    assert "An address tells no weights" in seen.film_why
    servers.at = {}
    clock.now_s += PATIENCE_S
    assert observer.look().contact.kind == "away"


def test_who_may_not_ask_is_told_so(observer, servers):
    servers.at = {"tcp://l:1": NotAllowedError("a key is wanted")}
    assert "a key is wanted" in observer.look().contact.text


def test_an_answer_that_cannot_be_read_is_a_warning(observer, servers):
    servers.at = {"tcp://l:1": LEARNER, "tcp://m:2": {"role": "memory", "size": "much"}}
    seen = observer.look()
    assert seen.contact.text == "Live: the learner answers."
    assert "size" in seen.warnings[0]


def test_servers_that_are_open_to_all_are_warned_of(observer, servers):
    servers.at = {"tcp://m:2": {**MEMORY, "security": "open"}}
    assert any("without keys" in text for text in observer.look().warnings)


def test_a_configuration_that_comes_later_is_read(observer, servers, files):
    observer.look()
    assert observer.found_config.config is None
    files.config.write_text("[replay]\nsamples_per_insert = 8.0\n")
    assert observer.look().samples_per_insert == 8.0
    files.config.write_text("nonsense, and longer than what was there")
    observer.look()
    assert observer.found_config.config is not None


class Films:
    film, why = None, "soon"

    def __init__(self) -> None:
        self.asked: list[bool] = []

    def advance(self, *, is_over: bool) -> None:
        self.asked.append(is_over)


def test_no_film_is_made_for_nobody_and_the_best_of_a_run_that_is_over(files, servers):
    films = Films()
    observer = RunObserver(None, files.path, films=films)  # type: ignore[arg-type]
    assert observer.look(is_watched=False).film_why == "soon"
    assert films.asked == []
    observer.look()
    files.summary.write_text('{"updates": 5}')
    observer.look()
    assert films.asked == [False, True]
    assert "--no-film" in RunObserver(None, files.path).look().film_why
