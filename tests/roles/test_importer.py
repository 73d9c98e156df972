"""The importer with a real memory, and with all others: what is held is what the data set says."""

import threading
from dataclasses import replace

import numpy as np
import pytest

from tests.core.test_imported_blocks import by_hand
from tests.roles.conftest import DEADLINE_S, eventually, quick_config
from zdqn.config import load_config
from zdqn.data import EnvironmentSpec
from zdqn.errors import ConfigError, MismatchError, UsageError
from zdqn.records.experience import ArrayExperience
from zdqn.roles.importer import Importer, ImportResult
from zdqn.roles.memory import Memory
from zdqn.wire.remote_control import fetch_status

CARTPOLE = EnvironmentSpec((4,), "float32", 2)
UNHURRIED = (
    "replay.capacity=2000", "algorithm.n_step=3", "algorithm.discount=0.5", "replay.min_size=20",
)  # fmt: skip


def data(steps=300, *, seed=0, **changes):
    """Made-up steps of CartPole, with ends of both kinds, and what was observed at each."""
    rng = np.random.default_rng(seed)
    ends = rng.random(steps) < 0.1
    terminated = ends & (rng.random(steps) < 0.5)
    observations = rng.normal(size=(steps, 4)).astype(np.float32)
    following = np.roll(observations, -1, axis=0)
    following[ends] = rng.normal(size=(ends.sum(), 4)).astype(np.float32)
    following[-1] = 0
    arrays = {
        "observations": observations,
        "actions": rng.integers(0, 2, steps),
        "rewards": rng.integers(-8, 9, steps) / 4,  # whose returns are exact
        "terminated": terminated,
        "truncated": ends & ~terminated,
        "next_observations": following,
        **changes,
    }
    return ArrayExperience(arrays, "data.npz")


@pytest.fixture
def send(system):
    """Imports a data set into a memory, and gives what came of it."""

    def send(experience, memory, config=None, **options):
        importer = Importer(
            experience, config, memory=memory.role.endpoints["samples"], keys=system.keys, **options
        )
        with importer:
            return importer.run()

    return send


def held(memory):
    """Give all that a memory holds, in the order of its inserts."""
    replay = memory.role._broker.store._replay
    batch = replay.sample(1, 40_000)
    order = np.unique(batch.keys, return_index=True)[1]
    assert len(order) == replay.size
    return [
        (batch.observations[i], batch.actions[i], batch.rewards[i], batch.discounts[i],
         batch.next_observations[i])
        for i in order
    ]  # fmt: skip


def check(found, experience, spec, config):
    wanted = by_hand(
        list(experience.episodes()), spec, config.algorithm.n_step, config.algorithm.discount
    )
    assert len(found) == len(wanted)
    for here, there in zip(found, wanted, strict=True):
        observation, action, reward, discount, following = there
        shape = spec.stacked_shape
        assert np.array_equal(here[0], observation.reshape(shape))
        assert here[1] == action
        assert (here[2], here[3]) == (reward, discount)
        assert np.array_equal(here[4], following.reshape(shape))


@pytest.mark.parametrize("stack", [1, 2])
@pytest.mark.parametrize("delivery", ["plain", "acked"])
@pytest.mark.parametrize("ratio", [0, 2])
def test_a_memory_alone_takes_what_a_slow_walk_through_the_data_finds(
    system, send, stack, delivery, ratio
):
    config = quick_config(
        *UNHURRIED, f"environment.frame_stack={stack}", f'links.delivery="{delivery}"',
        f"replay.samples_per_insert={ratio}",
    )  # fmt: skip
    memory, experience = system.memory(config), data()
    told: list[int] = []
    result = send(experience, memory, config, on_progress=told.append)
    assert result == ImportResult(300, 300, result.blocks_sent, 0, 0, complete=True)
    assert result.blocks_stored == result.blocks_sent >= 300 / 16
    assert told == sorted(told)
    assert told[-1] == 300
    check(held(memory), experience, EnvironmentSpec((4,), "float32", 2, stack), config)


@pytest.mark.parametrize(("counts", "owed"), [(False, 0.0), (True, (300 - 20) * 2.0)])
def test_samples_are_owed_for_what_is_imported_only_if_it_is_to_count(system, send, counts, owed):
    config = quick_config(*UNHURRIED, "replay.samples_per_insert_window=1000000")
    memory = system.memory(config)
    send(data(), memory, config, counts=counts)
    limiter = memory.role._broker.store.limiter
    assert limiter.error == owed
    assert limiter.inserts == 300
    status = fetch_status(memory.role.endpoints["samples"], DEADLINE_S, system.operator)
    assert status["transitions"] == 300


def test_what_counts_waits_for_the_learner_and_what_does_not_for_nobody(system, send):
    config = quick_config(*UNHURRIED)
    memory, stop = system.memory(config), threading.Event()
    with Importer(
        data(), config, memory=memory.role.endpoints["samples"], counts=True, stop=stop,
        keys=system.keys,
    ) as importer:  # fmt: skip
        running = system.start(importer, stop)
        limiter = memory.role._broker.store.limiter
        eventually(lambda: not limiter.wants_inserts(), "the memory holds it back")
        assert limiter.inserts < 300
        stop.set()
        assert not running.result().complete
        running.stop()
    other = system.memory(config)
    assert send(data(), other, config).complete


