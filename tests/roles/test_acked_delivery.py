"""Acknowledged delivery with real processes and connections: what is promised of both."""

import re
import signal
from pathlib import Path

import pytest

from tests.roles.conftest import DEADLINE_S, eventually, quick_config
from tests.roles.cutting_proxy import HOST, CuttingProxy
from tests.roles.processes import ENVIRONMENT, Processes, updates_of
from tests.roles.witness import DISCOUNT, check
from zdqn.data import EnvironmentSpec
from zdqn.errors import MismatchError
from zdqn.wire import codec
from zdqn.wire.addresses import parse_address
from zdqn.wire.memory_messages import SampleRequest
from zdqn.wire.payloads import read_batches
from zdqn.wire.remote_control import fetch_status, request_stop
from zdqn.wire.request_sockets import Client
from zdqn.wire.sockets import Context

ACKED = ("links.delivery=acked",)
WITNESSED = (
    "environment.id=tests.roles.witness:Witness", f"algorithm.discount={DISCOUNT}",
    "replay.samples_per_insert=0", "replay.capacity=400_000", "algorithm.learning_rate=1e-12",
    "exploration.epsilon_initial=1", "exploration.epsilon_final=1", "links.dead_after_s=10",
)  # fmt: skip


@pytest.fixture
def start(tmp_path):
    """Makes processes with a configuration; they are ended with the test."""
    made = []

    def make(*overrides):
        made.append(Processes(tmp_path, *ACKED, *overrides))
        return made[-1]

    yield make
    for processes in made:
        processes.close()


def account(summary):
    parts = ("blocks", "blocks_lost", "blocks_refused", "blocks_in_flight")
    assert summary["blocks_sent"] == sum(summary[name] for name in parts)
    assert min(summary[name] for name in parts) >= 0
    return tuple(summary[name] for name in ("blocks_sent", *parts))


def sent_by(collectors):
    """Add up blocks and transitions that collectors say they sent."""
    found = [re.findall(r"sent (\d+) blocks with (\d+) trans", one.log)[0] for one in collectors]
    return tuple(sum(int(row[column]) for row in found) for column in (0, 1))


def draw(address, batches):
    """Check what is sampled against what happened; gives what each key is of."""
    found: dict[int, tuple[int, ...]] = {}
    spec = EnvironmentSpec((4,), "float32", 3)
    ask = codec.encode(SampleRequest(batch_size=256, batches=64, wait_ms=1000))
    with Context() as context, Client(context, parse_address(address, parameter="test")) as client:
        for _ in range(batches):
            body = client.request(ask, timeout_s=DEADLINE_S)
            assert body is not None
            _, batch = read_batches(codec.decode(body), spec)
            check(batch, 1, 1)
            happened = batch.observations[:, :3].astype(int).tolist()
            found |= dict(zip(batch.keys.tolist(), map(tuple, happened), strict=True))
    return found


def test_a_memory_on_disk_that_is_killed_over_and_over_loses_and_doubles_nothing(
    start, tmp_path, monkeypatch
):
    monkeypatch.setitem(ENVIRONMENT, "PYTHONPATH", str(Path(__file__).parents[2]))
    processes = start(*WITNESSED, "replay.storage=disk", f"replay.path={tmp_path}/replay")
    memory, samples = processes.memory()
    learner, model = processes.learner(samples)
    own = ("run.toml", "--learner", model)  # a learner's would name code
    collectors = [processes.start("collector", *own) for _ in range(2)]
    updates = updates_of(model)
    for _ in range(4):
        memory.kill()
        memory, _ = processes.memory(samples)
        updates = updates_of(model, more_than=updates + 20)
    for collector in collectors:
        assert collector.kill(signal.SIGTERM) == 0
    blocks, transitions = sent_by(collectors)
    status = fetch_status(samples, DEADLINE_S)
    assert (status["blocks"], status["transitions"]) == (blocks, transitions)
    found = draw(samples, 20)
    assert len(found) > 1000
    assert max(found) < transitions
    assert len(set(found.values())) == len(found), "a transition has two keys"
    request_stop(model, "enough", DEADLINE_S)
    assert [one.end() for one in (learner, memory)] == [0, 0]
    assert account(processes.summary()) == (blocks, blocks, 0, 0, 0)
    assert sum("again, from number" in one.log for one in collectors) > 0


