"""Very many at once: subscribers, pushers, a flood, and collectors that come and go."""

import os
import resource
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import LOOPBACK
from tests.roles.conftest import eventually
from tests.roles.processes import Processes, updates_of
from tests.wire.links import make_receiver
from zdqn.data import Block, EnvironmentSpec
from zdqn.wire import block_payload, codec
from zdqn.wire.addresses import parse_address
from zdqn.wire.memory_messages import BlockHeader
from zdqn.wire.node import Node
from zdqn.wire.protocol import Hello, Ping, Spec
from zdqn.wire.remote_control import fetch_status, request_stop
from zdqn.wire.sockets import Context, Waiter
from zdqn.wire.transition_sockets import TransitionSender
from zdqn.wire.weight_sockets import WeightPublisher, WeightSubscriber

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_200)]

MANY = 1_000
SPEC = EnvironmentSpec((4,), "float32", 2)
SOAK_S = 60 * float(os.environ.get("ZDQN_SOAK_MINUTES", "10"))
DEADLINE_S = 60


@pytest.fixture(autouse=True)
def descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 5 * MANY:
        pytest.skip(f"a process may have {hard} files here: allow {5 * MANY} (`ulimit -Hn`)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_1000_subscribers_all_end_on_the_newest_weights(record_property):
    with Context() as context, WeightPublisher(context, LOOPBACK) as publisher:
        waiting = {WeightSubscriber(context, publisher.address) for _ in range(MANY)}
        everyone = list(waiting)
        start_s = time.monotonic()

        def all_have_some():
            publisher.publish(b"first" + bytes(10_000))
            waiting.difference_update([one for one in waiting if one.latest() is not None])
            return not waiting

        eventually(all_have_some, "weights for everyone", DEADLINE_S)
        publisher.publish(b"last" + bytes(10_000))
        waiting.update(everyone)

        def all_have_the_last():
            for one in tuple(waiting):
                message = one.latest()
                if message is not None and bytes(message[:4]) == b"last":
                    waiting.remove(one)
            return not waiting

        eventually(all_have_the_last, "the last weights for everyone", DEADLINE_S)
        record_property("measured", {"s": time.monotonic() - start_s})
        for one in everyone:
            one.close()


def test_1000_pushers_all_get_through(record_property):
    with Context() as context, make_receiver(context, LOOPBACK) as receiver:
        sending = [make_sender_of(context, receiver.address, number) for number in range(MANY)]
        taken = np.zeros(MANY, int)
        waiter = Waiter([receiver])
        while taken.sum() < 2 * MANY:
            assert waiter.wait(DEADLINE_S * 1000), f"{taken.sum()} came"
            while (message := receiver.receive(copy=True)) is not None:
                taken[int.from_bytes(message[:4], "little")] += 1
        assert (taken == 2).all()
        record_property("measured", {"blocks": int(taken.sum())})
        for sender in sending:
            sender.close()


def make_sender_of(context, address, number):
    sender = TransitionSender(context, address, high_water_mark=2, buffer_bytes=8_192)
    for _ in range(2):
        assert sender.send(number.to_bytes(4, "little") + bytes(200), lambda: False)
    return sender


def flood(context, address, session, done):
    """Send blocks of one transition, as fast as they are taken."""
    rng = np.random.default_rng(session)
    frames = rng.normal(size=(2, 4)).astype("f4")
    records = np.zeros(1, SPEC.record_dtype)
    records["next_observation"] = 1
    records["priority"] = -1
    block = Block(frames, records)
    with TransitionSender(context, address, high_water_mark=8, buffer_bytes=65_536) as sender:
        sequence = 0
        while not done.is_set():
            header = BlockHeader(
                session=session, sequence=sequence, origin=SPEC.digest, frames=2, transitions=1,
                environment_steps=sequence + 1, episodes=0,
            )  # fmt: skip
            sender.send(block_payload.encode_block(header, block), done.is_set)
            sequence += 1


def test_pings_are_answered_while_100_collectors_flood_the_memory(tmp_path, record_property):
    processes = Processes(tmp_path, "replay.samples_per_insert=0")
    done = threading.Event()
    try:
        _, samples = processes.memory()
        address = parse_address(samples, parameter="samples")
        transitions = parse_address(f"tcp://127.0.0.1:{address.port - 1}", parameter="transitions")
        with Node() as node, Context(2) as context, node.client(address, "memory") as client:
            hello = Hello(role="collector", name="prober", session=1, spec=Spec.of(SPEC))
            assert client.request(codec.encode(hello), timeout_s=10) is not None
            threads = [
                threading.Thread(target=flood, args=(context, transitions, session, done))
                for session in range(2, 102)
            ]
            for thread in threads:
                thread.start()
            times_s = []
            try:
                for _ in range(400):
                    start_s = time.monotonic()
                    ping = codec.encode(Ping(session=1, statistics={}))
                    assert client.request(ping, timeout_s=10) is not None
                    times_s.append(time.monotonic() - start_s)
                    done.wait(0.02)
                stored = fetch_status(samples, 10)["blocks"]
            finally:
                done.set()
                for thread in threads:
                    thread.join(DEADLINE_S)
        tail_s = float(np.quantile(times_s, 0.99))
        record_property("measured", {"p99_s": tail_s, "blocks": stored})
        assert stored > 1_000
        assert tail_s < 1
    finally:
        processes.close()


def resident_mib(process):
    pages = int(Path(f"/proc/{process.process.pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def descriptors_of(process):
    return len(list(Path(f"/proc/{process.process.pid}/fd").iterdir()))


def test_a_soak_of_collectors_that_come_and_go_leaks_nothing(tmp_path, record_property):
    processes = Processes(tmp_path, "replay.capacity=1000", "learner.report_period_s=1")
    try:
        memory, samples = processes.memory()
        learner, model = processes.learner(samples)
        processes.start("collector", "--learner", model)
        updates_of(model)
        servers = {"memory": memory, "learner": learner}
        rows: dict[str, list[tuple[float, float, int]]] = {name: [] for name in servers}
        start_s, joined = time.monotonic(), 0
        visitor = processes.start("collector", "--learner", model)
        pause = threading.Event()
        while (elapsed_s := time.monotonic() - start_s) < SOAK_S:
            visitor.kill()
            joined += 1
            name = f"visitor {joined}"
            visitor = processes.start("collector", "--learner", model, "--name", name)
            learner.says(f"{name} has joined")
            pause.wait(1)
            for role, server in servers.items():
                rows[role].append((elapsed_s, resident_mib(server), descriptors_of(server)))
        visitor.kill()
        measured: dict[str, Any] = {"joined": joined}
        for name, values in rows.items():
            settled = np.array(values[len(values) // 3 :])
            slope = float(np.polyfit(settled[:, 0] / 60, settled[:, 1], 1)[0])
            measured[name] = {"mib_per_minute": slope, "descriptors": settled[[0, -1], 2].tolist()}
        record_property("measured", measured)
        request_stop(model, "enough", DEADLINE_S)
        assert learner.end() == memory.end() == 0
        for name in servers:
            assert measured[name]["mib_per_minute"] < 1, measured
            first, last = measured[name]["descriptors"]
            assert abs(last - first) <= 6, measured  # those of visitors that have just come or gone
    finally:
        processes.close()
