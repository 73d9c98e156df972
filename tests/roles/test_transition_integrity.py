"""What is sampled is what happened: every transition of a plain client is held against itself."""

import os
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.roles.conftest import DEADLINE_S, eventually, quick_config
from tests.roles.processes import ENVIRONMENT, Processes, updates_of
from tests.roles.witness import DISCOUNT, Witness, check, length_of, reward_of, terminates
from zdqn.data import Batch, EnvironmentSpec
from zdqn.wire import codec
from zdqn.wire.addresses import parse_address
from zdqn.wire.memory_messages import NotReady, SampleRequest
from zdqn.wire.payloads import read_batches
from zdqn.wire.remote_control import request_stop
from zdqn.wire.request_sockets import Client
from zdqn.wire.sockets import Context

CAPACITY = 1_000
ROWS = int(os.environ.get("ZDQN_INTEGRITY_TRANSITIONS", "10_000_000"))
"""Of the slow tier, over all of its configurations."""
SETTINGS = (
    "environment.id=tests.roles.witness:Witness", f"algorithm.discount={DISCOUNT}",
    f"replay.capacity={CAPACITY}", "replay.samples_per_insert=0",
    "algorithm.learning_rate=1e-12",  # such frames are nothing to learn from
    "exploration.epsilon_initial=1", "exploration.epsilon_final=1", "stop.updates=0",
)  # fmt: skip


class Sampler:
    """A client that only samples, and checks what it gets."""

    def __init__(self, context, address, n_step, frame_stack):
        self._context, self._address = context, parse_address(address, parameter="samples")
        self._n_step, self._frame_stack = n_step, frame_stack
        self._spec = EnvironmentSpec((4,), "float32", 3, frame_stack)
        self.checked = 0
        self.inserted = 0
        """Transitions that went into the memory since it was started."""

    def check_batches(self, requests):
        """Ask so many times; a memory that has nothing yet is asked again."""
        ask = codec.encode(SampleRequest(batch_size=256, batches=64, wait_ms=100))
        with Client(self._context, self._address) as client:
            for _ in range(requests):

                def answer():
                    body = client.request(ask, timeout_s=DEADLINE_S)
                    assert body is not None, "the memory did not answer"
                    message = codec.decode(body)
                    return None if isinstance(message.header, NotReady) else message

                header, batch = read_batches(eventually(answer, "a batch"), self._spec)
                self.inserted = header.progress.transitions
                self.checked += check(batch, self._n_step, self._frame_stack)


