"""Writes ``docs/protocol/``: messages byte by byte, with what they mean, for other languages.

What is written here follows from the structs and the codec; `test_vectors.py` reads it back.
"""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from tests.wire.described import evaluate
from zdqn.config import Config
from zdqn.data import Block, EnvironmentSpec
from zdqn.rl.schedules import LinearSchedule, ladder_epsilons
from zdqn.roles.client_settings import tell_clients
from zdqn.wire import block_payload, codec, payloads
from zdqn.wire.memory_messages import Batches, BlockHeader, NotReady, Progress, SampleRequest
from zdqn.wire.model_messages import (
    ActionRequest,
    Actions,
    Claim,
    NetworkLayer,
    TensorInfo,
    Weights,
    WeightsRequest,
)
from zdqn.wire.protocol import (
    Acknowledged,
    Delivery,
    Echo,
    ErrorReply,
    Goodbye,
    Header,
    Hello,
    Ping,
    Pong,
    Refusal,
    Spec,
    StatusRequest,
    Stop,
    Welcome,
)

RUN = "cartpole-1"
VECTOR = EnvironmentSpec((2,), "float32", 2)
STACKED = EnvironmentSpec((2, 2), "uint8", 3, 2)
MASKED = EnvironmentSpec((2,), "float32", 11, action_masks=True)
SESSION = 4_503_599_627_370_497
VERSION = (1 << 32) + 7
SETTINGS = tell_clients(Config())
_LARGEST = 2**53 - 1


