"""Who takes part, and how each does, as the page shows it."""

from tests.experiments.dashboard.moments import seen
from tests.launch import views
from zdqn.experiments.dashboard.page_roles import (
    describe_hosts,
    describe_links,
    describe_members,
    describe_nodes,
)
from zdqn.launch.run_view import read_members


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
    assert links["weights"]["text"] == "12.5 versions old when used"
    assert links["snapshots"]["count"] == 2


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


def test_hosts_by_address_and_by_name_with_the_health_of_the_worst():
    rows = [
        {**views.collector(0), "name": "collector-0@gamma"},
        {**views.collector(1, state="gone"), "name": "collector-1@gamma"},
    ]
    hosts = describe_hosts(seen(views.training(members=read_members(rows))))
    assert [host["name"] for host in hosts] == ["beta", "alpha", "gamma"]
    assert hosts[0] == {"name": "beta", "health": "good", "roles": "learner"}
    assert hosts[2] == {"name": "gamma", "health": "bad", "roles": "2 collectors"}
