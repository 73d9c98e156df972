"""The faults of the student project that zdqn grows out of, each kept from coming back.

Those of dead workers, and of runs that cannot be stopped, resumed or inspected, need processes
and are in ``tests/roles/test_deaths.py`` and ``tests/roles/test_whole_system.py``.
"""

import threading

import numpy as np
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from tests.roles.conftest import DEADLINE_S, eventually, quick_config, system  # noqa: F401
from zdqn.core.rollout import Rollout
from zdqn.data import Batch, EnvironmentSpec
from zdqn.envs import environment_spec, make_environments
from zdqn.rl.greedy import Greedy
from zdqn.rl.objectives import q_learning_targets
from zdqn.roles.building import build_trainer
from zdqn.roles.client_settings import tell_clients
from zdqn.wire import codec
from zdqn.wire.addresses import parse_address
from zdqn.wire.memory_messages import NotReady, SampleRequest
from zdqn.wire.model_messages import (
    ActionRequest,
    Actions,
    Claim,
    NothingToEvaluate,
    Weights,
    WeightsRequest,
)
from zdqn.wire.protocol import PROTOCOL_VERSION, Header, Hello, Ping, Pong, Spec, Welcome
from zdqn.wire.request_sockets import Client, Server
from zdqn.wire.sockets import Context

SPEC = EnvironmentSpec((4,), "float32", 2)


def connect(context, text):
    return Client(context, parse_address(text, parameter="test"))


def ask_for_actions(client, observations):
    hello = Hello(role="collector", name="by hand", session=1, spec=Spec.of(SPEC))
    client.request(codec.encode(hello), timeout_s=DEADLINE_S)
    header = ActionRequest(session=1, spec_digest=SPEC.digest, count=len(observations))
    body = client.request(codec.encode(header, (observations,)), timeout_s=DEADLINE_S)
    return codec.decode(body)


class BlockedInTraining(nn.Module):
    """Stands still in the first update, as a long one would, until it is released."""

    def __init__(self, spec):
        super().__init__()
        self.layer = nn.Linear(4, 2)

    training_began = threading.Event()
    released = threading.Event()

    def __deepcopy__(self, memo):
        copy = type(self)(None)
        copy.load_state_dict(self.state_dict())
        return copy

    def forward(self, observations):
        if torch.is_grad_enabled():
            self.training_began.set()
            assert self.released.wait(DEADLINE_S)
        return self.layer(observations)


def test_acting_goes_on_while_an_update_takes_its_time(system):  # noqa: F811
    """The seed's actor trained and acted in one thread: learning stalled acting."""
    config = quick_config("collector.policy=remote")
    memory = system.memory(config)
    learner = system.learner(config, memory, network=BlockedInTraining)
    system.collector(config, learner)
    assert BlockedInTraining.training_began.wait(DEADLINE_S)
    with Context() as context, connect(context, learner.role.endpoints["model"]) as client:
        answer = ask_for_actions(client, np.zeros((3, 4), np.float32))
    assert isinstance(answer.header, Actions)
    assert answer.header.count == 3
    BlockedInTraining.released.set()
    assert learner.result().summary["updates"] == 60


def test_requests_that_wait_are_answered_by_one_forward_pass(system):  # noqa: F811
    """The seed paid a blocking call with a batch of 1 for every single action."""
    config = quick_config()
    memory = system.memory(config)
    learner = system.learner(config, memory)
    model = learner.role.endpoints["model"]
    with Context() as context, connect(context, model) as client:
        hello = Hello(role="collector", name="by hand", session=1, spec=Spec.of(SPEC))
        client.request(codec.encode(hello), timeout_s=DEADLINE_S)
    server = learner.role._server
    batches = []

    class CountingPolicy(Greedy):
        def load(self, arrays):
            pass

        def q_values(self, observations):
            batches.append(len(observations))
            return np.zeros((len(observations), 2), np.float32)

    with Context() as context:
        with connect(context, model) as client:
            question = codec.encode(WeightsRequest())

            def published():
                answer = client.request(question, timeout_s=DEADLINE_S)
                return isinstance(codec.decode(answer).header, Weights)

            eventually(published, "weights to act with")
        server.act_with(CountingPolicy())
        clients = [connect(context, model) for _ in range(8)]

        def all_at_once():
            """Ask from eight clients while the server is held up, and count the passes."""
            batches.clear()
            with server._lock:
                for client in clients:
                    header = ActionRequest(session=1, spec_digest=SPEC.digest, count=1)
                    client._socket.send(codec.encode(header, (np.zeros((1, 4), np.float32),)))
            for client in clients:
                assert client._socket.poll(DEADLINE_S * 1000)
                client._socket.recv()
            assert sum(batches) == 8
            return max(batches) >= 4

        eventually(all_at_once, "requests answered together")
        for client in clients:
            client.close()


