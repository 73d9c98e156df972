"""Who takes part, and how each does, as the page shows it."""

from dataclasses import replace

import msgspec
import pytest

from tests.experiments.dashboard.moments import seen
from tests.launch import views
from zdqn.experiments.dashboard.page_roles import (
    describe_hosts,
    describe_links,
    describe_members,
    describe_nodes,
)
from zdqn.experiments.dashboard.seen import Contact
from zdqn.launch.run_view import RunView, read_members


def test_the_picture_has_each_role_as_a_terminal_has_it():
    nodes = describe_nodes(seen())
    assert [node["role"] for node in nodes] == ["collector", "memory", "learner", "evaluator"]
    assert [node["health"] for node in nodes] == ["good"] * 4
    assert nodes[0]["title"] == "2 collectors"
    assert "3,000 steps/s" in nodes[0]["lines"]


def test_links_have_the_rates_that_are():
    links = {link["name"]: link for link in describe_links(seen())}
    assert links["transitions"]["per_s"] == 3_000.4
    assert links["transitions"]["text"] == "3,000/s"
    assert links["samples"]["per_s"] == 96_000.0
    assert links["weights"] == {
        "name": "weights", "from": "learner", "to": "collector", "per_s": None,
        "text": "12.5 versions old when used", "count": None,
    }  # fmt: skip
    assert links["snapshots"]["count"] == 2


def test_the_link_of_the_weights_tells_how_often_and_how_large():
    learner = msgspec.structs.replace(views.status(), publication_bytes=71_680)
    told = seen(views.training(learner=learner), rates={"publications": 34.6})
    weights = next(link for link in describe_links(told) if link["name"] == "weights")
    assert weights["per_s"] == 34.6
    assert weights["text"] == "35/s of 72 kB, 12.5 versions old when used"
    away = replace(told, contact=Contact("away", "Nobody answers."))
    weights = next(link for link in describe_links(away) if link["name"] == "weights")
    assert (weights["per_s"], weights["text"]) == (None, "")


def test_a_rate_of_nothing_is_told_and_not_taken_for_unknown():
    links = {link["name"]: link for link in describe_links(seen(rates={"inserts": 0.0}))}
    assert links["transitions"]["per_s"] == 0
    assert links["samples"]["per_s"] is None


def test_members_with_their_health():
    rows = (
        views.collector(0),
        views.collector(1, state="gone", last_seen_s=30.0),
        views.collector(2, last_seen_s=9.0),
        views.collector(3, idle_s=20.0),
        views.evaluator(),
    )
    members = describe_members(seen(views.training(*rows)))
    assert [member["health"] for member in members] == ["good", "bad", "odd", "odd", "good"]
    assert members[1]["state"] == "gone for 30 s"
    assert members[2]["state"] == "silent for 9 s"
    assert members[4]["doing"] == "waiting for a snapshot"


def test_hosts_with_who_is_there_and_the_health_of_the_worst():
    rows = [
        {**views.collector(0), "name": "collector-0@gamma"},
        {**views.collector(1, state="gone"), "name": "collector-1@gamma"},
    ]
    hosts = describe_hosts(seen(views.training(members=read_members(rows))))
    assert [host["name"] for host in hosts] == ["beta", "alpha", "gamma"]
    assert hosts[0] == {"name": "beta", "health": "good", "roles": "learner"}
    assert hosts[2] == {"name": "gamma", "health": "bad", "roles": "2 collectors"}


def test_roles_and_members_say_where_they_are_only_if_that_is_more_than_one_host():
    rows = (views.collector(0, host="10.0.0.7"), views.evaluator(host="127.0.0.1"))
    apart = seen(views.training(*rows))
    assert [node["place"] for node in describe_nodes(apart)] == [
        "on 10.0.0.7", "on alpha", "on beta", "on beta",
    ]  # fmt: skip
    assert [member["host"] for member in describe_members(apart)] == ["10.0.0.7", "beta"]
    here = {"learner": "tcp://127.0.0.1:1", "memory": "tcp://127.0.0.1:2"}
    rows = (views.collector(0, host="127.0.0.1"), views.evaluator(host="127.0.0.1"))
    together = seen(views.training(*rows), endpoints=here)
    assert {node["place"] for node in describe_nodes(together)} == {""}
    assert {member["host"] for member in describe_members(together)} == {""}
    over = replace(apart, contact=Contact("over", "It has ended."))
    assert {node["place"] for node in describe_nodes(over)} == {""}


@pytest.mark.parametrize(
    ("kind", "health"), [("waiting", "waits"), ("away", "unknown"), ("live", "unknown")]
)
def test_of_whom_nothing_was_heard_nothing_is_claimed(kind, health):
    nodes = describe_nodes(seen(RunView(), contact=Contact(kind, "x"), endpoints={}))
    assert [node["lines"] for node in nodes] == [
        ["none known"], ["nothing heard yet"], ["nothing heard yet"], ["none known"]
    ]  # fmt: skip
    assert {node["health"] for node in nodes} == {health}
