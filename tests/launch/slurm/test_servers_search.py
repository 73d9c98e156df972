"""Where servers are, for who looks for them in a run's folder."""

import json
import threading
from itertools import pairwise

import pytest

from zdqn.errors import PeerUnavailableError
from zdqn.launch.slurm.run_stage import RunStage, stage_file, write_stage
from zdqn.launch.slurm.servers_search import FoundServers, ServersSearch
from zdqn.launch.slurm.slurm_commands import QueuedJob

SERVERS = QueuedJob("7", "7", "", "RUNNING", "n", "1", "")


class Clock:
    """Seconds that pass when somebody waits."""

    now_s = 0.0

    def __call__(self):
        return self.now_s


class Waiting(threading.Event):
    """Makes time pass, and lets something happen, instead of waiting."""

    def __init__(self, clock, happens=()):
        super().__init__()
        self._clock = clock
        self._happens = list(happens)

    def wait(self, timeout=None):
        self._clock.now_s += timeout
        if self._happens:
            self._happens.pop(0)()
        return self.is_set()


@pytest.fixture
def run(tmp_path):
    stage_file(tmp_path).parent.mkdir()
    return tmp_path


def bind(run, *, memory="tcp://m:1", learner="tcp://l:2"):
    endpoints = {"memory": {"samples": memory}, "learner": {"model": learner}}
    (run / "endpoints.json").write_text(
        json.dumps({k: v for k, v in endpoints.items() if all(v.values())})
    )


def search(run, happens=(), *, jobs=(SERVERS,), clock=None):
    clock = clock or Clock()
    stop = Waiting(clock, happens)
    return ServersSearch(run, "7", stop, listed=lambda: list(jobs), clock=clock), stop


def test_servers_that_are_there_are_found_at_once(run):
    write_stage(run, RunStage("running", 1))
    bind(run)
    found, _ = search(run)
    assert found.find(after=0) == FoundServers(1, "tcp://m:1", "tcp://l:2")


def test_those_of_a_start_that_has_ended_are_waited_for_until_others_are_there(run):
    write_stage(run, RunStage("running", 1))
    bind(run)
    seen, _ = search(
        run,
        [
            lambda: write_stage(run, RunStage("suspended", 1)),
            lambda: (run / "endpoints.json").unlink(),
            lambda: write_stage(run, RunStage("running", 2)),
            lambda: bind(run, learner=""),
            lambda: bind(run, memory="tcp://n:3", learner="tcp://n:4"),
        ],
    )
    assert seen.find(after=1) == FoundServers(2, "tcp://n:3", "tcp://n:4")


def test_who_waits_says_for_whom_and_for_which_job(run, caplog):
    caplog.set_level("INFO")
    write_stage(run, RunStage("suspended", 1, "SIGTERM"))
    seen, stop = search(run, [lambda: None] * 11)
    stop._happens.append(stop.set)
    assert seen.find(after=1) is None
    assert caplog.messages == [
        f"waiting for the memory and the learner of {run} for 10 s: job 7 of the servers, start "
        f"1, is suspended (SIGTERM)"
    ]


@pytest.mark.parametrize("name", ["ended", "failed"])
def test_a_run_that_is_over_is_waited_for_no_more(run, name):
    seen, _ = search(run, [lambda: write_stage(run, RunStage(name, 1, "so"))])
    assert seen.find(after=0) is None
    assert seen.why_over == f"the run has {name}: so"


def test_nor_is_one_whose_job_has_left_the_queue(run):
    seen, _ = search(run, jobs=())
    assert seen.find(after=0) is None
    assert seen.why_over == "job 7, of the servers, is in Slurm's queue no more"


def test_slurm_is_asked_now_and_then_alone(run):
    clock, asked = Clock(), []
    stop = Waiting(clock)

    def listed():
        asked.append(clock.now_s)
        if len(asked) == 4:
            stop.set()
        raise PeerUnavailableError("nobody answers")

    assert ServersSearch(run, "7", stop, listed=listed, clock=clock).find(after=0) is None
    gaps = [later - before for before, later in pairwise(asked)]
    assert all(240 <= gap <= 362 for gap in gaps)


def test_others_are_noticed_by_who_collects(run):
    write_stage(run, RunStage("running", 1))
    bind(run)
    seen, _ = search(run)
    found = seen.find(after=0)
    assert found is not None
    assert not seen.has_moved_on(found)
    (run / "endpoints.json").unlink()
    assert not seen.has_moved_on(found)
    bind(run, learner="tcp://n:9")  # which a file system had not shown before
    assert seen.has_moved_on(found)
    bind(run)
    write_stage(run, RunStage("running", 2))
    assert seen.has_moved_on(found)
    write_stage(run, RunStage("ended", 1))
    assert seen.has_moved_on(found)


def test_a_file_system_that_is_away_moves_nobody(run, caplog):
    seen, _ = search(run)
    stage_file(run).mkdir()
    assert not seen.has_moved_on(FoundServers(0, "m", "l"))
    assert "Cannot read" in caplog.text
