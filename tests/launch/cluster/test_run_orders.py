"""What can be changed of a run while it goes on."""

import pytest

from tests.launch.cluster.clusters import small_plan
from zdqn.config.cluster_sections import HostDefaults, HostsSection
from zdqn.errors import UsageError
from zdqn.launch.cluster.changes import change_run
from zdqn.launch.cluster.cluster_record import ClusterRecord, read_record, write_record
from zdqn.launch.cluster.run_orders import (
    Addition,
    RunOrders,
    check_restartable,
    extend_plan,
    parse_addition,
)
from zdqn.launch.restarts import Restarts


class FakeHosts:
    """Takes note of what is asked of hosts."""

    def __init__(self):
        self.asked = []

    def signal(self, host, name, number):
        self.asked.append(("signal", host, name, int(number)))

    def extend(self, plan):
        self.asked.append(("extend", list(plan.hosts)))

    def remove(self, host, plan):
        self.asked.append(("remove", host, list(plan.hosts)))


@pytest.fixture
def hosts():
    return FakeHosts()


@pytest.fixture
def restarts():
    return Restarts(3)


@pytest.fixture
def orders(tmp_path, hosts, restarts):
    record = ClusterRecord(small_plan(), "run")
    write_record(tmp_path, record)
    with RunOrders(tmp_path, record, hosts, restarts, lambda line: None) as made:
        yield made


def test_a_restart_is_a_signal_that_is_not_counted(orders, hosts, restarts):
    orders.carry_out({"order": "restart", "what": "collector-0@c1"})
    assert hosts.asked == [("signal", "c1", "collector-0@c1", 15)]
    assert restarts.is_wanted("collector-0@c1")


def test_what_is_added_is_started_and_remembered(orders, hosts, restarts, tmp_path):
    said = orders.carry_out({"order": "add", "what": "collectors=2@new"})
    assert said == "added collector-0@new, collector-1@new"
    assert hosts.asked == [("extend", ["m", "g", "c1", "c2", "new"])]
    assert [process.name for process in restarts.take_due()] == [
        "collector-0@new", "collector-1@new",
    ]  # fmt: skip
    assert "new" in read_record(tmp_path).plan.hosts
    said = orders.carry_out({"order": "add", "what": "collectors=1@new"})
    assert said == "added collector-2@new"


def test_what_is_removed_is_not_started_again(orders, hosts, restarts, tmp_path):
    (process,) = small_plan().on("c1")
    restarts.plan(process)
    orders.carry_out({"order": "remove", "what": "c1"})
    assert hosts.asked == [("remove", "c1", ["m", "g", "c2"])]
    assert restarts.waiting() == []
    assert "c1" not in read_record(tmp_path).plan.hosts


def test_orders_come_from_another_terminal(orders, hosts, tmp_path):
    assert "is started again" in change_run(tmp_path, "restart", "memory", lambda line: None)
    with pytest.raises(UsageError, match='Did you mean "memory"'):
        change_run(tmp_path, "restart", "memry", lambda line: None)
    with pytest.raises(UsageError, match='knows no order "dance"'):
        change_run(tmp_path, "dance", "x", lambda line: None)


def test_a_learner_is_not_restarted_alone():
    assert check_restartable(small_plan(), "collector-0@c1") == "c1"
    with pytest.raises(UsageError, match="--resume"):
        check_restartable(small_plan(), "learner")


@pytest.mark.parametrize("text", ["collectors=8", "8@h", "learners=1@h", "collectors=0@h", ""])
def test_an_addition_has_a_form(text):
    assert parse_addition("collectors=8@host5") == Addition("collector", 8, "host5")
    with pytest.raises(UsageError, match=r"--add is .* collectors=8@host5"):
        parse_addition(text)


def test_a_new_host_is_set_up_like_the_last_of_its_kind():
    plan = small_plan(
        defaults=HostDefaults(python="p"),
        hosts=(HostsSection(names=("g",), python="q", setup=("s",), address="10.0.0.9"),),
    )
    new = extend_plan(plan, parse_addition("collectors=1@new")).hosts["new"]
    assert (new.name, new.python, new.setup, new.address) == ("new", "q", ("s",), "")
