"""What each role is told: addresses, keys and folders of its own host."""

from pathlib import Path

import pytest

from tests.launch.cluster.clusters import small_plan
from zdqn.launch.cluster.cluster_placement import ClusterPlacement, HostPlace

PLACES = {
    "m": HostPlace("10.0.0.1", "/home/m/run", "/home/m/run/hosts/m/keys"),
    "g": HostPlace("10.0.0.2", "/home/g/run", "/home/g/run/hosts/g/keys"),
    "c1": HostPlace("10.0.0.3", "/home/c/run", "/home/c/run/hosts/c1/keys"),
}
MEMORY = {"memory": {"samples": "tcp://10.0.0.1:5556", "transitions": "tcp://10.0.0.1:5555"}}
LEARNER = {"learner": {"model": "tcp://10.0.0.2:5558", "weights": "tcp://10.0.0.2:5557"}}


@pytest.fixture
def placement():
    return ClusterPlacement(small_plan(), PLACES, directory=Path("/here"))


def assign(placement, name, endpoints):
    (process,) = (p for p in placement.processes() if p.name == name)
    return placement.assignment(process, endpoints, "info")


def test_a_server_is_told_its_own_folder_and_keys(placement):
    told = assign(placement, "memory", {})
    assert told.config.security.keys == "/home/m/run/hosts/m/keys"
    assert told.config.memory.bind == "tcp://0.0.0.0:5556"
    assert told.arguments["run_directory"] == Path("/home/m/run")
    assert told.arguments["bind"] is None
    assert told.arguments["insecure"] is False
    assert told.elsewhere


def test_a_memory_that_is_started_again_takes_its_ports_on_every_interface(placement):
    endpoints = {"memory": {"samples": "tcp://10.0.0.1:40001"}}
    assert assign(placement, "memory", endpoints).arguments["bind"] == "tcp://0.0.0.0:40001"


def test_clients_wait_for_the_servers_they_need(placement):
    assert assign(placement, "learner", {}) is None
    assert assign(placement, "learner", MEMORY).arguments["memory"] == "tcp://10.0.0.1:5556"
    assert assign(placement, "collector-0@c1", MEMORY) is None
    told = assign(placement, "collector-0@c1", {**MEMORY, **LEARNER})
    assert told.arguments["learner"] == "tcp://10.0.0.2:5558"
    assert told.arguments["name"] == "collector-0@c1"
    assert told.config.security.keys == "/home/c/run/hosts/c1/keys"


def test_addresses_are_those_of_the_host_whatever_it_calls_itself(placement):
    memory = placement.processes()[0]
    told = {"samples": "tcp://localhost:5556", "transitions": "tcp://vm:5555"}
    assert placement.reachable(memory, told) == {
        "samples": "tcp://10.0.0.1:5556", "transitions": "tcp://10.0.0.1:5555",
    }  # fmt: skip


def test_without_keys_servers_are_open_and_only_then():
    places = {"m": HostPlace("10.0.0.1", "/home/m/run")}
    open_to_all = ClusterPlacement(small_plan(), places, directory=Path("/here"))
    told = assign(open_to_all, "memory", {})
    assert told.arguments["insecure"] is True
    assert told.config.security.keys == ""


def test_a_learner_goes_on_in_its_own_folder():
    resuming = ClusterPlacement(small_plan(), PLACES, directory=Path("/here"), resume=True)
    told = assign(resuming, "learner", MEMORY)
    assert told.arguments["resume"] == told.arguments["run_directory"] == Path("/home/g/run")
