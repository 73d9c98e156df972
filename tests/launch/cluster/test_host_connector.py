"""How a host is connected; over ssh: tests/network/test_launch_over_ssh.py."""

import sys

import pytest

from tests.launch.cluster.agents import Heard
from zdqn.config.cluster_sections import SshSection
from zdqn.errors import ConfigError, MismatchError
from zdqn.launch.cluster import versions
from zdqn.launch.cluster.cluster_plan import PlannedHost
from zdqn.launch.cluster.host_connector import HostConnector


def make(errand="run", said=None):
    said = [] if said is None else said
    return HostConnector(SshSection(), None, run="run", errand=errand, say=said.append)


def host_of(tmp_path, **changes):
    values = {"python": sys.executable, "directory": str(tmp_path), "address": "127.0.0.1"}
    return PlannedHost("h", **{**values, **changes})


def test_an_agent_takes_its_place(tmp_path):
    host = host_of(tmp_path)
    with make().connect(host, Heard()) as link:
        place = make().find_place(host, link, secure=True)
        assert place.directory == str(tmp_path / "run")
        assert place.keys == str(tmp_path / "run" / "hosts" / "h" / "keys")
        assert place.address == "127.0.0.1"
        assert make().find_place(host, link, secure=False).keys == ""


def test_who_looks_takes_none(tmp_path):
    host, connector = host_of(tmp_path), make("look")
    with connector.connect(host, Heard()) as link:
        assert connector.find_place(host, link, secure=False).directory == ""
    assert not list(tmp_path.iterdir())


def test_setup_comes_first_and_what_it_prints_is_no_answer(tmp_path):
    host = host_of(tmp_path, setup=("echo welcome", f"touch '{tmp_path}/was here'"))
    make("look").connect(host, Heard()).close()
    assert (tmp_path / "was here").exists()
    with pytest.raises(ConfigError, match="h: a line of setup failed: false"):
        make().connect(host_of(tmp_path, setup=("false",)), Heard())


def test_another_zdqn_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(versions, "PROTOCOL_VERSION", 99)
    with pytest.raises(MismatchError, match="protocol 99"):
        make().connect(host_of(tmp_path), Heard())
