"""Which host runs what."""

from pathlib import Path

import pytest

from tests.launch.cluster.clusters import small_plan
from zdqn.config.cluster_sections import (
    ClientsSection,
    HostDefaults,
    HostsSection,
    ServerSection,
)
from zdqn.errors import ConfigError, UsageError
from zdqn.launch.cluster.cluster_plan import on_this_machine, plan_clients


def test_every_role_has_a_host_and_a_name_of_its_own():
    plan = small_plan(evaluators=(ClientsSection(hosts=("g",), each=2),))
    assert [(process.name, process.host) for process in plan.processes] == [
        ("memory", "m"),
        ("learner", "g"),
        ("collector-0@c1", "c1"),
        ("collector-0@c2", "c2"),
        ("collector-0@g", "g"),
        ("evaluator-0@g", "g"),
        ("evaluator-1@g", "g"),
    ]
    assert list(plan.hosts) == ["m", "g", "c1", "c2"]
    assert (plan.config.launch.collectors, plan.config.launch.evaluators) == (3, 2)
    assert plan.host_of("learner").name == "g"


def test_a_host_that_is_named_twice_counts_on():
    plan = small_plan(
        collectors=(ClientsSection(hosts=("c",), each=2), ClientsSection(hosts=("c",)))
    )
    assert [process.name for process in plan.on("c")] == [
        "collector-0@c", "collector-1@c", "collector-2@c",
    ]  # fmt: skip


def test_servers_listen_to_all_on_ports_of_their_own():
    plan = small_plan(learner=ServerSection(host="g", port=0))
    assert plan.config.memory.bind == "tcp://0.0.0.0:5556"
    assert plan.config.learner.bind == "tcp://0.0.0.0:0"
    assert (plan.port_of("memory"), plan.port_of("learner")) == (5556, 0)


def test_a_host_of_its_own_kind_wins_over_the_defaults():
    plan = small_plan(
        defaults=HostDefaults(python="p", setup=("a",), environment={"X": "1", "Y": "1"}),
        hosts=(
            HostsSection(names=("c[1-2]",), setup=(), environment={"Y": "2"}, address="10.0.0.1"),
        ),
    )
    assert plan.hosts["c1"].python == plan.hosts["m"].python == "p"
    assert (plan.hosts["c1"].setup, plan.hosts["m"].setup) == ((), ("a",))
    assert plan.hosts["c2"].environment == {"X": "1", "Y": "2"}
    assert (plan.hosts["c2"].address, plan.hosts["m"].address) == ("10.0.0.1", "")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"memory": ServerSection()}, r"memory\.host is missing"),
        ({"learner": ServerSection(host="g[1-2]")}, "names 2 hosts"),
        ({"collectors": ()}, r"no host runs a collector.*\[\[collectors\]\]"),
        ({"hosts": (HostsSection(names=("cc1",)),)}, 'names "cc1", on which nothing runs'),
        ({"hosts": (HostsSection(names=("m",)), HostsSection(names=("m",)))}, "earlier"),
    ],
)
def test_what_cannot_be_is_refused(changes, words):
    with pytest.raises(ConfigError, match=words) as error:
        small_plan(**changes)
    assert "cluster.toml" in str(error.value)


def test_on_this_machine_nothing_of_a_host_is_left_but_its_name():
    plan = small_plan(defaults=HostDefaults(python="p", setup=("a",), environment={"X": "1"}))
    here = on_this_machine(plan, python="py", directory=Path("/runs"))
    host = here.hosts["c1"]
    assert (host.python, host.setup, host.directory, host.address) == (
        "py", (), "/runs", "127.0.0.1",
    )  # fmt: skip
    assert host.environment == {"X": "1"}
    assert here.config.memory.bind == here.config.learner.bind == "tcp://127.0.0.1:0"
    assert here.processes == plan.processes


def test_more_clients_take_names_that_are_free():
    more = plan_clients("collector", 2, "h", taken=["collector-0@h"], environment={"X": "1"})
    assert [process.name for process in more] == ["collector-1@h", "collector-2@h"]
    assert more[0].environment == {"X": "1"}


def test_a_host_with_clients_alone_can_go():
    less = small_plan().without("c1")
    assert list(less.hosts) == ["m", "g", "c2"]
    assert not less.on("c1")


@pytest.mark.parametrize(("host", "words"), [("m", "runs the memory"), ("x", "nothing of this")])
def test_one_with_a_server_or_an_unknown_one_cannot(host, words):
    with pytest.raises(UsageError, match=words):
        small_plan().without(host)
