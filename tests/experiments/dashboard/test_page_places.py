"""Where roles are: one name for each host, as far as that can be told."""

import pytest

from tests.experiments.dashboard.moments import seen
from tests.launch import views
from zdqn.experiments.dashboard.page_places import describe_places, find_places
from zdqn.launch.run_view import read_members
from zdqn.wire.status import LearnerStatus, MemoryOfLearner

LEARNER = "tcp://10.0.0.2:5558"


def told(*members, endpoints, learner=None):
    changes = {} if learner is None else {"learner": learner}
    view = views.training(members=read_members(members), **changes)
    return seen(view, endpoints=endpoints)


def collector(name, host):
    return {**views.collector(0), "name": name, "host": host}


def places(*members, **options):
    found = find_places(told(*members, **options))
    return dict(found.servers), {name: host for (_, name), host in found.members.items()}


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("tcp://beta:5558", "beta"),
        ("tcp://[fe80::1]:5558", "fe80::1"),
        ("ipc:///tmp/learner", "this machine"),
    ],
)
def test_a_server_is_where_it_was_asked(address, host):
    assert places(endpoints={"learner": address}) == ({"learner": host}, {})


def test_a_member_is_where_it_came_from_or_where_its_name_says():
    _, members = places(
        collector("collector-0", "10.0.0.7"),
        collector("collector-1@gamma", "10.0.0.8"),
        collector("collector@delta:917", "10.0.0.9"),
        collector("collector-3", ""),
        endpoints={"learner": LEARNER},
    )
    assert members == {
        "collector-0": "10.0.0.7", "collector-1@gamma": "gamma", "collector@delta:917": "delta",
    }  # fmt: skip


@pytest.mark.parametrize("loopback", ["127.0.0.1", "::1"])
def test_who_came_by_loopback_is_beside_the_server_that_tells_of_it(loopback):
    _, members = places(collector("c", loopback), endpoints={"learner": LEARNER})
    assert members == {"c": "10.0.0.2"}


def test_an_address_whose_name_somebody_there_tells_has_that_name():
    servers, members = places(
        collector("collector-0@beta", "127.0.0.1"),
        collector("collector-1", "127.0.0.1"),
        endpoints={"learner": LEARNER},
    )
    assert servers == {"learner": "beta"}
    assert set(members.values()) == {"beta"}


def test_an_address_that_two_hosts_share_has_the_name_of_neither():
    _, members = places(
        collector("a@gamma", "10.0.0.9"),
        collector("b@delta", "10.0.0.9"),
        collector("c", "10.0.0.9"),
        endpoints={"learner": LEARNER},
    )
    assert members == {"a@gamma": "gamma", "b@delta": "delta", "c": "10.0.0.9"}


@pytest.mark.parametrize(
    ("dialled", "host"),
    [("tcp://alpha:5556", "alpha"), ("tcp://127.0.0.1:5556", "10.0.0.2"), ("", None)],
)
def test_a_memory_that_was_not_asked_is_where_its_learner_dials_it(dialled, host):
    learner = LearnerStatus(memory=MemoryOfLearner(address=dialled))
    servers, _ = places(endpoints={"learner": LEARNER}, learner=learner)
    assert servers.get("memory") == host


def words(*members):
    moment = told(*members, endpoints={"learner": LEARNER})
    return describe_places(find_places(moment), moment)


def test_hosts_are_named_as_far_as_there_is_room():
    assert words(collector("a@gamma", "")) == {"learner": "on 10.0.0.2", "collector": "on gamma"}
    rows = [collector(f"c@h{i}", "") for i in range(4)]
    assert words(*rows[:2])["collector"] == "on h0 and h1"
    assert words(*rows)["collector"] == "on h0, h1 and 2 more"


def test_nobody_is_said_to_be_where_it_was():
    rows = (collector("a@gamma", ""), {**collector("b@delta", ""), "state": "gone"})
    assert words(*rows)["collector"] == "on gamma"


def test_of_one_host_nothing_is_said():
    assert words(collector("c", "127.0.0.1")) == {}