def test_without_a_configuration_the_memory_says_what_must_be_known(system, send):
    config = quick_config(*UNHURRIED)
    memory = system.memory(config)
    with pytest.raises(UsageError, match=r"does not know what the environment looks like.*CONFIG"):
        send(data(), memory)
    assert send(data(100), memory, config).complete
    assert send(data(), memory).complete
    check(held(memory)[100:], data(), CARTPOLE, config)


def test_in_a_run_it_is_learned_from_and_counts_as_nobodys_steps(either_system):
    system = either_system
    config = quick_config(*UNHURRIED)
    memory = system.memory(config)
    learner = system.learner(config, memory)
    with Importer(
        data(), config, memory=memory.role.endpoints["samples"], keys=system.keys
    ) as importer:
        assert importer.run().complete
    assert memory.role._broker.intake.ledger.environment_steps == 0
    collector = system.collector(None, learner)
    summary = learner.result().summary
    steps = collector.result().environment_steps
    assert summary["stop_reason"] == "updates"
    assert summary["environment_steps"] <= steps
    assert summary["transitions"] >= 300
    assert summary["blocks_refused"] == 0
    memory.result()


@pytest.mark.parametrize(("ratio", "counts"), [(0, False), (2, True)])
def test_with_an_evaluator_and_without_collectors_it_is_learned_from_alone(
    system, send, ratio, counts
):
    config = quick_config(*UNHURRIED, f"replay.samples_per_insert={ratio}", "stop.updates=20")
    memory = system.memory(config)
    learner = system.learner(config, memory)
    evaluator = system.evaluator(None, learner)
    stop = threading.Event()
    importer = Importer(
        data(), config, memory=memory.role.endpoints["samples"], counts=counts, keys=system.keys,
        stop=stop,
    )  # fmt: skip
    running = system.start(importer, stop)
    summary = learner.result().summary
    assert (summary["stop_reason"], summary["updates"]) == ("updates", 20)
    assert summary["environment_steps"] == 0
    running.result()
    evaluator.result()


@pytest.mark.parametrize(
    ("experience", "words"),
    [
        (data(rewards=np.full(300, np.nan)), "a reward that is not finite"),
        (data(actions=np.full(300, 2)), "the action 2"),
        (data(observations=np.zeros((300, 5), "f4"), next_observations=np.zeros((300, 5), "f4")),
         r"shape \(5,\)"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_before_anything_is_sent(system, send, experience, words):
    config = quick_config(*UNHURRIED)
    memory = system.memory(config)
    with pytest.raises(UsageError, match=words):
        send(experience, memory, config)
    assert send(data(16), memory, config).complete
    with pytest.raises(UsageError, match=words):
        send(experience, memory)
    status = fetch_status(memory.role.endpoints["samples"], DEADLINE_S, system.operator)
    assert status["transitions"] == 16
    assert status["blocks_refused"] == 0


def test_another_configuration_than_the_memorys_is_refused(system, send):
    memory = system.memory(quick_config(*UNHURRIED))
    other = quick_config(*UNHURRIED, "algorithm.n_step=1")
    with pytest.raises(MismatchError, match=r"algorithm\.n_step: here 3, there 1"):
        send(data(), memory, other)


def test_another_environment_than_the_memorys_is_refused(system, send):
    config = quick_config(*UNHURRIED)
    memory = system.memory(config)
    assert send(data(16), memory, config).complete
    other = quick_config(*UNHURRIED, "environment.frame_stack=2")
    with pytest.raises(MismatchError, match="another environment"):
        send(data(), memory, other)


def test_a_memory_of_an_earlier_version_is_not_sent_what_it_would_count(system, send, monkeypatch):
    particulars = Memory.particulars
    monkeypatch.setattr(
        Memory,
        "particulars",
        lambda self: replace(particulars(self), capabilities=("acked", "arrivals")),
    )
    config = quick_config(*UNHURRIED)
    memory = system.memory(config)
    with pytest.raises(MismatchError, match="earlier zdqn"):
        send(data(), memory, config)
    assert send(data(16), memory, config, counts=True).complete


def test_a_memory_that_was_asked_to_stop_leaves_it_incomplete(system, send):
    config = quick_config(*UNHURRIED)
    memory = system.memory(config)
    stop = threading.Event()
    with Importer(
        data(), config, memory=memory.role.endpoints["samples"], counts=True, stop=stop,
        keys=system.keys,
    ) as importer:  # fmt: skip
        running = system.start(importer, stop)
        limiter = memory.role._broker.store.limiter
        eventually(lambda: not limiter.wants_inserts(), "the memory holds it back")
        memory.role.stop("enough")
        result = running.result()
        assert not result.complete
        running.stop()


@pytest.mark.parametrize("address", ["nowhere", "tcp://127.0.0.1", "tcp://no such host:1"])
def test_a_malformed_address_is_refused(address):
    with pytest.raises(ConfigError, match="--memory"):
        Importer(data(1), memory=address)


def test_the_learner_and_its_memory_agree_in_what_importers_are_told(system):
    memory = system.memory(quick_config())
    learner = system.learner(quick_config("algorithm.discount=0.5"), memory)
    with pytest.raises(MismatchError, match=r"algorithm\.discount"):
        learner.result()
    assert load_config(None).algorithm.discount != 0.5