def as_json(value: Any) -> Any:
    """Give plain values; integers that a double does not hold as strings."""
    if isinstance(value, dict):
        return {key: as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > _LARGEST:
        return str(value)
    return value


def show_array(name: str, array: np.ndarray[Any, Any]) -> dict[str, Any]:
    if array.dtype.names is None:
        values = array.tolist()
        return {
            "name": name,
            "dtype": array.dtype.name,
            "shape": list(array.shape),
            "values": as_json(values),
        }
    fields = array.dtype.names
    rows = [{field: as_json(record[field].tolist()) for field in fields} for record in array]
    return {"name": name, "dtype": "record", "shape": list(array.shape), "values": rows}


def show(
    name: str,
    header: Header,
    arrays: Sequence[tuple[str, Any]] = (),
    *,
    message: bytes | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Give a message with what it means."""
    if message is None:
        message = codec.encode(header, [array for _, array in arrays])
    (length,) = struct.unpack_from("<I", message, 8)
    written = msgspec.msgpack.decode(message[16 : 16 + length])
    return {
        "name": name,
        **more,
        "kind": header.kind.name,
        "header": as_json(written),
        "arrays": [show_array(*array) for array in arrays],
        "hex": message.hex(),
    }


def show_spec(spec: EnvironmentSpec) -> dict[str, Any]:
    return msgspec.to_builtins(Spec.of(spec))  # type: ignore[no-any-return]


# --- messages -------------------------------------------------------------------------------------

PROGRESS = Progress(
    session=77,
    environment_steps=12,
    episodes=1,
    transitions=10,
    blocks=3,
    blocks_lost=1,
    blocks_duplicated=0,
    blocks_refused=0,
)


def hello(**changes: Any) -> Hello:
    values = {"role": "collector", "name": "c-0", "session": SESSION, **changes}
    return Hello(**values)


def messages() -> list[dict[str, Any]]:
    keys, priorities = np.array([3, 2**40], np.int64), np.array([0.5, -2.0], np.float32)
    count = 2
    batch = [
        ("observations", np.array([[0.0, 0.25], [1.0, 1.25]], np.float32)),
        ("next_observations", np.array([[1.0, 1.25], [2.0, 2.25]], np.float32)),
        ("keys", np.array([0, 1], np.int64)),
        ("probabilities", np.array([0.5, 0.5], np.float64)),
        ("weight_versions", np.array([VERSION, 0], np.int64)),
        ("actions", np.array([1, 0], np.int64)),
        ("rewards", np.array([1.0, -0.5], np.float32)),
        ("discounts", np.array([0.75, 0.0], np.float32)),
    ]
    on_64 = Stop(reason="x" * next(n for n in range(64) if len(_head(_stop(n))) % 64 == 0))
    return [
        show("STATUS_REQUEST, with an empty map", StatusRequest()),
        show("HELLO without a spec", hello()),
        show(
            "HELLO with a spec",
            hello(
                spec=Spec.of(VECTOR),
                run_id=RUN,
                to="memory",
                versions=(4, 4),
                capabilities=("lz4",),
            ),
        ),
        show("HELLO with a spec with masks", hello(spec=Spec.of(MASKED), run_id=RUN)),
        show("PING", Ping(session=SESSION, statistics={"blocks_sent": 3, "epsilon": 0.5})),
        show(
            "SAMPLE_REQUEST for what there is, at once: it ends with its header",
            SampleRequest(batch_size=32),
        ),
        show(
            "SAMPLE_REQUEST with two priorities",
            SampleRequest(batch_size=2, session=9, batches=4, wait_ms=1000, priorities=2),
            [("keys", keys), ("priorities", priorities)],
        ),
        show(
            "BATCHES: one of two transitions of float32 (2,)",
            Batches(batch_size=count, batches=1, size=10, progress=PROGRESS),
            batch,
        ),
        show(
            "BATCHES with masks: the same, of three actions",
            Batches(batch_size=count, batches=1, size=10, progress=PROGRESS),
            [
                *batch,
                ("allowed", np.array([[True, True, False], [True, False, False]])),
                ("next_allowed", np.array([[False, False, True], [False, False, False]])),
            ],
        ),
        show(
            "NOT_READY",
            NotReady(reason="filling", size=10, needed=64, progress=PROGRESS),
        ),
        show(
            "ERROR",
            ErrorReply(code=Refusal.UNKNOWN_SESSION, message="say hello before you claim"),
        ),
        show(
            "ACTION_REQUEST for two observations",
            ActionRequest(session=SESSION, spec_digest=VECTOR.digest, count=2),
            [("observations", np.array([[0.0, 0.25], [1.0, 1.25]], np.float32))],
        ),
        show(
            "ACTION_REQUEST with masks: of 11 actions 0, 3 and 10 are allowed at first, then 9",
            ActionRequest(session=SESSION, spec_digest=MASKED.digest, count=2),
            [
                ("observations", np.array([[0.0, 0.25], [1.0, 1.25]], np.float32)),
                ("masks", np.array([[0x09, 0x04], [0x00, 0x02]], np.uint8)),
            ],
        ),
        show(
            "ACTIONS",
            Actions(count=2, weight_version=VERSION),
            [("actions", np.array([1, 0], np.int64))],
        ),
        show("STOP whose header ends at a multiple of 64", on_64),
        show(
            "WEIGHTS whose header ends at a multiple of 64, where its array begins: no gap",
            _weights(next(n for n in range(64) if len(_head(_weights(n))) % 64 == 0)),
            [("w", np.array([0.5], np.float32))],
        ),
        show(
            "ECHO with three bytes behind a gap",
            Echo(nbytes=3),
            [("payload", np.arange(3, dtype=np.uint8))],
        ),
    ]


def _stop(letters: int) -> Stop:
    return Stop(reason="x" * letters)


def _weights(letters: int) -> Weights:
    return Weights(
        run_id="x" * letters,
        weight_version=VERSION,
        environment_steps=0,
        updates=0,
        stopping=False,
        tensors=(TensorInfo("w", "float32", (1,)),),
    )


def _head(header: Header) -> bytes:
    return codec.encode(header)


# --- digests --------------------------------------------------------------------------------------


def digests() -> list[dict[str, Any]]:
    texts = {
        "(4,)|float32|2|1": EnvironmentSpec((4,), "float32", 2),
        "(84, 84)|uint8|6|4": EnvironmentSpec((84, 84), "uint8", 6, 4),
        "(10, 10, 4)|uint8|6|1": EnvironmentSpec((10, 10, 4), "uint8", 6, 1, 1),
        "(2, 2)|uint8|3|2": STACKED,
        "(2,)|float32|11 masked|1": MASKED,
    }
    return [
        {
            "spec": show_spec(spec),
            "text": text,
            "spec_digest": str(spec.digest),
            "run_id": RUN,
            "origin_text": f"{text}|{RUN}",
            "origin": str(spec.origin(RUN)),
        }
        for text, spec in texts.items()
    ]


# --- blocks ---------------------------------------------------------------------------------------


def block(spec: EnvironmentSpec, frames: Any, records: Sequence[Any], **changes: Any) -> bytes:
    """Write a block of session 5."""
    header, made = _block(spec, frames, records, **changes)
    return block_payload.encode_block(header, made)


def _block(
    spec: EnvironmentSpec, frames: Any, records: Sequence[Any], **changes: Any
) -> tuple[BlockHeader, Block]:
    table = np.array(frames, spec.dtype).reshape(-1, *spec.observation_shape)
    masks = changes.pop("masks", None)
    packed = None if masks is None else np.array(masks, np.uint8)
    made = Block(table, np.array(list(records), spec.record_dtype), packed)
    values = {
        "session": 5,
        "sequence": 0,
        "origin": spec.origin(RUN),
        "frames": len(table),
        "transitions": len(records),
        "environment_steps": len(records),
        "episodes": 0,
        **changes,
    }
    return BlockHeader(**values), made


FRAMES = [[0.0, 0.25], [1.0, 1.25], [2.0, 2.25], [3.0, 3.25], [4.0, 4.25]]
IMAGES = [[[10 * n + m for m in row] for row in ((0, 1), (2, 3))] for n in range(5)]


def show_block(
    name: str, meaning: str, spec: EnvironmentSpec, frames: Any, records: Any, **changes: Any
) -> dict[str, Any]:
    header, made = _block(spec, frames, records, **changes)
    arrays = [("frames", made.frames), ("records", made.records)]
    if made.masks is not None:
        arrays.insert(1, ("masks", made.masks))
    more: dict[str, Any] = {"meaning": meaning, "spec": show_spec(spec), "run_id": RUN}
    return show(name, header, arrays, **more)


def blocks() -> list[dict[str, Any]]:
    return [
        show_block(
            "one transition",
            "two frames, one step, chosen by nobody's weights",
            VECTOR,
            FRAMES[:2],
            [(0, [0], [1], 1, 1.0, 0.75, -1.0)],
        ),
        show_block(
            "frames that are shared",
            "three steps in a row: frame 1 is the next of one and the first of another",
            VECTOR,
            FRAMES[:4],
            [(VERSION, [n], [n + 1], n % 2, 1.0, 0.75, -1.0) for n in range(3)],
            sequence=1,
            environment_steps=4,
        ),
        show_block(
            "an episode that terminated",
            "the discount of its last transition is 0",
            VECTOR,
            FRAMES[:3],
            [(VERSION, [0], [1], 0, 1.0, 0.75, -1.0), (VERSION, [1], [2], 1, 1.0, 0.0, -1.0)],
            sequence=2,
            environment_steps=6,
            episodes=1,
        ),
        show_block(
            "an episode that was truncated",
            "its last transition keeps the discount",
            VECTOR,
            FRAMES[:3],
            [(VERSION, [0], [1], 0, 1.0, 0.75, -1.0), (VERSION, [1], [2], 1, 1.0, 0.75, -1.0)],
            sequence=3,
            environment_steps=8,
            episodes=2,
        ),
        show_block(
            "n-step returns with a short tail, truncated",
            "n = 3, g = 0.5, rewards 1, 2, 4, 8: the last two transitions reach over 2 and 1 steps",
            VECTOR,
            FRAMES,
            [
                (VERSION, [0], [3], 0, 3.0, 0.125, -1.0),
                (VERSION, [1], [4], 1, 6.0, 0.125, -1.0),
                (VERSION, [2], [4], 0, 8.0, 0.25, -1.0),
                (VERSION, [3], [4], 1, 8.0, 0.5, -1.0),
            ],
            sequence=4,
            environment_steps=12,
            episodes=3,
        ),
        show_block(
            "n-step returns with a short tail, terminated",
            "the same: whatever reaches the end of the episode has the discount 0",
            VECTOR,
            FRAMES,
            [
                (VERSION, [0], [3], 0, 3.0, 0.125, 0.5),
                (VERSION, [1], [4], 1, 6.0, 0.0, 0.25),
                (VERSION, [2], [4], 0, 8.0, 0.0, 1.5),
                (VERSION, [3], [4], 1, 8.0, 0.0, 2.0),
            ],
            sequence=5,
            environment_steps=16,
            episodes=4,
        ),
        show_block(
            "stacks of two",
            "an episode begins with its first frame twice; the oldest comes first",
            STACKED,
            IMAGES[:3],
            [
                (VERSION, [0, 0], [0, 1], 2, 1.0, 0.75, -1.0),
                (VERSION, [0, 1], [1, 2], 0, -1.0, 0.75, -1.0),
            ],
        ),
        show_block(
            "masks",
            "0, 3 and 10 are allowed at first, then 9, and nothing where the episode terminated",
            MASKED,
            FRAMES[:3],
            [(VERSION, [0], [1], 10, 1.0, 0.75, -1.0), (VERSION, [1], [2], 9, 1.0, 0.0, -1.0)],
            masks=[[0x09, 0x04], [0x00, 0x02], [0x00, 0x00]],
        ),
    ]


def compressed_blocks() -> list[dict[str, Any]]:
    """Give blocks whose four frames are `PLAIN`."""
    records = np.array([(VERSION, [0], [3], 1, 1.0, 0.75, -1.0)] * 2, VECTOR.record_dtype)
    frames = np.frombuffer(PLAIN, np.float32).reshape(4, 2)
    shown = []
    for sequence, (name, packed) in enumerate((("lz4", LZ4), ("zstd", ZSTD))):
        header, _ = _block(VECTOR, frames, records.tolist(), sequence=sequence)
        header = msgspec.structs.replace(header, compression=name, frames_bytes=len(packed))
        arrays = [("frames", np.frombuffer(packed, np.uint8)), ("records", records)]
        shown.append(
            show(
                f"frames in {name}",
                header,
                arrays,
                meaning=f"they decompress to {PLAIN.hex()}: four frames",
                spec=show_spec(VECTOR),
                run_id=RUN,
            )
        )
    return shown


# --- compression ----------------------------------------------------------------------------------

PLAIN = bytes([7] * 24 + [1, 2, 3, 4, 5, 6, 7, 8])
LZ4 = bytes.fromhex("1f 07 0100 04 80 0102030405060708")
ZSTD = bytes.fromhex("28b52ffd 20 20 c20000 07 410000") + PLAIN[24:]


def compression() -> dict[str, Any]:
    """Give frame tables that were compressed by hand, so that no library's version is in them."""
    no_size = bytes.fromhex("28b52ffd 00 00 010100") + PLAIN
    refused = [
        ("lz4", "another size than the table", LZ4, 31),
        ("lz4", "cut off", LZ4[:-1], 32),
        ("lz4", "a size in front of it", struct.pack("<I", 32) + LZ4, 32),
        ("zstd", "another size than the table", ZSTD, 33),
        ("zstd", "cut off", ZSTD[:-1], 32),
        ("zstd", "a frame that does not tell its size", no_size, 32),
        ("zstd", "bytes behind the frame", ZSTD + b"\0", 32),
        ("zstd", "no zstd", LZ4, 32),
    ]
    return {
        "accepted": [
            {"compression": name, "plain": PLAIN.hex(), "packed": packed.hex()}
            for name, packed in (("lz4", LZ4), ("zstd", ZSTD))
        ],
        "refused": [
            {"compression": name, "why": why, "packed": packed.hex(), "size": size}
            for name, why, packed, size in refused
        ],
    }


# --- networks -------------------------------------------------------------------------------------


def _array(values: Any) -> np.ndarray[Any, Any]:
    return np.array(values, np.float32)


HIDDEN = {
    "hidden_0.weight": _array([[0.5, -1], [1, 0.25], [-0.75, 0.5]]),
    "hidden_0.bias": _array([0.1, -0.2, 0.3]),
}
HEAD = {"weight": _array([[1, -0.5, 0.25], [0.5, 1, -1]]), "bias": _array([0.05, -0.05])}
PLAIN_HEAD = {f"head.{name}": array for name, array in HEAD.items()}
DUELING_HEAD = {
    "head.value.weight": _array([[0.5, 1, -0.5]]),
    "head.value.bias": _array([0.2]),
    **{f"head.advantage.{name}": array for name, array in HEAD.items()},
}
NOISY_LAYERS = {
    **HIDDEN,
    "hidden_0.weight_sigma": _array([[0.25, 0.25], [0.5, 0.5], [0.125, 0.125]]),
    "hidden_0.bias_sigma": _array([0.25, 0.25, 0.25]),
    **PLAIN_HEAD,
    "head.weight_sigma": _array([[0.5, 0.5, 0.5], [0.25, 0.25, 0.25]]),
    "head.bias_sigma": _array([0.5, 0.125]),
}
DISTRIBUTED_HEAD = {
    "head.weight": _array(
        [[1, -0.5, 0.25], [0.5, 1, -1], [0, 0.25, 0.5], [0.25, 0, 1], [1, 1, 0], [0, -1, 0.5]]
    ),
    "head.bias": _array([0.05, -0.05, 0.1, 0, -0.1, 0.2]),
}
DUELING_DISTRIBUTED_HEAD = {
    "head.value.weight": _array([[0.5, 1, -0.5], [0, 0.5, 0.25], [1, 0, -1]]),
    "head.value.bias": _array([0.2, -0.1, 0]),
    **{name.replace("head", "head.advantage"): array for name, array in DISTRIBUTED_HEAD.items()},
}
CNN = {
    "convolution_0.weight": _array([[[[1, 0], [0, -1]]]]),
    "convolution_0.bias": _array([0.1]),
    "head.weight": _array([[1, 1, 1, 1], [0, 1, 0, 2]]),
    "head.bias": _array([0, -0.5]),
}
IMAGE = EnvironmentSpec((3, 3), "uint8", 2)
CHANNELS = EnvironmentSpec((2, 3, 2), "uint8", 2, 1, 1)


def layer(op: str, name: str = "", activation: str = "", **more: Any) -> NetworkLayer:
    return NetworkLayer(op=op, name=name, activation=activation, **more)


def _mlp(activation: str, head: str = "linear", *after: NetworkLayer) -> tuple[NetworkLayer, ...]:
    return layer("flatten"), layer("linear", "hidden_0", activation), layer(head, "head"), *after


def networks() -> list[dict[str, Any]]:
    observations = [[1, 2], [-0.5, 0.25], [0, 0]]
    convolved = layer("convolution", "convolution_0", "relu"), layer("flatten")
    image = layer("image", scale=1 / 255)
    pixels = [[0, 51, 102], [153, 204, 255], [51, 0, 102]]
    two_planes = {
        "head.weight": _array([[1, 2, 3, 4, 5, 6, 0, 0, 0, 0, 0, 1]]),
        "head.bias": _array([0]),
    }
    channels = [[[1, 0], [1, 1], [0, 0]], [[0, 1], [0, 0], [1, 1]]]
    flat = layer("image", channels_last=True), layer("flatten"), layer("linear", "head")
    cases: list[tuple[str, EnvironmentSpec, tuple[NetworkLayer, ...], dict[str, Any], Any]] = [
        (f"mlp_{name}", VECTOR, _mlp(name), HIDDEN | PLAIN_HEAD, observations)
        for name in ("relu", "tanh", "elu", "gelu", "silu")
    ]
    cases += [
        (
            "mlp_dueling",
            VECTOR,
            _mlp("relu", "dueling"),
            HIDDEN | DUELING_HEAD,
            observations,
        ),
        (
            "noisy",
            VECTOR,
            (
                layer("flatten"),
                layer("noisy_linear", "hidden_0", "relu"),
                layer("noisy_linear", "head"),
            ),
            NOISY_LAYERS,
            observations,
        ),
        (
            "categorical",
            VECTOR,
            _mlp("relu", "linear", layer("categorical", numbers=3, v_min=-1.0, v_max=2.0)),
            HIDDEN | DISTRIBUTED_HEAD,
            observations,
        ),
        (
            "quantiles_dueling",
            VECTOR,
            _mlp("relu", "dueling", layer("quantiles", numbers=3)),
            HIDDEN | DUELING_DISTRIBUTED_HEAD,
            observations,
        ),
        ("cnn", IMAGE, (image, *convolved, layer("linear", "head")), CNN, [pixels]),
        ("channels_last", CHANNELS, flat, two_planes, [channels]),
    ]
    return [_show_network(*case) for case in cases]


def _show_network(
    name: str,
    spec: EnvironmentSpec,
    layers: tuple[NetworkLayer, ...],
    arrays: dict[str, Any],
    observations: Any,
) -> dict[str, Any]:
    header = Weights(
        run_id=RUN,
        weight_version=VERSION,
        environment_steps=500,
        updates=70,
        stopping=False,
        tensors=payloads.describe_tensors(arrays),
        network=layers,
    )
    given = np.array(observations, spec.dtype)
    values = [evaluate(layers, arrays, observation, spec) for observation in given]
    told = [[round(float(value), 6) for value in row] for row in values]
    return show(
        name,
        header,
        list(arrays.items()),
        spec=show_spec(spec),
        observations=given.tolist(),
        q_values=told,
    )


# --- epsilon --------------------------------------------------------------------------------------


def epsilons() -> dict[str, Any]:
    linear = [(1.0, 0.1, 100_000), (0.5, 0.05, 10), (1.0, 0.25, 0)]
    rules = [(LinearSchedule(*rule), rule) for rule in linear]
    return {
        "linear": [
            {
                "initial": rule[0],
                "final": rule[1],
                "decay_environment_steps": rule[2],
                "environment_steps": steps,
                "epsilon": schedule(steps),
            }
            for schedule, rule in rules
            for steps in (0, rule[2] // 2, rule[2], 2 * rule[2])
        ],
        "ladder": [
            {
                "base": 0.4,
                "exponent": 7.0,
                "collectors": collectors,
                "environments": environments,
                "index": index,
                "epsilons": ladder_epsilons(
                    collectors * environments, base=0.4, exponent=7.0
                ).tolist()[index * environments : (index + 1) * environments],
            }
            for collectors, environments, index in (
                (1, 1, 0),
                (4, 1, 0),
                (4, 1, 1),
                (4, 1, 2),
                (4, 1, 3),
                (2, 2, 0),
                (2, 2, 1),
            )
        ],
    }


# --- what is refused ------------------------------------------------------------------------------

CHANGED_PREFIX = {
    "another magic": (0, b"ZDQX", "not zdqn's"),
    "another version": (4, struct.pack("<H", 3), "protocol version 3"),
    "a kind that there is not": (6, bytes([99]), "unknown kind 99"),
    "a flag of the lower four": (7, b"\x01", "flags 1"),
    "a header longer than the message": (8, struct.pack("<I", 9), "claims a header of 9 bytes"),
}
PASSED_OVER = {
    "a flag of the upper four": (7, b"\xf0"),
    "reserved bytes": (12, b"\xff\xff\xff\xff"),
}


def raw(kind: int, body: Any, payload: bytes = b"") -> bytes:
    """Write a message whose header no struct would give."""
    head = body if isinstance(body, bytes) else msgspec.msgpack.encode(body)
    return struct.pack("<4sHBBII", b"ZDQN", 4, kind, 0, len(head), 0) + head + payload


def patched(message: bytes, at: int, other: bytes) -> bytes:
    return message[:at] + other + message[at + len(other) :]


def refused() -> dict[str, Any]:
    """Give what is sent to a server that knows the spec `VECTOR` and the run `RUN`."""
    status = codec.encode(StatusRequest())
    ping: dict[str, Any] = {"session": 1, "statistics": {}}
    known = Spec.of(EnvironmentSpec((3,), "float32", 2))
    to_memory = [
        ("nothing", b"", "protocol", "empty or of several frames"),
        ("shorter than a prefix", b"ZDQN", "protocol", "too short"),
        *(
            (name, patched(status, at, other), "protocol", text)
            for name, (at, other, text) in CHANGED_PREFIX.items()
        ),
        ("bytes behind a header without arrays", status + b"\0", "protocol", "behind its header"),
        ("a header that is no map", raw(4, b"\x90"), "protocol", "header of PING"),
        ("a header that is cut off", raw(4, b"\x82\xa7session"), "protocol", "header of PING"),
        ("a field too many", raw(4, ping | {"more": 1}), "protocol", "more"),
        ("a field too few", raw(4, {"session": 1}), "protocol", "statistics"),
        ("a whole float for an integer", raw(4, ping | {"session": 1.5}), "protocol", "session"),
        ("a session of 2^53", raw(4, ping | {"session": 2**53}), "protocol", "session"),
        ("a batch of 0", raw(17, {"batch_size": 0}), "protocol", "batch_size"),
        (
            "priorities that are not there",
            raw(17, {"batch_size": 1, "priorities": 1}),
            "protocol",
            "bytes where its header",
        ),
        (
            "the other server",
            codec.encode(hello(session=21, to="learner")),
            "mismatch",
            "is a memory, not a learner",
        ),
        (
            "versions of another day",
            codec.encode(hello(session=22, versions=(5, 9))),
            "protocol",
            "versions 5 to 9",
        ),
        (
            "another environment",
            codec.encode(hello(session=23, spec=known)),
            "mismatch",
            "another environment",
        ),
        (
            "another run",
            codec.encode(hello(session=24, run_id="run-b")),
            "fenced",
            "has taken the place of run run-b",
        ),
        (
            "what a memory does not answer",
            codec.encode(WeightsRequest()),
            "protocol",
            "does not answer WEIGHTS_REQUEST",
        ),
    ]
    to_learner = [
        (
            "a claim before the hello",
            codec.encode(Claim(session=31, wait_ms=0)),
            "unknown_session",
            "say hello",
        ),
        (
            "a question for actions before the hello",
            codec.encode(
                ActionRequest(session=31, spec_digest=VECTOR.digest, count=1),
                [np.zeros((1, 2), np.float32)],
            ),
            "unknown_session",
            "say hello",
        ),
        (
            "weights before there are any",
            codec.encode(WeightsRequest()),
            "not_serving",
            "no weights yet",
        ),
    ]
    record = (VERSION, [0], [1], 1, 1.0, 0.75, -1.0)
    good = block(VECTOR, FRAMES[:2], [record])
    in_blocks = [
        ("another origin", block(VECTOR, FRAMES[:2], [record], origin=1), "another run"),
        ("a byte too many", good + b"\0", "bytes where its header"),
        ("a byte too few", good[:-1], "bytes where its header"),
        (
            "a frame outside the table",
            block(VECTOR, FRAMES[:2], [(0, [0], [2], *record[3:])]),
            "outside its table",
        ),
        (
            "an action that there is not",
            block(VECTOR, FRAMES[:2], [(0, [0], [1], 2, *record[4:])]),
            "an action outside 0..1",
        ),
        (
            "a reward that is no number",
            block(VECTOR, FRAMES[:2], [(0, [0], [1], 1, float("nan"), 0.75, -1.0)]),
            "not finite",
        ),
        (
            "an observation that is not finite",
            block(VECTOR, [[0, 0], [float("inf"), 0]], [record]),
            "not finite",
        ),
        (
            "more frames than are referred to",
            block(VECTOR, FRAMES[:3], [record]),
            "at most 2 frames each",
        ),
        (
            "bytes of frames where they are not compressed",
            block(VECTOR, FRAMES[:2], [record], frames_bytes=3),
            "frames_bytes 3, not 0",
        ),
        (
            "more steps than blocks hold",
            block(VECTOR, FRAMES[:2], [record], environment_steps=10_000),
            "at most",
        ),
        (
            "more episodes than steps",
            block(VECTOR, FRAMES[:2], [record], episodes=2),
            "an episode has a step",
        ),
    ]
    long_ints = b"\x82\xa7session\xcf" + struct.pack(">Q", 1) + b"\xaastatistics\xdf" + bytes(4)
    signed = b"\x82\xdb\x00\x00\x00\x07session\xd3" + struct.pack(">q", 1) + b"\xaastatistics\x80"
    gap = 16 + struct.unpack_from("<I", good, 8)[0]
    return {
        "requests": [
            {"name": name, "to": to, "hex": message.hex(), "code": code, "text": text}
            for to, cases in (("memory", to_memory), ("learner", to_learner))
            for name, message, code, text in cases
        ],
        "blocks": [
            {"name": name, "hex": message.hex(), "reason": text}
            for name, message, text in in_blocks
        ],
        "accepted": [
            *(
                {"name": name, "hex": patched(status, at, other).hex()}
                for name, (at, other) in PASSED_OVER.items()
            ),
            {"name": "integers and maps longer than need be", "hex": raw(4, long_ints).hex()},
            {"name": "a long string and a signed integer", "hex": raw(4, signed).hex()},
        ],
        "accepted_blocks": [
            {"name": "a gap that is not zero", "hex": patched(good, gap, b"\xff").hex()}
        ],
    }


# --- a life ---------------------------------------------------------------------------------------


def transcript() -> list[dict[str, Any]]:
    """Give every message between a collector and both servers, in order."""
    learner, memory = 1001, 2002
    spec = Spec.of(VECTOR)
    common: dict[str, Any] = {
        "run_id": RUN,
        "settings": SETTINGS,
        "config": {},
        "index": 0,
        "seed": 3,
        "version": 4,
    }
    welcome = Welcome(
        session=learner,
        data_endpoint="tcp://127.0.0.1:5557",
        spec=spec,
        memory="tcp://127.0.0.1:5556",
        capabilities=("actions", "configuration"),
        **common,
    )
    at_memory = Welcome(
        session=memory,
        data_endpoint="tcp://127.0.0.1:5555",
        spec=spec,
        memory="",
        capabilities=("acked", "arrivals", "slots", "lz4", "zstd"),
        **common,
    )
    arrays = HIDDEN | PLAIN_HEAD
    weights = Weights(
        run_id=RUN,
        weight_version=1 << 32,
        environment_steps=0,
        updates=0,
        stopping=False,
        tensors=payloads.describe_tensors(arrays),
        network=_mlp("relu"),
    )
    last = msgspec.structs.replace(weights, weight_version=VERSION, stopping=True, updates=70)
    statistics: dict[str, Any] = {"environment_steps": 3, "episodes": 1, "blocks_sent": 1}
    records = [((1 << 32), [n], [n + 1], n % 2, 1.0, 0.75, -1.0) for n in range(2)]
    records.append(((1 << 32), [2], [3], 0, 1.0, 0.0, -1.0))
    header, made = _block(
        VECTOR, FRAMES[:4], records, session=SESSION, environment_steps=3, episodes=1
    )

    def pong(session: int, *, stopping: bool, delivery: Delivery | None = None) -> Pong:
        return Pong(
            session=session,
            known=True,
            stopping=stopping,
            environment_steps=3,
            collectors=1,
            statistics={},
            delivery=delivery,
        )

    def say(
        sender: str, link: str, meaning: str, header: Header, given: Any = ()
    ) -> dict[str, Any]:
        return show(meaning, header, given, sender=sender, link=link)

    ping = Ping(session=SESSION, statistics=statistics)
    goodbye = Goodbye(session=SESSION, statistics=statistics)
    stored = Delivery(stored=0, refused=0, reason="")
    network = list(arrays.items())
    return [
        say("collector", "model", "who it is, to the learner", hello(spec=spec)),
        say("learner", "model", "the run, and where weights and memory are", welcome),
        say("collector", "samples", "who it is, to the memory", hello(spec=spec, run_id=RUN)),
        say("memory", "samples", "where blocks go", at_memory),
        say("collector", "model", "the weights that it missed", WeightsRequest()),
        say("learner", "model", "the first weights", weights, network),
        say(
            "collector",
            "transitions",
            "an episode of three steps",
            header,
            [("frames", made.frames), ("records", made.records)],
        ),
        say("collector", "samples", "it lives, to the memory", ping),
        say(
            "memory",
            "samples",
            "its block is stored",
            pong(memory, stopping=False, delivery=stored),
        ),
        say("collector", "model", "it lives, to the learner", ping),
        say("learner", "model", "the run goes on", pong(learner, stopping=False)),
        say("learner", "weights", "the last weights: the run is over", last, network),
        say("collector", "model", "it lives, once more", ping),
        say("learner", "model", "the run is over", pong(learner, stopping=True)),
        say("collector", "samples", "it leaves the memory", goodbye),
        say("memory", "samples", "yes", Acknowledged()),
        say("collector", "model", "it leaves the learner", goodbye),
        say("learner", "model", "yes", Acknowledged()),
    ]


FILES = {
    "messages.json": messages,
    "digests.json": digests,
    "blocks.json": lambda: blocks() + compressed_blocks(),
    "compression.json": compression,
    "networks.json": networks,
    "epsilon.json": epsilons,
    "refused.json": refused,
    "transcript.json": transcript,
}


def render(name: str) -> str:
    """Give the text of a file."""
    return json.dumps(FILES[name](), indent=1) + "\n"


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(exist_ok=True)
    for name in FILES:
        (folder / name).write_text(render(name))
