"""``docs/examples/collector.c``, a collector from the document alone: what it does, and trains."""

import shutil
import subprocess
from pathlib import Path

import msgspec
import numpy as np
import pytest
from gymnasium.envs.classic_control.cartpole import CartPoleEnv

from tests.roles.conftest import eventually, quick_config
from tests.wire.described import evaluate
from tests.wire.fake_server import PONG, WELCOME
from tests.wire.links import make_receiver, receive_block
from zdqn.config import load_config
from zdqn.data import EnvironmentSpec
from zdqn.roles.client_settings import tell_clients
from zdqn.wire import block_payload, codec, payloads
from zdqn.wire.memory_messages import BlockHeader
from zdqn.wire.model_messages import NetworkLayer, Weights
from zdqn.wire.protocol import Delivery, ErrorReply, Goodbye, Hello, Ping, Refusal, Spec

pytestmark = pytest.mark.keyless("the collector in C leaves keys out")
ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "docs" / "examples" / "collector.c"
SPEC = EnvironmentSpec((4,), "float32", 2)
ONE_STEP = ("algorithm.n_step=1", "environment.id=CartPole-v1", "environment.max_episode_steps=500")
VERSION = (1 << 32) + 5
DEADLINE_S = 90.0
ENDING = msgspec.structs.replace(PONG, stopping=True)
HIDDEN = NetworkLayer(op="linear", name="hidden_0", activation="tanh")
DUELING = (NetworkLayer(op="flatten"), HIDDEN, NetworkLayer(op="dueling", name="head"))


@pytest.fixture(scope="session")
def program(tmp_path_factory):
    """The collector, built; skipped where there is nothing to build it with."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler (cc)")
    headers = subprocess.run(
        [compiler, "-E", "-x", "c", "-"], input="#include <zmq.h>", capture_output=True, text=True,
    )  # fmt: skip
    if headers.returncode:
        pytest.skip("no headers of libzmq (zmq.h; on Debian: libzmq3-dev)")
    path = tmp_path_factory.mktemp("examples") / "collector"
    flags = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([compiler, *flags, "-o", path, SOURCE, "-lzmq", "-lm"], check=True)
    return path


@pytest.fixture
def start(program):
    """Starts it; whatever is left is killed."""
    started = []

    def run(*words):
        process = subprocess.Popen(
            [program, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


class World:
    """Servers that give prepared answers, for one collector."""

    def __init__(self, fake, context, loopback):
        self._fake, self._context, self._loopback = fake, context, loopback
        rng = np.random.default_rng(0)
        shapes = {
            "hidden_0.weight": (8, 4), "hidden_0.bias": (8,), "head.value.weight": (1, 8),
            "head.value.bias": (1,), "head.advantage.weight": (2, 8), "head.advantage.bias": (2,),
        }  # fmt: skip
        self.arrays = {
            name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()
        }
        self.network = DUELING

    def weights(self):
        header = Weights(
            run_id="r", weight_version=VERSION, environment_steps=0, updates=0, stopping=False,
            tensors=payloads.describe_tensors(self.arrays), network=self.network,
        )  # fmt: skip
        return codec.encode(header, tuple(self.arrays.values()))

    def serve(self, *overrides, settings=None, of_memory=None, **of_learner):
        config = quick_config(
            *ONE_STEP, "exploration.epsilon_initial=0", "exploration.epsilon_final=0",
            "collector.block_age_s=1000", "replay.samples_per_insert=0", *overrides,
        )  # fmt: skip
        told = msgspec.structs.replace(tell_clients(config), **(settings or {}))
        self.receiver = make_receiver(self._context, self._loopback)
        says = msgspec.structs.replace(
            WELCOME, settings=told, data_endpoint=str(self.receiver.address)
        )
        self.memory = self._fake(Hello=[says], **(of_memory or {}))
        says = msgspec.structs.replace(WELCOME, settings=told, memory=str(self.memory.address))
        prepared = {"Hello": [says], "WeightsRequest": [self.weights()], **of_learner}
        self.learner = self._fake(**prepared)
        return self.learner.address


@pytest.fixture
def world(fake, context, loopback):
    return World(fake, context, loopback)


def test_it_acts_by_the_weights_and_tells_what_happened(world, start):
    process = start(world.serve(settings={"priorities": True}))
    steps = episodes = 0
    for number in range(40):
        message = codec.decode(receive_block(world.receiver))
        header, block = codec.expect(message, BlockHeader), block_payload.read_block(message, SPEC)
        steps += len(block)
        assert (header.sequence, header.environment_steps) == (number, steps)
        assert header.origin == SPEC.origin("r")
        check_records(block, DUELING, world.arrays)
        episodes = header.episodes
    assert episodes > 0
    world.learner.add("Ping", ENDING)
    output, errors = process.communicate(timeout=DEADLINE_S)
    assert (process.returncode, errors) == (0, "")
    assert " 0 refused" in output
    for server in (world.learner, world.memory):
        assert server.heard[0].spec == Spec.of(SPEC)
        eventually(lambda server=server: isinstance(server.heard[-1], Goodbye), "a goodbye")


def check_records(block, layers, arrays):
    """Hold actions and priorities against the network, and steps against Gymnasium's CartPole."""
    pole = CartPoleEnv()
    for record in block.records:
        before = block.frames[record["observation"][0]]
        after = block.frames[record["next_observation"][0]]
        values = evaluate(layers, arrays, before, SPEC)
        assert record["action"] == np.argmax(values)
        pole.reset()
        pole.state = before.astype(np.float64)
        expected, _, terminated, *_ = pole.step(int(record["action"]))
        np.testing.assert_allclose(after, expected, atol=1e-5)
        assert (record["weight_version"], record["reward"]) == (VERSION, 1)
        assert record["discount"] == np.float32(0 if terminated else 0.99)
        best = max(evaluate(layers, arrays, after, SPEC))
        error = abs(1 + record["discount"] * best - values[record["action"]])
        assert record["priority"] == pytest.approx(error, abs=1e-4)


