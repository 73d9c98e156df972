"""What would keep a run from working, host by host."""

import pytest

from tests.launch.cluster.clusters import small_plan
from zdqn.config.cluster_sections import ServerSection
from zdqn.errors import AddressInUseError, NotAllowedError, PeerUnavailableError, ZdqnError
from zdqn.launch.cluster.cluster_placement import HostPlace
from zdqn.launch.cluster.preflight import (
    HostFinding,
    look_at_cluster,
    ports_on,
    refuse_what_is_bad,
)
from zdqn.launch.cluster.replay_need import ReplayNeed


class FakeHosts:
    """Answers as agents would."""

    def __init__(self, plan, *, failed=None, problems=None, unreachable=()):
        self.failed = failed or {}
        self.places = {host: HostPlace(f"ip-of-{host}", "/run") for host in plan.hosts}
        self._problems = problems or {}
        self._unreachable = unreachable
        self.left = []
        self.asked = {}

    def ask(self, host, question, arguments):
        if question == "look":
            self.asked[host] = arguments
            problems = self._problems.get(host, [])
            return {"zdqn": "1", "python": "3", "facts": ["2 cores"], "problems": problems}
        if question == "listen":
            return {str(port): port for port in arguments["ports"]}
        if question == "reach":
            return {
                f"{address}:{port}": "timed out" if (host, address) in self._unreachable else ""
                for address, port in arguments["addresses"]
            }
        self.left.append(host)
        return None


def look(plan, hosts, replay=None):
    return look_at_cluster(plan, hosts, replay)


def test_all_well_is_a_line_for_each_host():
    plan = small_plan()
    hosts = FakeHosts(plan)
    assert look(plan, hosts) == [
        HostFinding(host, "good", "zdqn 1, Python 3, 2 cores") for host in ("m", "g", "c1", "c2")
    ]
    assert sorted(hosts.left) == ["c1", "c2", "g", "m"]


def test_every_problem_of_every_host_is_named_with_its_way_out():
    plan = small_plan()
    hosts = FakeHosts(
        plan,
        failed={"c1": NotAllowedError("c1: its host key is not known here")},
        problems={"m": [["ports", True, "port 5556 is taken", "End it."],
                        ["disk", False, "0.5 GB free", "Make room."]]},
        unreachable=[("c2", "ip-of-g")],
    )  # fmt: skip
    found = look(plan, hosts)
    assert [(one.host, one.verdict, one.exit_code) for one in found] == [
        ("m", "bad", 73), ("m", "odd", 0), ("g", "good", 0), ("c1", "bad", 77), ("c2", "bad", 69),
    ]  # fmt: skip
    assert found[3].text == "its host key is not known here"
    assert found[4].text == "it cannot reach the learner at ip-of-g:5558: timed out"
    assert "firewall" in found[4].remedy


def test_a_run_that_would_fail_does_not_begin():
    refuse_what_is_bad([HostFinding("a", "good", "x"), HostFinding("a", "odd", "y", "z")])
    bad = [
        HostFinding("a", "bad", "port 1 is taken", "End it.", 73),
        HostFinding("b", "bad", "it cannot reach the learner", "Open it.", 69),
    ]
    with pytest.raises(AddressInUseError, match=r"\n  a: port 1 is taken\. End it\.\n  b: it"):
        refuse_what_is_bad(bad)
    with pytest.raises(PeerUnavailableError):
        refuse_what_is_bad(bad[1:])


@pytest.mark.parametrize("code", [69, 70, 73, 74, 76, 77, 78])
def test_a_start_ends_with_the_exit_code_that_a_check_has_told(code):
    with pytest.raises(ZdqnError, match="x is so") as raised:
        refuse_what_is_bad([HostFinding("a", "odd", "y"), HostFinding("a", "bad", "x is so", "",
                            code), HostFinding("b", "bad", "z", "", 74)])  # fmt: skip
    assert raised.value.exit_code == code


@pytest.mark.parametrize(
    ("subject", "code"),
    [("run directory", 74), ("disk", 74), ("memory", 78), ("ports", 73), ("reach", 69)],
)
def test_each_kind_of_problem_has_the_exit_code_of_the_role_that_would_fail(subject, code):
    hosts = FakeHosts(plan := small_plan(), problems={"m": [[subject, True, "so", "Mend it."]]})
    assert [one.exit_code for one in look(plan, hosts) if one.verdict == "bad"] == [code]


def test_the_host_of_the_memory_is_asked_for_room_for_the_replay():
    hosts = FakeHosts(plan := small_plan())
    look(plan, hosts, need := ReplayNeed(5, False, "a replay"))
    asked = {host: arguments["replay"] for host, arguments in hosts.asked.items()}
    assert asked == {"m": need._asdict(), "g": None, "c1": None, "c2": None}
    assert hosts.asked["g"]["roles"] == ["learner", "collector"]
    look(plan, hosts)
    assert hosts.asked["m"]["replay"] is None, "it is not looked at"


def test_servers_need_the_port_below_theirs_too():
    plan = small_plan(memory=ServerSection(host="g", port=7000), learner=ServerSection(host="g"))
    assert ports_on(plan, "g") == [6999, 7000, 5557, 5558]
    assert ports_on(small_plan(memory=ServerSection(host="m", port=0)), "m") == []
