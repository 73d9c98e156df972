"""The test vectors of ``docs/protocol/``: what is written there is what zdqn writes, and reads."""

import itertools
import json
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import zmq

from tests.keys_for_all import ForeignContext
from tests.wire import vectors
from tests.wire.described import evaluate
from tests.wire.test_protocol_document import Reader
from zdqn.config import Config
from zdqn.data import EnvironmentSpec
from zdqn.errors import ProtocolError
from zdqn.rl.dense import DenseNetwork
from zdqn.rl.schedules import LinearSchedule, ladder_epsilons
from zdqn.roles.acting.epsilon import EpsilonSource
from zdqn.roles.learner.model_answers import ModelAnswers
from zdqn.roles.learner.stall_watch import Pulse
from zdqn.roles.memory import Memory
from zdqn.wire import block_payload, codec, payloads
from zdqn.wire.codec import HEADERS
from zdqn.wire.compression import compress, decompress
from zdqn.wire.memory_messages import BlockHeader
from zdqn.wire.model_messages import Weights
from zdqn.wire.protocol import Acknowledged, ErrorReply, Kind, Ping, Pong, Spec, Welcome
from zdqn.wire.request_sockets import Request

FOLDER = Path(__file__).parents[2] / "docs" / "protocol"
WAIT_S = 60.0
PACKAGES = {"lz4": "lz4.block", "zstd": "zstandard"}
FILES = {path.name: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
MESSAGES = [
    pytest.param(message, id=f"{name}: {message['name']}")
    for name in ("messages.json", "blocks.json", "networks.json", "transcript.json")
    for message in FILES[name]
]


def whole(value: Any) -> Any:
    """Give integers that are written as digits as what they are."""
    if isinstance(value, dict):
        return {key: whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [whole(item) for item in value]
    return int(value) if isinstance(value, str) and value.isdigit() else value


def spec_of(values: dict[str, Any]) -> EnvironmentSpec:
    return msgspec.convert(values, Spec).read()


def array_of(described: dict[str, Any], stack: int) -> Any:
    values, shape = whole(described["values"]), tuple(described["shape"])
    if described["dtype"] != "record":
        return np.array(values, described["dtype"]).reshape(shape)
    dtype = EnvironmentSpec((1,), "uint8", 1, stack).record_dtype
    rows = [tuple(row[name] for name in dtype.fields or ()) for row in values]
    return np.array(rows, dtype)


def stack_of(message: dict[str, Any]) -> int:
    return int(message["spec"]["frame_stack"]) if "spec" in message else 1


# --- both ways ------------------------------------------------------------------------------------


def test_the_files_are_those_that_are_written():
    assert set(FILES) == set(vectors.FILES)
    for name in vectors.FILES:
        assert (FOLDER / name).read_text() == vectors.render(name), (
            f"run bin/protocol-vectors: {name}"
        )


@pytest.mark.parametrize("message", MESSAGES)
def test_what_it_means_is_encoded_to_its_bytes(message):
    header = msgspec.convert(whole(message["header"]), HEADERS[Kind[message["kind"]]])
    arrays = [array_of(array, stack_of(message)) for array in message["arrays"]]
    assert codec.encode(header, arrays).hex() == message["hex"]


@pytest.mark.parametrize("message", MESSAGES)
def test_its_bytes_are_decoded_to_what_it_means(message):
    decoded = codec.decode(bytes.fromhex(message["hex"]))
    assert decoded.header.kind is Kind[message["kind"]]
    expected = [array_of(array, stack_of(message)) for array in message["arrays"]]
    layout = [(array.dtype, array.shape) for array in expected]
    for found, array in zip(codec.read_arrays(decoded, layout), expected, strict=True):
        np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("message", MESSAGES)
def test_a_reader_of_another_hand_finds_the_same_header(message):
    body = bytes.fromhex(message["hex"])
    length = int.from_bytes(body[8:12], "little")
    assert vectors.as_json(Reader(body[16 : 16 + length]).value()) == message["header"]


def test_headers_that_end_at_a_multiple_of_64_are_followed_by_no_gap():
    ending = [message for message in FILES["messages.json"] if "multiple of 64" in message["name"]]
    assert len(ending) == 2
    for message in ending:
        decoded = codec.decode(bytes.fromhex(message["hex"]))
        assert decoded.payload % 64 == 0
        arrays = sum(4 * len(array["values"]) for array in message["arrays"])
        assert len(decoded.buffer) == decoded.payload + arrays


# --- what the others mean -------------------------------------------------------------------------


@pytest.mark.parametrize("vector", FILES["digests.json"])
def test_digests(vector):
    spec = spec_of(vector["spec"])
    assert str(spec.digest) == vector["spec_digest"]
    assert str(spec.origin(vector["run_id"])) == vector["origin"]
    assert vector["origin_text"] == f"{vector['text']}|{vector['run_id']}"


@pytest.mark.parametrize("vector", FILES["blocks.json"], ids=lambda vector: vector["name"])
def test_blocks_are_such_as_a_memory_takes(vector):
    spec = spec_of(vector["spec"])
    message = codec.decode(bytes.fromhex(vector["hex"]))
    header = codec.expect(message, BlockHeader)
    if header.compression != "none":
        pytest.importorskip(PACKAGES[header.compression])
    block = block_payload.read_block(message, spec)
    assert header.origin == spec.origin(vector["run_id"])
    assert (len(block.frames), len(block)) == (header.frames, header.transitions)


@pytest.mark.parametrize("vector", FILES["compression.json"]["accepted"])
def test_compressed_frames_are_read_and_others_of_ours_too(vector):
    pytest.importorskip(PACKAGES[vector["compression"]])
    packed, plain = bytes.fromhex(vector["packed"]), bytes.fromhex(vector["plain"])
    found = decompress(np.frombuffer(packed, np.uint8), vector["compression"], len(plain))
    assert found == plain
    ours = compress(np.frombuffer(plain, np.uint8), vector["compression"])
    assert decompress(ours, vector["compression"], len(plain)) == plain


@pytest.mark.parametrize("vector", FILES["compression.json"]["refused"], ids=lambda v: v["why"])
def test_compressed_frames_are_refused(vector):
    pytest.importorskip(PACKAGES[vector["compression"]])
    packed = np.frombuffer(bytes.fromhex(vector["packed"]), np.uint8)
    with pytest.raises(ProtocolError, match=vector["compression"]):
        decompress(packed, vector["compression"], vector["size"])


@pytest.mark.parametrize("vector", FILES["networks.json"], ids=lambda vector: vector["name"])
def test_networks_give_the_values_that_are_written(vector):
    spec = spec_of(vector["spec"])
    message = codec.decode(bytes.fromhex(vector["hex"]))
    header = codec.expect(message, Weights)
    arrays = payloads.read_weights(message, header)
    observations = np.array(vector["observations"], spec.dtype)
    found = [evaluate(header.network, arrays, observation, spec) for observation in observations]
    np.testing.assert_allclose(found, vector["q_values"], atol=1e-6)
    activation = header.network[1].activation
    values = header.network[-1].numbers == 1  # and no distribution of returns
    if values and header.network[0].op == "flatten" and activation in ("relu", "tanh"):
        ours = DenseNetwork(dict(arrays), activation)(observations)
        np.testing.assert_allclose(ours, vector["q_values"], atol=1e-6)


def test_the_worked_examples_of_the_document_are_the_vectors():
    values = {vector["name"]: vector["q_values"][0] for vector in FILES["networks.json"]}
    document = (FOLDER.parent / "protocol.md").read_text()
    for name in ("mlp_relu", "mlp_dueling", "cnn"):
        assert str(values[name]) in " ".join(document.split()), name


@pytest.mark.parametrize("vector", FILES["epsilon.json"]["linear"])
def test_the_linear_epsilon(vector):
    rule = LinearSchedule(vector["initial"], vector["final"], vector["decay_environment_steps"])
    assert rule(vector["environment_steps"]) == pytest.approx(vector["epsilon"])


@pytest.mark.parametrize("vector", FILES["epsilon.json"]["ladder"])
def test_the_ladder_of_epsilons(vector):
    collectors, environments = vector["collectors"], vector["environments"]
    actors = collectors * environments
    rungs = ladder_epsilons(actors, base=vector["base"], exponent=vector["exponent"])
    first = vector["index"] * environments
    assert rungs[first : first + environments].tolist() == pytest.approx(vector["epsilons"])
    config = Config().replace("exploration.kind", "ladder")
    config = config.replace("collector.environments", environments)
    ours = EpsilonSource(config.replace("launch.collectors", 1)).at(5, collectors, vector["index"])
    assert np.ravel(ours).tolist() == pytest.approx(vector["epsilons"])


# --- servers --------------------------------------------------------------------------------------


class Asker:
    """A plain REQ socket of a client, and a PUSH socket."""

    def __init__(self, own, memory):
        self.request, self.push = own.socket(zmq.REQ), own.socket(zmq.PUSH)
        for made, address in ((self.request, "samples"), (self.push, "transitions")):
            made.linger, made.rcvtimeo, made.sndtimeo = 0, 60_000, 60_000
            made.connect(memory.endpoints[address])

    def ask(self, message):
        self.request.send(message)
        return codec.decode(self.request.recv()).header


@pytest.fixture
def asker(context, in_thread):
    stop = threading.Event()
    with Memory(Config(), bind="tcp://127.0.0.1:0", context=context, stop=stop) as memory:
        thread = in_thread(memory.run)
        with ForeignContext() as own:
            asker = Asker(own, memory)
            spec = Spec.of(vectors.VECTOR)
            learner = vectors.hello(
                role="learner", name="l", session=900, spec=spec, run_id=vectors.RUN,
                learner_epoch=1,
            )  # fmt: skip
            assert isinstance(asker.ask(codec.encode(learner)), Welcome)
            yield asker
            own.destroy(linger=0)
        stop.set()
        thread.join(WAIT_S)


class FakeServer:
    """A link of which one request comes."""

    def __init__(self):
        self.requests: list[Request] = []
        self.answer = b""

    def receive(self):
        return self.requests.pop(0) if self.requests else None

    def reply(self, _request, message):
        self.answer = bytes(message)
        return True


class FakeLearner:
    """The answers of a learner that has published nothing so far."""

    def __init__(self):
        self._server = FakeServer()
        self._answers = ModelAnswers(
            self._server,  # type: ignore[arg-type]
            config=Config(),
            run_id=vectors.RUN,
            session=1001,
            memory="tcp://127.0.0.1:5556",
            weights_endpoint="tcp://127.0.0.1:5557",
            on_stop=lambda reason: None,
            pulse=Pulse(),
        )

    def ask(self, message):
        self._server.requests.append(Request([], memoryview(message)))
        self._answers.serve()
        return codec.decode(self._server.answer).header


def test_requests_are_refused_with_the_code_that_is_written(asker):
    learner = FakeLearner()
    for vector in FILES["refused.json"]["requests"]:
        ask = asker.ask if vector["to"] == "memory" else learner.ask
        answer = ask(bytes.fromhex(vector["hex"]))
        assert isinstance(answer, ErrorReply), vector["name"]
        assert answer.code == vector["code"], (vector["name"], answer)
        assert vector["text"] in answer.message, vector["name"]


def test_what_may_be_passed_over_is(asker):
    for vector in FILES["refused.json"]["accepted"]:
        answer = asker.ask(bytes.fromhex(vector["hex"]))
        assert not isinstance(answer, ErrorReply), (vector["name"], answer)


def test_blocks_are_refused_for_the_reason_that_is_written(asker):
    hello = vectors.hello(session=5, run_id=vectors.RUN)
    assert isinstance(asker.ask(codec.encode(hello)), Welcome)
    for number, vector in enumerate(FILES["refused.json"]["blocks"], 1):
        asker.push.send(bytes.fromhex(vector["hex"]))
        told = wait_for_delivery(asker, lambda told, number=number: told.refused >= number)
        assert told.stored == -1
        assert vector["reason"] in told.reason, vector["name"]
    for vector in FILES["refused.json"]["accepted_blocks"]:
        asker.push.send(bytes.fromhex(vector["hex"]))
        assert wait_for_delivery(asker, lambda told: told.stored == 0).refused == number


def wait_for_delivery(asker, condition):
    end_s = time.monotonic() + WAIT_S
    ping = codec.encode(Ping(session=5, statistics={}))
    while True:
        pong = asker.ask(ping)
        assert isinstance(pong, Pong)
        if pong.delivery is not None and condition(pong.delivery):
            return pong.delivery
        assert time.monotonic() < end_s, pong


def test_a_life_as_it_is_written_is_lived_with_a_memory(asker):
    lines = FILES["transcript.json"]
    assert lines[0]["kind"] == "HELLO"
    assert [line["kind"] for line in lines[-4:]] == ["GOODBYE", "ACKNOWLEDGED"] * 2
    found: Any = None
    for said, answer in itertools.pairwise(lines):
        body = bytes.fromhex(said["hex"])
        if (said["sender"], said["link"]) == ("collector", "transitions"):
            asker.push.send(body)
        if (said["sender"], said["link"]) != ("collector", "samples"):
            continue
        assert (answer["sender"], answer["link"]) == ("memory", "samples")
        found = asker.ask(body)
        end_s = time.monotonic() + WAIT_S
        while said["kind"] == "PING" and found.delivery.stored < 0:
            assert time.monotonic() < end_s
            found = asker.ask(body)
        assert found.kind is Kind[answer["kind"]]
        if isinstance(found, Pong):
            assert msgspec.to_builtins(found.delivery) == answer["header"]["delivery"]
    assert isinstance(found, Acknowledged)