@pytest.mark.parametrize(
    ("n_step", "frame_stack", "more"),
    [
        (1, 1, ("collector.vectorization=async",)),
        (4, 3, ("replay.kind=prioritized", "replay.initial_priority=collector")),
    ],
)
def test_100_000_sampled_transitions_are_what_happened(system, n_step, frame_stack, more):
    config = quick_config(
        *SETTINGS, f"algorithm.n_step={n_step}", f"environment.frame_stack={frame_stack}",
        "collector.environments=2", *more,
    )  # fmt: skip
    memory = system.memory(config)
    learner = system.learner(config, memory)
    for _ in range(2):
        system.collector(config, learner)
    with Context() as context:
        sampler = Sampler(context, memory.role.endpoints["samples"], n_step, frame_stack)
        while sampler.checked < 50_000 or sampler.inserted < 3 * CAPACITY:
            sampler.check_batches(1)
    request_stop(learner.role.endpoints["model"], "enough", DEADLINE_S)
    assert learner.result().summary["blocks_refused"] == 0


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("n_step", [1, 2, 3, 4, 5])
def test_10_million_are_whoever_is_killed(tmp_path, monkeypatch, record_property, n_step):
    frame_stack = 1 + 3 * (n_step % 2)
    monkeypatch.setitem(ENVIRONMENT, "PYTHONPATH", str(Path(__file__).parents[2]))
    seed = random.SystemRandom().randrange(2**32)
    rng = random.Random(seed)
    processes = Processes(
        tmp_path, *SETTINGS, f"algorithm.n_step={n_step}", f"environment.frame_stack={frame_stack}",
        "collector.environments=2", "learner.checkpoint_period_updates=10",
    )  # fmt: skip

    def start_collector(number):
        asynchronous = f"collector.vectorization={'async' if number % 2 else 'sync'}"
        return processes.start("collector", "run.toml", "--learner", model, "--set", asynchronous)

    try:
        memory, samples = processes.memory()
        learner, model = processes.learner(samples)
        collectors = [start_collector(number) for number in range(3)]
        killed = {"memory": 0, "learner": 0, "collector": 0}
        with Context() as context:
            sampler = Sampler(context, samples, n_step, frame_stack)
            while sampler.checked < ROWS / 5 or not all(killed.values()):
                sampler.check_batches(10)
                victim = rng.choice(tuple(killed))
                killed[victim] += 1
                if victim == "memory":
                    memory.kill()
                    memory, _ = processes.memory(samples)
                elif victim == "learner":
                    updates_of(model, more_than=20)
                    learner.kill()
                    learner, _ = processes.learner(samples, model, "--resume", "run")
                else:
                    number = rng.randrange(3)
                    collectors[number].kill()
                    collectors[number] = start_collector(number)
        request_stop(model, "enough", DEADLINE_S)
        assert learner.end() == 0
        summary = processes.summary()
        counts = {name: summary[f"blocks_{name}"] for name in ("lost", "refused", "in_flight")}
        record_property("measured", {"checked": sampler.checked, **killed, **counts, "seed": seed})
        assert counts["refused"] == 0
        assert summary["blocks_sent"] == summary["blocks"] + sum(counts.values())
    finally:
        processes.close()


@pytest.fixture
def batch():
    """Two transitions of 2 steps, in stacks of 2 frames, of which nothing is wrong."""
    environment = Witness()
    frames: list[Any] = []
    while len(frames) < 5:
        frames, over = [environment.reset()[0]], False
        while not over:
            frame, _, terminated, truncated, _ = environment.step(1)
            frames.append(frame)
            over = terminated or truncated
    one, episode = environment.environment, environment.episode
    steps = np.array([1, 2])
    ended = (steps + 2 == length_of(one, episode)) & terminates(one, episode)
    rewards = reward_of(one, episode, steps + 1) + DISCOUNT * reward_of(one, episode, steps + 2)

    def stacks(newest):
        return np.stack([np.stack([frames[step - 1], frames[step]]) for step in newest])

    return Batch(
        observations=stacks(steps), actions=np.array([1, 1]), rewards=rewards.astype("f4"),
        discounts=np.where(ended, 0, 0.25).astype("f4"), next_observations=stacks(steps + 2),
        keys=np.arange(2), probabilities=np.ones(2), weight_versions=np.array([7, 7]),
    )  # fmt: skip


def test_nothing_is_found_where_nothing_is_wrong(batch):
    assert check(batch, 2, 2) == 2


def spoiled(array, index, more):
    spoilt = array.copy()
    spoilt[index] += more
    return spoilt


@pytest.mark.parametrize(
    ("name", "index", "what"),
    [
        ("observations", (1, 0, 0), "of one environment"),
        ("next_observations", (1, 1, 0), "of one environment"),
        ("next_observations", (1, 0, 1), "of one environment and episode"),
        ("observations", (1, 0, 2), "follow one another"),
        ("next_observations", (1, slice(None), 2), "as many steps"),
        ("rewards", 1, "the return"),
        ("discounts", 1, "the discount"),
        ("actions", 1, "the action"),
        ("weight_versions", 1, "whose weights"),
    ],
)
def test_whatever_is_wrong_is_found(batch, name, index, what):
    more = -7 if name == "weight_versions" else 1
    wrong = replace(batch, **{name: spoiled(getattr(batch, name), index, more)})
    with pytest.raises(AssertionError, match=f"not of 1 of 2 transitions, as row 1: .*{what}"):
        check(wrong, 2, 2)
