"""The keys of a run, as its launcher knows them."""

from tests.launch.cluster.clusters import small_plan
from zdqn.launch.cluster.host_keys import make_host_keys
from zdqn.launch.cluster.run_keys import RunKeys
from zdqn.wire.keys.role_keys import open_keys


def made(tmp_path):
    plan = small_plan()
    keys = RunKeys(tmp_path / "own", {})
    for host in plan.hosts:
        roles = {process.role for process in plan.on(host)}
        keys.take(host, make_host_keys(tmp_path / host, roles))
    keys.make_own()
    return plan, keys


def test_servers_know_who_comes_and_clients_whom_they_trust(tmp_path):
    plan, keys = made(tmp_path)
    assert keys.wanted_by(plan, "c1")["allowed"] == {}
    assert set(keys.wanted_by(plan, "c1")["publics"]) == {"memory", "learner"}
    allowed = keys.wanted_by(plan, "m")["allowed"]
    assert len(allowed["collector"]) == 3
    assert len(allowed["operator"]) == len(allowed["learner"]) == 1
    assert open_keys(tmp_path / "own", "operator") is not None


def test_who_is_forgotten_is_on_no_list(tmp_path):
    plan, keys = made(tmp_path)
    keys.forget("c1")
    assert len(keys.wanted_by(plan, "m")["allowed"]["collector"]) == 2
    keys.replace({host: told for host, told in keys.lines.items() if host != "c2"})
    assert len(keys.wanted_by(plan, "m")["allowed"]["collector"]) == 1
