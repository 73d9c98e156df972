"""Ports that servers want, and servers as they are found: up, of another role, strangers, away."""

import socket

import pytest

from tests.wire.links import WAIT_S
from zdqn.config import Config
from zdqn.doctor import Verdict, servers
from zdqn.wire import releases
from zdqn.wire.protocol import Status
from zdqn.wire.remote_control import LinkSpeed


@pytest.fixture(autouse=True)
def unhurried(monkeypatch):
    """Who is there answers, however busy the machine."""
    monkeypatch.setattr(servers, "_TIMEOUT_S", WAIT_S)


@pytest.fixture
def quick(monkeypatch, unhurried):
    """Who is not there is not waited for long."""
    monkeypatch.setattr(servers, "_TIMEOUT_S", 0.3)


@pytest.fixture
def listening():
    """A program that listens and is no zdqn."""
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield f"tcp://127.0.0.1:{made.getsockname()[1]}"


def ports(**binds):
    config = Config().replace(
        {"memory.bind": "tcp://127.0.0.1:0", "learner.bind": "tcp://127.0.0.1:0"}
        | {f"{role}.bind": bind for role, bind in binds.items()}
    )
    return {finding.subject: finding for finding in servers.examine_ports(config)}


def test_a_free_port_is_good(nobody):
    assert "taken at the start" in ports()["memory's port"].text
    found = ports(learner=str(nobody))["learner's port"]
    assert found.verdict is Verdict.GOOD
    with socket.create_server((nobody.host, nobody.port)):
        pass  # it was let go again


def test_a_port_that_somebody_has_is_bad(listening, quick):
    found = ports(memory=listening)["memory's port"]
    assert (found.verdict, found.exit_code) == (Verdict.BAD, 73)


def test_the_port_below_counts_too(nobody, quick):
    below = nobody.companion()
    with socket.create_server((below.host, below.port)):
        found = ports(memory=str(nobody))["memory's port"]
    assert found.verdict is Verdict.BAD
    assert f"127.0.0.1:{below.port}." in found.text


def test_a_server_of_another_zdqn_is_odd_and_named(fake, monkeypatch):
    monkeypatch.setattr(servers, "measure_link", lambda *_: LinkSpeed((0.001,), 1e9))
    monkeypatch.setattr(releases, "own_release", lambda: "9.9.9")

    def look(release):
        server = fake(StatusRequest=[Status(role="memory", values={"zdqn": release})])
        found = servers.examine_server("memory", str(server.address))
        return [finding for finding in found if finding.subject == "memory's zdqn"]

    assert look("9.9.9") == look("") == []
    (other,) = look("0.0.1")
    assert other.verdict is Verdict.ODD
    assert "is of zdqn 0.0.1, and this machine of 9.9.9" in other.text


def test_a_port_that_a_zdqn_has_names_it(fake):
    server = fake(StatusRequest=[Status(role="memory", values={"run_id": "run-a"})])
    found = ports(memory=str(server.address))["memory's port"]
    assert found.verdict is Verdict.ODD
    assert found.text == "a memory of zdqn is up there already, of run run-a"


@pytest.mark.parametrize("bind", ["tcp://192.0.2.1:5556", "tcp://no.such.host.invalid:5556"])
def test_an_address_of_another_machine_cannot_be_bound(bind):
    found = ports(learner=bind)["learner's port"]
    assert (found.verdict, found.exit_code) == (Verdict.BAD, 78)


def examine(role, address):
    return list(servers.examine_server(role, str(address)))


def test_a_server_that_is_up_is_looked_at(fake, nobody):
    echo = [lambda header: header]
    server = fake(
        nobody, StatusRequest=[Status(role="memory", values={"run_id": "run-a"})], Echo=echo
    )
    up, way, one_way = examine("memory", server.address)
    assert up.text == f"{server.address} is up, of run run-a"
    assert way.subject == "way to the memory"
    assert (one_way.verdict, one_way.exit_code) == (Verdict.BAD, 69)
    assert "two" in one_way.remedy


@pytest.mark.parametrize(
    ("speed", "verdict"),
    [
        (LinkSpeed((0.001, 0.001, 0.5), 1e8), Verdict.GOOD),
        (LinkSpeed((0.001, 0.03, 0.04), 1e8), Verdict.ODD),
        (LinkSpeed((0.001, 0.001, 0.001), 1e6), Verdict.ODD),
    ],
)
def test_a_slow_way_is_odd(fake, monkeypatch, speed, verdict):
    server = fake(StatusRequest=[Status(role="learner", values={"run": {"run_id": "b"}})])
    monkeypatch.setattr(servers, "measure_link", lambda *_: speed)
    assert examine("learner", server.address)[1].verdict is verdict


def test_a_server_of_the_other_role_is_named(fake):
    server = fake(StatusRequest=[Status(role="learner", values={})])
    (found,) = examine("memory", server.address)
    assert (found.verdict, found.exit_code) == (Verdict.BAD, 76)
    assert "--learner" in found.remedy


def test_nobody_and_a_stranger_are_told_apart(nobody, listening, quick):
    (absent,) = examine("memory", nobody)
    assert (absent.verdict, absent.exit_code) == (Verdict.BAD, 69)
    assert "nothing listens at that port" in absent.remedy
    (stranger,) = examine("memory", listening)
    assert "Something listens there" in stranger.remedy


@pytest.mark.parametrize(
    ("error", "words"),
    [(TimeoutError(), "firewall"), (OSError(113, "No route to host"), "No route to host")],
)
def test_a_machine_that_is_not_reached_is_described(monkeypatch, nobody, error, words, quick):
    def fail(*_):
        raise error

    monkeypatch.setattr(socket, "create_connection", fail)
    assert words in examine("memory", nobody)[0].remedy


def test_an_address_that_is_none_is_bad():
    (found,) = examine("memory", "here")
    assert (found.verdict, found.exit_code) == (Verdict.BAD, 78)
