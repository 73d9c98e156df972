"""Roles with keys against those that have none, another's, or the wrong one's."""

import shutil

import pytest

from tests.roles.conftest import DEADLINE_S, eventually, quick_config
from tests.roles.test_whole_system import start_all
from zdqn.doctor import Verdict
from zdqn.doctor.servers import examine_server
from zdqn.errors import ConfigError, NotAllowedError
from zdqn.wire.addresses import parse_address
from zdqn.wire.asking import ask
from zdqn.wire.keys.key_folder import KeyFolder
from zdqn.wire.keys.role_keys import open_keys
from zdqn.wire.memory_messages import AccountsRequest, SampleRequest
from zdqn.wire.model_messages import Claim
from zdqn.wire.node import Node
from zdqn.wire.protocol import StatusRequest, Stop
from zdqn.wire.remote_control import fetch_status, request_stop

pytestmark = pytest.mark.own_keys

STEADY = ("stop.updates=0", "learner.compile=false", "links.ping_period_s=0.05")


@pytest.fixture(autouse=True)
def short_linger(monkeypatch):
    """What is unsent when a test is over is not waited for."""
    monkeypatch.setattr("zdqn.wire.sockets.LINGER_MS", 300)


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """What is the matter is found out, however busy the machine."""
    monkeypatch.setattr("zdqn.wire.diagnosis.PATIENCE_S", DEADLINE_S)


@pytest.fixture
def running(keyed_system):
    """Memory and learner with keys, and a collector at work."""
    memory, learner = start_all(keyed_system, quick_config(*STEADY), evaluators=0)
    address = memory.role.endpoints["samples"]
    eventually(
        lambda: fetch_status(address, DEADLINE_S, keyed_system.operator, "memory")["size"],
        "transitions",
    )
    yield keyed_system, memory, learner
    learner.stop_event.set()  # while the memory is there: nobody waits for anybody
    learner.result()


@pytest.mark.parametrize(
    ("role", "server", "message"),
    [
        ("collector", "memory", SampleRequest(batch_size=4)),
        ("collector", "memory", Stop(reason="mischief")),
        ("collector", "memory", StatusRequest()),
        ("collector", "memory", AccountsRequest()),
        ("collector", "learner", Stop(reason="mischief")),
        ("collector", "learner", Claim(session=1, wait_ms=0)),
        ("operator", "memory", SampleRequest(batch_size=4)),
        ("evaluator", "learner", Stop(reason="mischief")),
    ],
    ids=lambda value: value if isinstance(value, str) else value.kind.name,
)
def test_a_key_does_what_its_role_does_and_nothing_else(running, role, server, message, caplog):
    system, memory, learner = running
    at = {"memory": memory.role.endpoints["samples"], "learner": learner.role.endpoints["model"]}
    address = parse_address(at[server], parameter="it")
    with (
        Node(keys=open_keys(system.keys, role)) as node,
        node.client(address, server) as client,
        pytest.raises(NotAllowedError) as caught,
    ):
        ask(client, message, server=server, timeout_s=DEADLINE_S)
    own = KeyFolder(system.keys).own(role)
    for words in (f"a {role}'s key may not send {message.kind.name} to a {server}", str(own)):
        assert words in str(caught.value)
        assert words in caplog.text
    assert fetch_status(at[server], DEADLINE_S, system.operator, server)["role"] == server


def test_strangers_end_with_a_sentence_and_the_run_goes_on(running, tmp_path):
    system, memory, learner = running
    address = memory.role.endpoints["samples"]
    stranger = KeyFolder(tmp_path / "stranger")
    stranger.init()
    config = quick_config(*STEADY)
    with pytest.raises(NotAllowedError, match="and none was given"):
        system.collector(config, learner, keys="").result()
    with pytest.raises(NotAllowedError, match="has another key than the one that we know"):
        system.collector(config, learner, keys=stranger.path).result()
    for server in ("memory", "learner"):
        shutil.copy2(system.keys / f"{server}.public", stranger.path)
    with pytest.raises(NotAllowedError, match="does not let in our collector's key"):
        system.collector(config, learner, keys=stranger.path).result()
    with pytest.raises(NotAllowedError, match="and none was given"):
        fetch_status(address, 1)
    with pytest.raises(NotAllowedError, match="does not let in our operator's key"):
        request_stop(address, "mischief", 1, open_keys(stranger.path, "operator"))
    before = fetch_status(address, DEADLINE_S, system.operator, "memory")["transitions"]

    def later():
        return fetch_status(address, DEADLINE_S, system.operator, "memory")["transitions"]

    eventually(lambda: later() > before, "more transitions")


def test_the_doctor_looks_at_a_server_with_an_operators_key(running):
    system, memory, _ = running
    address = memory.role.endpoints["samples"]
    found = list(examine_server("memory", address, system.operator))
    assert [finding.subject for finding in found][:2] == ["memory", "way to the memory"]
    assert all(finding.exit_code == 0 for finding in found)
    (refused,) = examine_server("memory", address)
    assert (refused.verdict, refused.exit_code) == (Verdict.BAD, 77)


def test_a_server_without_keys_is_told_from_the_one_that_is_meant(system, tmp_path):
    keys = KeyFolder(tmp_path / "keys")
    keys.init()
    memory = system.memory(quick_config(*STEADY))
    with pytest.raises(NotAllowedError, match="runs without keys"):
        fetch_status(memory.role.endpoints["samples"], 1, open_keys(keys.path, "operator"))


def test_a_collector_whose_key_is_revoked_ends_and_says_why(running, tmp_path, caplog):
    caplog.set_level("INFO")
    system, _, learner = running
    lab7 = KeyFolder(tmp_path / "lab7")
    lab7.init(["collector"])
    for server in ("memory", "learner"):
        shutil.copy2(system.keys / f"{server}.public", lab7.path)
    folder = KeyFolder(system.keys)
    folder.allow("collector", str(lab7.path / "collector.public"), "lab7")
    both = "read who is let in again: 5 keys"
    eventually(lambda: caplog.text.count(both) == 2, "both servers read it")
    collector = system.collector(None, learner, keys=lab7.path, name="lab7")

    def rows():
        address = learner.role.endpoints["model"]
        status = fetch_status(address, DEADLINE_S, system.operator, "learner")
        return {row["name"]: row for row in status["clients"]}

    eventually(lambda: rows().get("lab7", {}).get("environment_steps"), "lab7 at work")
    folder.revoke("lab7")
    with pytest.raises(NotAllowedError, match=r"does not let in our collector's key|was revoked"):
        collector.result()
    assert any(row["state"] == "living" for row in rows().values())


def test_code_that_comes_by_the_network_must_be_allowed(system):
    config = quick_config("environment.id=tests.roles.conftest:Corridor", *STEADY)
    memory = system.memory(config)
    learner = system.learner(config, memory)
    for start in (system.collector, system.evaluator):
        with pytest.raises(ConfigError, match=r"--allow-code tests\.roles\.conftest"):
            start(None, learner).result()
    collector = system.collector(None, learner, allow_code=["tests.roles"])
    address = memory.role.endpoints["samples"]
    eventually(lambda: fetch_status(address, DEADLINE_S)["size"], "transitions of the corridor")
    assert not collector.ended