def test_what_a_memory_of_snapshots_had_acknowledged_since_is_lost_and_counted(start, tmp_path):
    processes = start("replay.snapshot_period_s=0.3", f"replay.path={tmp_path}/replay")
    memory, samples = processes.memory()
    learner, model = processes.learner(samples)
    collector = processes.start("collector", "--learner", model)
    updates = updates_of(model)
    for _ in range(2):
        eventually(lambda: list((tmp_path / "replay").rglob("*.json")), "a snapshot")
        updates = updates_of(model, more_than=updates + 100)
        memory.kill()
        memory, _ = processes.memory(samples)
        memory.says("came back with")
        updates = updates_of(model, more_than=updates + 100)
    assert collector.kill(signal.SIGTERM) == 0
    lost = fetch_status(samples, DEADLINE_S)["blocks_lost"]
    logged = re.findall(r"(\d+) blocks that .* went with an earlier end", memory.log)
    assert lost == sum(map(int, logged))
    request_stop(model, "enough", DEADLINE_S)
    assert [one.end() for one in (learner, memory)] == [0, 0]
    sent, stored, lost_of_all, refused, in_flight = account(processes.summary())
    assert sent == sent_by([collector])[0]
    assert (refused, in_flight) == (0, 0)
    assert lost_of_all >= lost
    assert stored == sent - lost_of_all > 0


def test_who_must_end_while_nobody_acknowledges_says_how_many_are_missing(start):
    processes = start("replay.samples_per_insert=0")
    memory, samples = processes.memory()
    _, model = processes.learner(samples)
    collector = processes.start("collector", "--learner", model)
    updates_of(model)
    memory.process.send_signal(signal.SIGSTOP)
    eventually(
        lambda: fetch_status(model, DEADLINE_S)["clients"][0].get("unacknowledged"),
        "some are under way",
    )
    collector.process.send_signal(signal.SIGTERM)
    collector.says(r"[1-9]\d* of the blocks that were sent are not acknowledged so far; they are")
    assert collector.end() == 0
    memory.process.send_signal(signal.SIGCONT)


def through(memory, proxies):
    """Give the address of a memory by way of a proxy."""
    ports = [
        int(memory.role.endpoints[link].rpartition(":")[2]) for link in ("samples", "transitions")
    ]
    proxies.append(CuttingProxy(*ports))
    return f"tcp://{HOST}:{ports[0]}"


@pytest.mark.parametrize("ratio", [0, 2])
def test_connections_that_are_cut_lose_nothing(either_system, ratio):
    system = either_system
    config = quick_config(*ACKED, f"replay.samples_per_insert={ratio}", "stop.updates=0")
    memory = system.memory(config)
    learner = system.learner(config, memory)
    proxies: list[CuttingProxy] = []
    try:
        collector = system.collector(config, learner, memory=through(memory, proxies))
        status = memory.role.status
        for _ in range(10):
            before = status()["blocks"]
            eventually(lambda before=before: status()["blocks"] > before + 5, "more blocks")
            # what the memory had taken in can be counted before there is a new connection
            eventually(proxies[0].cut, "a connection to cut")
        collector.stop()
        sent = collector.result().blocks_sent
        assert (status()["blocks"], status()["blocks_lost"]) == (sent, 0)
    finally:
        for proxy in proxies:
            proxy.close()
    request_stop(learner.role.endpoints["model"], "enough", DEADLINE_S, system.operator, "learner")
    assert account(learner.result().summary) == (sent, sent, 0, 0, 0)


@pytest.mark.parametrize(("at_memory", "at_collector"), [("plain", "acked"), ("acked", "plain")])
def test_both_ends_must_agree(system, at_memory, at_collector):
    memory = system.memory(quick_config(f"links.delivery={at_memory}"))
    config = quick_config(f"links.delivery={at_collector}", "stop.updates=0")
    learner = system.learner(config, memory)
    collector = system.collector(config, learner, name="the other")
    told = f"(?s)links.delivery: here '{at_memory}', there '{at_collector}'.*Start the other and"
    with pytest.raises(MismatchError, match=told):
        collector.result()


@pytest.mark.parametrize("delivery", ["plain", "acked"])
def test_only_what_is_acked_is_kept(system, delivery):
    config = quick_config(f"links.delivery={delivery}", "stop.updates=0")
    memory = system.memory(config)
    learner = system.learner(config, memory)
    system.collector(config, learner)
    model = learner.role.endpoints["model"]

    def told():
        rows = fetch_status(model, DEADLINE_S)["clients"]
        sent = [row for row in rows if row.get("blocks_sent", 0) > 10]
        return sent and sent[0]

    row = eventually(told, "a collector that has sent blocks")
    assert ("unacknowledged" in row) == ("resent" in row) == (delivery == "acked")
    request_stop(learner.role.endpoints["model"], "enough", DEADLINE_S)