def test_with_epsilon_1_it_acts_evenly_at_random(world, start):
    start(world.serve("exploration.epsilon_initial=1", "exploration.epsilon_final=1"))
    actions = []
    for _ in range(40):
        message = codec.decode(receive_block(world.receiver))
        records = block_payload.read_block(message, SPEC).records
        assert (records["priority"] == -1).all()
        actions += records["action"].tolist()
    assert 0.4 < np.mean(actions) < 0.6


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"op": "convolution"}, 'does not know the layer "convolution"'),
        ({"activation": "gelu"}, 'does not know the activation "gelu"'),
    ],
)
def test_a_network_that_it_cannot_evaluate_is_refused_aloud(world, start, changes, words):
    world.network = (DUELING[0], msgspec.structs.replace(HIDDEN, **changes), DUELING[2])
    process = start(world.serve())
    _, errors = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 1
    assert words in errors


def test_where_nobody_reads_any_more_it_ends_all_the_same(world, start):
    process = start(world.serve("links.ping_period_s=0.05"))
    eventually(lambda: world.memory.count(Ping) >= 3, "pings while it cannot send")
    world.learner.add("Ping", ENDING)
    process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0


def test_where_every_block_is_refused_it_says_why_and_gives_up(world, start):
    pongs = [
        msgspec.structs.replace(PONG, delivery=Delivery(stored=-1, refused=n, reason="of no run"))
        for n in range(1, 9)
    ]
    process = start(world.serve(of_memory={"Ping": pongs}))
    _, errors = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 1
    assert "1 blocks refused: of no run" in errors
    assert "the memory takes none of our blocks: of no run" in errors


def test_it_waits_for_a_learner_that_is_not_ready(world, start):
    not_yet = ErrorReply(code=Refusal.NOT_SERVING, message="no weights yet")
    start(world.serve(WeightsRequest=[not_yet, not_yet, world.weights()]))
    assert receive_block(world.receiver)
    assert world.learner.count(Hello) == 1


# --- with zdqn ------------------------------------------------------------------------------------


@pytest.mark.parametrize("ratio", [2, 0])
def test_memory_and_learner_train_with_it_alone(system, start, ratio):
    config = quick_config(*ONE_STEP, f"replay.samples_per_insert={ratio}")
    memory = system.memory(config)
    learner = system.learner(config, memory)
    system.evaluator(config, learner)
    process = start(learner.role.endpoints["model"])
    result = learner.result()
    output, errors = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, errors
    assert "refused" not in errors
    assert result.summary["updates"] == 60
    told = memory.result().statistics
    assert told["blocks"] > 0
    assert told["blocks_refused"] == 0
    assert " 0 refused" in output


@pytest.mark.slow
def test_cartpole_is_solved_with_it_alone(system, start, record_property):
    config = load_config(
        ROOT / "configs" / "cartpole.toml",
        ("algorithm.n_step=1", "launch.collectors=1", "collector.environments=1"),
    )
    memory = system.memory(config)
    learner = system.learner(config, memory)
    system.evaluator(config, learner)
    process = start(learner.role.endpoints["model"])
    result = learner.result(deadline_s=240)
    output, errors = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, errors
    assert "refused" not in errors
    assert result.best_evaluation_return >= config.stop.evaluation_return
    record_property("environment_steps", result.summary["environment_steps"])
    record_property("wall_s", result.summary["wall_s"])
    assert " 0 refused" in output
