"""Greedy actions a second for remote-policy collectors, and what serving them costs the learner."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from zdqn.benchmarks.bench_learner import learner_config
from zdqn.benchmarks.measuring import Effort, Figure, Goal, Result, Say, divide
from zdqn.benchmarks.processes import (
    LOOPBACK,
    LearnerProcess,
    Link,
    MemoryProcess,
    Worker,
    tell_all,
)
from zdqn.benchmarks.subjects import VECTOR
from zdqn.config import Config
from zdqn.errors import RoleFailedError
from zdqn.rl.exploration import Exploration
from zdqn.wire.addresses import parse_address
from zdqn.wire.asking import ask
from zdqn.wire.membership import new_session
from zdqn.wire.node import Node
from zdqn.wire.protocol import Hello, Spec
from zdqn.wire.request_sockets import Request
from zdqn.wire.sockets import Waiter

CLIENTS = 8
GOALS = {
    "idle": (Goal(12_000), Goal(1.0, at_most=True)),
    "training": (Goal(8_000), Goal(2.0, at_most=True)),
}
"""Actions/s, and the median latency in ms."""
KEPT_GOAL = Goal(0.8)

_ITEMS = 100_000
_MARGIN_S = 0.5
_TIMEOUT_S = 10.0
_POLL_MS = 100


class _Served(NamedTuple):
    """What the clients saw in one measurement."""

    actions_per_s: float
    median_ms: float
    tail_ms: float


def measure(effort: Effort, say: Say, *, clients: int = CLIENTS, items: int = _ITEMS) -> Result:
    """Measure an idle learner, then the same one as it trains, beside a bare server.

    Args:
        effort: how long.
        say: told what is going on.
        clients: remote-policy collectors of one environment, a process each.
        items: transitions in the memory.
    """
    config = learner_config(32, compiled=False, items=items)
    result = Result()
    with (
        tempfile.TemporaryDirectory(prefix="zdqn-bench-") as folder,
        MemoryProcess(config, VECTOR) as memory,
        LearnerProcess(config, memory, Path(folder)) as learner,
        Worker(_serve_bare, config) as bare,
    ):
        asking = [Worker(_ask_learner, config, learner.model) for _ in range(clients)]
        asking_bare = [
            Worker(_ask_bare, bare_address) for bare_address in [bare.receive()] * clients
        ]
        try:
            say("actions: the learner idle")
            idle, bound = _measure_idle(effort, asking, asking_bare)
            result.add(*_figures("actions.idle", idle, bound, GOALS["idle"]))
            memory.fill(items)
            learner.wait_for_updates(20)
            say("actions: the learner training")
            training, alone, meanwhile = _measure_training(effort, asking, learner)
            result.add(*_figures("actions.training", training, bound, GOALS["training"]))
        finally:
            for worker in (*asking, *asking_bare):
                worker.close()
    result.add(
        Figure("actions.training.learner", "updates/s", meanwhile, alone),
        Figure("actions.training.learner_speed_kept", "", divide(meanwhile, alone), goal=KEPT_GOAL),
    )
    return result


def _measure_idle(
    effort: Effort, asking: list[Worker], asking_bare: list[Worker]
) -> tuple[list[_Served], list[_Served]]:
    rounds = [
        [_collect(tell_all(workers, effort.seconds)) for workers in (asking, asking_bare)]
        for _ in range(effort.repeats + 1)
    ]
    return [one for one, _ in rounds[1:]], [other for _, other in rounds[1:]]


def _measure_training(
    effort: Effort, asking: list[Worker], learner: LearnerProcess
) -> tuple[list[_Served], tuple[float, ...], tuple[float, ...]]:
    """Give what was served, and updates/s without clients and with them."""
    served, alone, meanwhile = [], [], []
    for _ in range(effort.repeats + 1):
        alone.append(learner.updates_per_s(effort.seconds))
        for worker in asking:
            worker.send(effort.seconds + _MARGIN_S)
        meanwhile.append(learner.updates_per_s(effort.seconds))
        served.append(_collect([worker.receive() for worker in asking]))
    return served[1:], tuple(alone[1:]), tuple(meanwhile[1:])


def _collect(latencies: list[tuple[float, list[float]]]) -> _Served:
    """Sum up the clients' measurements: each gives its seconds and the latency of each action."""
    rates = [len(each) / elapsed_s for elapsed_s, each in latencies]
    together = 1e3 * np.concatenate([each for _, each in latencies])
    return _Served(sum(rates), float(np.median(together)), float(np.percentile(together, 99)))


