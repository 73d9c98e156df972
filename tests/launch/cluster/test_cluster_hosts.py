"""All hosts of a run, played by this machine."""

import sys

import pytest

from tests.launch.cluster.clusters import small_plan
from zdqn.config.cluster_sections import HostDefaults
from zdqn.errors import ConfigError, NotAllowedError, PeerUnavailableError
from zdqn.launch.cluster.cluster_hosts import ClusterHosts, in_parallel
from zdqn.launch.cluster.cluster_plan import on_this_machine
from zdqn.wire.keys.key_folder import KeyFolder


def make(tmp_path, plan=None, **options):
    plan = plan or on_this_machine(small_plan(), python=sys.executable, directory=tmp_path)
    values = {"run": "run", "directory": tmp_path / "run", "use": None, "secure": True, **options}
    return ClusterHosts(plan, say=lambda line: None, **values)


def test_each_has_a_place_and_keys_and_servers_know_all(tmp_path):
    with make(tmp_path) as hosts:
        hosts.open()
        assert set(hosts.places) == {"m", "g", "c1", "c2"}
        assert hosts.places["m"].directory == str(tmp_path / "run")
        allowed = KeyFolder(tmp_path / "run" / "hosts" / "m" / "keys").allowed()
        names = sorted(caller.name for caller in allowed.callers.values())
        assert names == [
            "collector@c1", "collector@c2", "collector@g", "learner@g", "operator@",
        ]  # fmt: skip
        less = hosts._plan.without("c1")
        hosts.remove("c1", less)
        allowed = KeyFolder(tmp_path / "run" / "hosts" / "m" / "keys").allowed()
        assert "collector@c1" not in {caller.name for caller in allowed.callers.values()}


def test_what_looks_at_hosts_leaves_nothing_there(tmp_path):
    with make(tmp_path, errand="look", secure=False) as hosts:
        hosts.open()
        assert hosts.ask("m", "who", {})["python"]
        assert hosts.answers("m")
    assert not hosts.answers("m")
    assert not list(tmp_path.iterdir())


def test_all_that_cannot_be_used_are_named(tmp_path):
    plan = on_this_machine(
        small_plan(defaults=HostDefaults()), python="/no/python", directory=tmp_path
    )
    with make(tmp_path, plan) as hosts, pytest.raises(ConfigError) as error:
        hosts.open()
    assert str(error.value).startswith("4 hosts cannot be used:\n  m: its python cannot be run")
    for host in plan.hosts:
        assert f"\n  {host}: " in str(error.value)


def test_what_is_done_for_each_fails_for_each():
    def fail(error):
        raise error

    errors = in_parallel(
        {"a": lambda: None, "b": lambda: fail(NotAllowedError("no")),
         "c": lambda: fail(PeerUnavailableError("away"))}
    )  # fmt: skip
    assert {host: str(error) for host, error in errors.items()} == {"b": "no", "c": "away"}
    assert in_parallel({}) == {}
