"""A run that is kept by its agents: shown, changed and ended from where it was launched."""

import json
from dataclasses import replace

import pytest

from tests.launch.cluster.clusters import agents_of, kill_all_of, tiny_plan
from zdqn.errors import ConfigError, UsageError
from zdqn.launch.cluster.changes import change_run
from zdqn.launch.cluster.cluster_entry import LaunchOptions, launch_detached
from zdqn.launch.cluster.cluster_record import own_keys_of, read_record, write_record
from zdqn.launch.cluster.visits import Visit, try_to_collect, worst_code
from zdqn.records.endpoints import read_endpoints
from zdqn.wire.keys.key_folder import KeyFolder
from zdqn.wire.keys.role_keys import open_keys
from zdqn.wire.remote_control import fetch_status, request_stop


@pytest.fixture
def kept(tmp_path):
    directory = tmp_path / "run"
    launch_detached(tiny_plan(), LaunchOptions(directory, local=True, progress=False))
    yield directory
    kill_all_of(directory)


def names_of(directory):
    keys = open_keys(own_keys_of(directory), "operator")
    address = read_endpoints(directory)["learner"]["model"]
    told = fetch_status(address, 10.0, keys, "learner")
    return {row["name"] for row in told["clients"] if row["state"] == "living"}


def silent(_line):
    pass


def test_it_is_changed_and_ended(kept, until):
    assert read_record(kept).detached
    until(lambda: "collector-0@b" in names_of(kept))
    assert "is started again" in change_run(kept, "restart", "collector-0@b", silent)
    with Visit(kept, silent) as visit:
        until(lambda: b"starting collector-0@b again"
              in visit.read_log("collector-0@b", -1, 50)["piece"])  # fmt: skip
    assert change_run(kept, "add", "collectors=1@c", silent) == "added collector-0@c"
    until(lambda: "collector-0@c" in names_of(kept))
    with pytest.raises(UsageError, match="keeps what it has"):
        change_run(kept, "add", "collectors=1@c", silent)
    assert change_run(kept, "remove", "c", silent).startswith("removed c, with collector-0@c")
    until(lambda: "collector-0@c" not in names_of(kept))
    assert "c" not in read_record(kept).plan.hosts
    keys = open_keys(own_keys_of(kept), "operator")
    request_stop(read_endpoints(kept)["learner"]["model"], "the test", 10.0, keys, "learner")
    with Visit(kept, silent) as visit:
        assert visit.wait_for_the_end(60)
        assert visit.living() == []
        ends = visit.ends()
        assert set(ends.values()) == {0}
        assert {"memory", "learner", "collector-0@a"} <= set(ends)
    assert read_record(kept).ends is None  # it was not collected yet
    assert try_to_collect(kept, silent) == ends == read_record(kept).ends
    assert json.loads((kept / "summary.json").read_text())["stop_reason"] == "the test"
    assert agents_of(kept) == []


def has_lost(directory, host):
    """Have a host be one that cannot be reached; gives what makes it answer again."""
    record = read_record(directory)
    plan = record.plan
    gone = replace(plan.hosts[host], python="/no/python")
    write_record(directory, replace(record, plan=replace(plan, hosts={**plan.hosts, host: gone})))
    return lambda: write_record(directory, record)


def let_in(directory, server_host):
    callers = KeyFolder(directory / "hosts" / server_host / "keys").allowed().callers
    return {caller.name: public for public, caller in callers.items()}


def test_a_host_that_is_away_hinders_only_what_is_asked_of_it(kept, until):
    until(lambda: "collector-0@b" in names_of(kept))
    before = let_in(kept, "a")
    comes_back = has_lost(kept, "b")
    said: list[str] = []
    with Visit(kept, said.append) as visit:
        assert visit.read_log("learner", -1, 5)["piece"]
        with pytest.raises(ConfigError, match="b: its python cannot be run"):
            visit.read_log("collector-0@b", -1, 5)
        assert said == []
        assert visit.main_logs() == [name for name in visit.log_names() if "@b" not in name]
        assert [line.split(":")[:2] for line in said] == [["warning", " b"]]
    assert change_run(kept, "add", "evaluators=1@c", silent) == "added evaluator-0@c"
    until(lambda: {"collector-0@b", "evaluator-0@c"} <= names_of(kept))
    assert before.items() < let_in(kept, "a").items()
    assert change_run(kept, "remove", "c", silent).startswith("removed c")
    assert let_in(kept, "a") == before
    with Visit(kept, silent) as visit:
        visit.end_agents()
        assert visit.wait_for_the_end(60)
        visit.collect()
        with pytest.raises(ConfigError, match=r"b: its python .* `zdqn stop .*` ends it"):
            visit.ends()
        assert read_record(kept).ends is None
    assert try_to_collect(kept, silent) is None
    comes_back()
    with Visit(kept, silent) as visit:
        visit.end_agents()
        assert visit.wait_for_the_end(60)
    assert agents_of(kept) == []


def test_a_host_that_is_away_can_be_removed(kept, until):
    until(lambda: "collector-0@b" in names_of(kept))
    has_lost(kept, "b")
    assert change_run(kept, "remove", "b", silent) == (
        "removed b, with collector-0@b; it does not answer: what goes on there was not told to "
        "end; its keys are let in no more"
    )
    until(lambda: "collector-0@b" not in names_of(kept))
    assert set(let_in(kept, "a")) == {"collector@a", "evaluator@a", "learner@a", "operator@"}


def test_a_run_of_which_no_host_answers_cannot_be_looked_at(kept):
    for host in "ab":
        has_lost(kept, host)
    with pytest.raises(ConfigError, match="2 hosts cannot be used"):
        Visit(kept, silent)


def test_agents_can_be_told_to_end(kept, until):
    until(lambda: names_of(kept))
    with Visit(kept, silent) as visit:
        visit.end_agents()
        assert visit.wait_for_the_end(60)
    assert agents_of(kept) == []


def test_of_whom_nobody_could_write_down_the_end_it_is_not_known(kept, until):
    kill_all_of(kept)
    until(lambda: not agents_of(kept))
    with Visit(kept, silent) as visit:
        assert "nothing is left to end" in visit.end_agents()
        visit.collect()
        assert visit.ends()["learner"] is None
    names = {process.name for process in read_record(kept).plan.processes}
    assert set(read_record(kept).ends or ()) == names
    assert change_run(kept, "add", "collectors=1@c", silent) == "added collector-0@c"
    assert read_record(kept).ends is None  # something of it goes on again


def test_of_several_ends_the_highest_code_is_the_worst_and_a_signal_beats_most():
    assert worst_code({}) == worst_code({"a": 0}) == 0
    assert worst_code({"a": 70, "b": 0, "c": 78}) == 78
    assert worst_code({"a": 78, "b": -9}) == 137
    assert worst_code({"a": None, "b": 0}) == 69
    assert worst_code({"a": None, "b": 70}) == 70


def test_hosts_that_do_not_answer_tell_nothing(tmp_path):
    assert try_to_collect(tmp_path, silent) is None