def _figures(
    name: str, served: list[_Served], bound: list[_Served], goals: tuple[Goal, Goal]
) -> list[Figure]:
    rates, medians, tails = (tuple(column) for column in zip(*served, strict=True))
    bare_rates, bare_medians, bare_tails = (tuple(column) for column in zip(*bound, strict=True))
    return [
        Figure(name, "actions/s", rates, bare_rates, goals[0]),
        Figure(f"{name}.latency_p50", "ms", medians, bare_medians, goals[1]),
        Figure(f"{name}.latency_p99", "ms", tails, bare_tails),
    ]


def _ask_learner(link: Link, config: Config, address: str) -> None:
    """Ask for greedy actions as a remote-policy collector does, for so long when told to."""
    from zdqn.roles.acting.remote_policy import RemotePolicy

    observations = np.zeros((1, *VECTOR.observation_shape), VECTOR.dtype)
    greedy = Exploration(np.zeros(1, np.bool_), np.zeros(1, np.int64))
    with Node() as node:
        session, learner = new_session(), parse_address(address, parameter="the learner")
        with node.client(learner, "learner") as client:
            hello = Hello(role="collector", name="bench", session=session, spec=Spec.of(VECTOR))
            ask(client, hello, server="learner", timeout_s=_TIMEOUT_S)
        policy = RemotePolicy(
            config,
            client=node.client(learner, "learner"),
            spec=VECTOR,
            session=session,
            stop=threading.Event(),
        )

        def act() -> None:
            if policy.choose(observations, greedy) is None:
                raise RoleFailedError("The learner gives no actions.")

        try:
            _time_each(link, act)
        finally:
            policy.close()


def _ask_bare(link: Link, address: str) -> None:
    """Ask a bare server for so long when told to."""
    observation = bytes(VECTOR.frame_bytes)
    with (
        Node() as node,
        node.client(parse_address(address, parameter="the server"), "learner") as client,
    ):

        def ask() -> None:
            if client.request(observation, timeout_s=_TIMEOUT_S) is None:
                raise RoleFailedError("The bare server does not answer.")

        _time_each(link, ask)


def _time_each(link: Link, ask: Callable[[], None]) -> None:
    while True:
        seconds = link.recv()
        latencies = []
        started_s = before_s = time.perf_counter()
        while before_s - started_s < seconds:
            ask()
            now_s = time.perf_counter()
            latencies.append(now_s - before_s)
            before_s = now_s
        link.send((before_s - started_s, latencies))


def _serve_bare(link: Link, config: Config) -> None:
    """Answer whatever waits with one forward pass, without headers or checks."""
    from zdqn.rl.torch_policy import TorchPolicy
    from zdqn.roles.building import build_network, use_threads

    use_threads(1)
    policy = TorchPolicy(build_network(config, None, VECTOR))
    with Node() as node:
        server = node.server(parse_address(LOOPBACK, parameter="bind", bind=True), "learner")
        link.send(str(server.address))
        waiter = Waiter([server])
        while not link.poll():
            waiter.wait(_POLL_MS)
            requests: list[Request] = []
            while (request := server.receive()) is not None:
                requests.append(request)
            if requests:
                bodies = b"".join(request.body for request in requests)
                observations = np.frombuffer(bodies, VECTOR.dtype).reshape(
                    -1, *VECTOR.observation_shape
                )
                for request, action in zip(
                    requests, policy.greedy_actions(observations), strict=True
                ):
                    server.reply(request, action.tobytes())
        server.close()