def test_a_snapshot_is_a_copy_that_training_does_not_change():
    """The seed kept references to the live network: every score was of a later one."""
    config = quick_config()
    trainer = build_trainer(config, None, SPEC)
    snapshot = trainer.weights()
    kept = {name: array.copy() for name, array in snapshot.items()}
    ones = np.ones(8, np.float32)
    batch = Batch(
        observations=np.ones((8, 4), np.float32), actions=np.zeros(8, np.int64), rewards=ones,
        discounts=ones, next_observations=np.ones((8, 4), np.float32),
        keys=np.arange(8), probabilities=np.ones(8), weight_versions=np.zeros(8, np.int64),
    )  # fmt: skip
    trainer.update(trainer.prepare(batch, 8, None)[0])
    assert all(np.array_equal(snapshot[name], kept[name]) for name in kept)
    assert not all(np.array_equal(trainer.weights()[name], kept[name]) for name in kept)


def test_an_idle_evaluator_waits_in_the_learners_queue(system):  # noqa: F811
    """The seed's spun at 100 % of a processor. Each claim here is one request of seconds."""
    config = quick_config()
    claims: list[Claim] = []
    with Context() as context:
        server = Server(context, parse_address("tcp://127.0.0.1:0", parameter="x", bind=True))
        evaluator = system.evaluator(config, str(server.address))

        def serve():
            request = server.receive()
            if request is None:
                return len(claims) == 2
            header = codec.decode(request.body).header
            answer: Header
            if isinstance(header, Hello):
                answer = Welcome(
                    run_id="r", session=1, data_endpoint="tcp://127.0.0.1:9",
                    spec=None, settings=tell_clients(config), config={},
                    memory="tcp://127.0.0.1:9", index=0, seed=0, version=PROTOCOL_VERSION,
                    capabilities=(),
                )  # fmt: skip
            elif isinstance(header, Claim):
                claims.append(header)
                answer = NothingToEvaluate(stopping=len(claims) == 2)
            elif isinstance(header, Ping):
                answer = Pong(
                    session=1, known=True, stopping=False, environment_steps=0, collectors=0,
                    statistics={},
                )  # fmt: skip
            else:
                return True
            server.reply(request, codec.encode(answer))
            return False

        eventually(serve, "two claims")
        evaluator.stop_event.set()
        evaluator.result()
        server.close(0)
    assert [claim.wait_ms >= 1000 for claim in claims] == [True, True]


def test_without_a_target_network_the_distributed_system_runs(system):  # noqa: F811
    """The seed's crashed, so that this part of its ablation could not be run."""
    config = quick_config("algorithm.target_network=none")
    memory = system.memory(config)
    learner = system.learner(config, memory)
    system.collector(config, learner)
    assert learner.result().summary["updates"] == 60


def test_the_configured_memory_size_is_the_memory_size(system):  # noqa: F811
    """The seed ignored it. Here, many times the capacity goes through the memory."""
    config = quick_config("replay.capacity=100", "stop.updates=200")
    memory = system.memory(config)
    learner = system.learner(config, memory)
    system.collector(config, learner)
    learner.result()
    statistics = memory.result().statistics
    assert statistics["size"] == statistics["capacity"] == 100
    assert statistics["transitions"] > 500


def test_sampling_from_an_empty_memory_is_answered(system):  # noqa: F811
    """The seed's raised."""
    memory = system.memory(quick_config())
    with Context() as context, connect(context, memory.role.endpoints["samples"]) as client:
        hello = Hello(role="collector", name="by hand", session=1, spec=Spec.of(SPEC))
        headers = (SampleRequest(batch_size=8), hello, SampleRequest(batch_size=8))
        bodies = [client.request(codec.encode(one), timeout_s=DEADLINE_S) for one in headers]
    first, _, last = (codec.decode(body).header for body in bodies)
    assert isinstance(first, NotReady)
    assert first.reason == "no_spec"
    assert isinstance(last, NotReady)
    assert (last.reason, last.size, last.needed) == ("filling", 0, 64)


def test_an_episode_cut_by_the_time_limit_is_bootstrapped():
    """The seed's `done` mixed both ends: its targets were wrong at step 200."""
    environments = make_environments(
        "CartPole-v1", kwargs={}, wrappers=[], max_episode_steps=5, count=1, vectorization="sync"
    )
    rollout = Rollout(
        environments, environment_spec(environments), n_step=1, discount=0.9,
        block_transitions=64, seed=0, label="test",
    )  # fmt: skip
    while not rollout.full:
        rollout.step(np.array([rollout.environment_steps % 2]), 0)
    block = rollout.take_block()
    assert block is not None
    records = block.records
    rollout.close()
    assert rollout.episodes >= 10
    assert set(records["discount"].tolist()) == {np.float32(0.9)}


class CountOperations(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.operations = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.operations += 1
        return function(*args, **(kwargs or {}))


def test_targets_cost_the_same_operations_however_large_the_batch():
    """The seed computed the maximum over the whole batch again for every transition in it."""

    def operations(batch_size):
        values = torch.rand(batch_size, 2)
        with CountOperations() as count:
            q_learning_targets(torch.ones(batch_size), torch.ones(batch_size), values)
        return count.operations

    assert operations(2) == operations(512)
