"""``docs/protocol.md`` against the code, and a client that knows nothing but the document."""

import fcntl
import hashlib
import os
import re
import struct
import threading
from pathlib import Path

import pytest
import zmq
from msgspec import NODEFAULT, inspect

from tests.keys_for_all import ForeignContext
from zdqn.config import load_config
from zdqn.data import ALLOWED_DTYPES, EnvironmentSpec, record_dtype
from zdqn.errors import ProtocolError
from zdqn.rl.networks import ACTIVATIONS
from zdqn.roles.memory import Memory
from zdqn.wire import block_payload, payloads, protocol, sockets, transition_sockets
from zdqn.wire.client_config import ClientConfig, Epsilon
from zdqn.wire.codec import HEADERS
from zdqn.wire.memory_messages import BlockHeader, Progress, Slot
from zdqn.wire.model_messages import ActionRequest, NetworkLayer, TensorInfo
from zdqn.wire.protocol import Delivery, Kind, Spec
from zdqn.wire.status import OF_CLIENTS

DOCUMENT = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()
SECTIONS = {
    match.group(1): match.group(2)
    for match in re.finditer(r"^### (.+)\n((?:(?!^##).*\n)*)", DOCUMENT, re.MULTILINE)
}
WAIT_MS = 60_000


# --- every kind and every field -----------------------------------------------------------------


def number(value):
    """Write a limit as the document does: powers as powers."""
    if value is None:
        return None
    for exponent in (31, 48, 53, 63):
        for offset, text in ((0, ""), (-1, "-1")):
            if abs(value) == 2**exponent + offset:
                return f"{'-' if value < 0 else ''}2^{exponent}{text}"
    return "10^9" if value == 10**9 else f"{value:g}" if isinstance(value, float) else str(value)


def describe(kind: inspect.Type) -> str:
    """Write a declared type as the document does."""
    match kind:
        case inspect.IntType():
            return f"int {number(kind.ge)}..{number(kind.le)}"
        case inspect.FloatType():
            return f"float {number(kind.ge)}..{number(kind.le)}" if kind.le else "float"
        case inspect.StrType():
            return describe_string(kind)
        case inspect.VarTupleType() | inspect.TupleType():
            return f"array of {describe_items(kind)}"
        case inspect.UnionType():
            return " or ".join(describe(inner) for inner in kind.types)
        case inspect.EnumType():
            return "one of " + ", ".join(sorted(kind.cls))
        case inspect.LiteralType():
            return "one of " + ", ".join(sorted(str(value) or '""' for value in kind.values))
        case inspect.DictType():
            return "map" if isinstance(kind.value_type, inspect.AnyType) else "statistics"
        case inspect.StructType():
            return kind.cls.__name__
        case _:
            return {inspect.BoolType: "bool", inspect.NoneType: "nil"}[type(kind)]


def describe_string(kind: inspect.StrType) -> str:
    if kind.pattern is not None:
        assert kind.max_length == 256
        return "label"
    return "string" if kind.max_length is None else f"string of at most {kind.max_length}"


def describe_items(kind: inspect.VarTupleType | inspect.TupleType) -> str:
    if isinstance(kind, inspect.TupleType):
        return f"{len(kind.item_types)} {describe(kind.item_types[0])}"
    item = describe(kind.item_type)
    if kind.max_length is None:
        return item
    least = f"{kind.min_length} to" if kind.min_length else "up to"
    return f"{least} {kind.max_length} {item}"


def declared_rows(struct_type):
    info = inspect.type_info(struct_type)
    assert isinstance(info, inspect.StructType)
    for field in info.fields:
        default = {NODEFAULT: "", None: "nil", "": '""', (): "[]"}.get(
            field.default, str(field.default)
        )
        default = default.lower() if isinstance(field.default, bool) else default
        yield field.name, describe(field.type), default


def documented_rows(section):
    table = re.search(r"\| field \| type \| default \| meaning \|\n\|.*\n((?:\|.*\n)+)", section)
    if table is None:
        return []
    rows = [[cell.strip() for cell in line.split("|")] for line in table.group(1).splitlines()]
    return [(name.strip("`"), kind, default) for _, name, kind, default, *_ in rows]


STRUCTS = {f"{int(kind)} {kind.name}": HEADERS[kind] for kind in Kind} | {
    "Environment spec": Spec,
    "Progress": Progress,
    "Delivery": Delivery,
    "ClientConfig": ClientConfig,
    "Epsilon": Epsilon,
    "NetworkLayer": NetworkLayer,
    "Slot": Slot,
    "TensorInfo": TensorInfo,
}


@pytest.mark.parametrize("title", STRUCTS)
def test_the_document_has_every_field_with_its_type_and_default(title):
    assert title in SECTIONS, f"docs/protocol.md has no section ### {title}"
    assert documented_rows(SECTIONS[title]) == list(declared_rows(STRUCTS[title]))


def test_the_document_has_no_kind_that_is_not_there():
    titles = {title for title in SECTIONS if re.match(r"\d+ ", title)}
    assert titles == {f"{int(kind)} {kind.name}" for kind in Kind}


# --- the payloads -------------------------------------------------------------------------------


def documented_payload(kind):
    section = SECTIONS[f"{int(kind)} {kind.name}"]
    table = re.search(r"\| payload.* \| dtype \| shape \|\n\|.*\n((?:\|.*\n)+)", section)
    assert table is not None
    return [tuple(line.strip("|\n ").split(" | ")) for line in table.group(1).splitlines()]


@pytest.mark.parametrize("masked", [False, True])
def test_the_document_has_every_payload_with_its_dtypes_in_order(masked):
    spec = EnvironmentSpec((3, 5), "uint8", 11, 4, action_masks=masked)
    block = BlockHeader(
        session=1, sequence=0, origin=0, frames=2, transitions=3, environment_steps=0,
        episodes=0,
    )  # fmt: skip
    action_request = ActionRequest(session=1, spec_digest=0, count=2)
    layouts = {
        Kind.BLOCK: (block_payload.block_layout(block, spec), {"F": 2, "T": 3}),
        Kind.SAMPLE_REQUEST: (payloads.priorities_layout(7), {"P": 7}),
        Kind.BATCHES: (payloads.batches_layout(7, spec), {"M": 7}),
        Kind.ACTION_REQUEST: (payloads.action_request_layout(action_request, spec), {"C": 2}),
        Kind.ACTIONS: (payloads.actions_layout(7), {"C": 7}),
        Kind.EVALUATION_RESULT: (payloads.scores_layout(7), {"E": 7}),
    }
    shapes = {"*observation_shape": (3, 5), "*stacked shape": (4, 3, 5), "A": (11,), "W": (2,)}
    for kind, (layout, counts) in layouts.items():
        rows = [row for row in documented_payload(kind) if masked or "action_masks" not in row[0]]
        assert len(rows) == len(layout), kind
        for (_, dtype_name, shape_text), (dtype, shape) in zip(rows, layout, strict=True):
            names = [part for part in shape_text.strip("()").split(", ") if part]
            documented = tuple(
                size
                for part in (name.rstrip(",") for name in names)
                for size in shapes.get(part, (counts.get(part),))
            )
            assert documented == shape, kind
            expected = {"the observation dtype": spec.dtype, "record": spec.record_dtype}
            assert expected.get(dtype_name, dtype_name) == dtype, kind


def test_the_document_has_every_array_of_a_batch_in_order():
    # the order is fixed by `payloads._as_batch`; a layout alone cannot tell actions from keys
    names = [row[0].split("`")[1] for row in documented_payload(Kind.BATCHES)]
    arrays = [f"array {index}" for index in range(len(names))]
    batch = payloads._as_batch(arrays)  # type: ignore[arg-type]
    assert {name: getattr(batch, name) for name in names} == dict(zip(names, arrays, strict=True))


def test_the_document_has_every_dtype_and_constant():
    for name in ALLOWED_DTYPES:
        assert f"`{name}`" in DOCUMENT
    assert protocol.MAGIC.hex(" ").upper() in DOCUMENT
    assert f"version {protocol.PROTOCOL_VERSION}" in DOCUMENT.splitlines()[0]
    assert protocol.MAX_HEADER_BYTES == 65_536
    assert protocol.ALIGNMENT == 64
    assert transition_sockets.MAX_BLOCK_BYTES == 256 * 1024**2
    assert sockets.MAX_MESSAGE_BYTES == 1024**3


@pytest.mark.parametrize("frame_stack", [1, 4])
def test_the_document_has_the_record_layout(frame_stack):
    rows = re.findall(r"^\| ([\d SH+]+) \| ([\d S]+) \| `(\w+)` \|", SECTIONS["Record"], re.M)
    dtype = record_dtype(frame_stack)
    assert dtype.fields is not None

    def evaluate(text):
        return sum(
            int(term.removesuffix(" S")) * (frame_stack if term.endswith("S") else 1)
            for term in text.split(" + ")
        )

    assert [(name, evaluate(offset), evaluate(size)) for offset, size, name in rows] == [
        (name, field[1], field[0].itemsize) for name, field in dtype.fields.items()
    ]


def test_the_document_gives_a_true_digest():
    example = re.search(r"Example: `(.+)` has the digest (\d+)", DOCUMENT)
    assert example is not None
    digest = int.from_bytes(hashlib.sha256(example.group(1).encode()).digest()[:8], "little") // 2
    assert int(example.group(2)) == digest
    assert EnvironmentSpec((4,), "float32", 2).digest == digest


def test_the_document_has_every_code_of_a_refusal():
    for code in protocol.Refusal:
        assert f"| `{code}` |" in SECTIONS["3 ERROR"]


def test_the_document_says_since_when_it_is_as_it_is():
    versions = re.findall(r"^\*\*(\d+)\.\*\*", DOCUMENT.split("## 12. History")[1], re.M)
    assert versions == [str(protocol.PROTOCOL_VERSION), "3"]


def test_the_document_has_every_operation_and_activation_of_a_network():
    for activation in ACTIVATIONS:
        assert f"| `{activation}` | " in SECTIONS["Networks"]
    for op in ("flatten", "image", "convolution", "linear", "dueling"):
        assert f"| `{op}` | " in SECTIONS["Networks"]


def test_the_document_has_every_statistic_that_is_computed_with():
    documented = re.findall(r"\| (\w+) \| `(\w+)` \| ([^|]+) \|", SECTIONS["4 PING"])
    declared = [
        (role, name, kind.removesuffix(" or nil"))
        for role, statistics in OF_CLIENTS.items()
        for name, kind, _ in declared_rows(statistics)
    ]
    assert documented == declared


def test_the_largest_frame_is_the_documented_one():
    assert "at most 8388608" in DOCUMENT
    Spec.of(EnvironmentSpec((8_388_608,), "uint8", 1)).read()
    with pytest.raises(ProtocolError, match="out of range"):
        Spec.of(EnvironmentSpec((8_388_609,), "uint8", 1)).read()


# --- a client from the document alone: zmq and struct, nothing of zdqn --------------------------


def pack(value):
    """Write msgpack, as much of it as these messages need."""
    if value is None:
        return b"\xc0"
    if isinstance(value, int):
        return struct.pack(">BQ", 0xCF, value)
    if isinstance(value, str):
        return struct.pack(">BB", 0xD9, len(value)) + value.encode()
    if isinstance(value, list):
        return struct.pack(">BH", 0xDC, len(value)) + b"".join(map(pack, value))
    return struct.pack(">BH", 0xDE, len(value)) + b"".join(
        pack(key) + pack(item) for key, item in value.items()
    )


NUMBERS = {0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q", 0xD0: ">b",
           0xD1: ">h", 0xD2: ">i", 0xD3: ">q"}  # fmt: skip
SIZES = {0xD9: ">B", 0xDA: ">H", 0xDB: ">I", 0xDC: ">H", 0xDD: ">I", 0xDE: ">H", 0xDF: ">I"}


class Reader:
    """Reads msgpack."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, form):
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def value(self):
        head = self.take(1)[0]
        if head < 0x80 or head >= 0xE0:
            return head if head < 0x80 else head - 256
        if head in (0xC0, 0xC2, 0xC3):
            return {0xC0: None, 0xC2: False, 0xC3: True}[head]
        if head in NUMBERS:
            return self.number(NUMBERS[head])
        return self.sized(head)

    def sized(self, head):
        if head in SIZES:
            length = self.number(SIZES[head])
            family = "string" if head < 0xDC else "array" if head < 0xDE else "map"
        else:
            family = "map" if head < 0x90 else "array" if head < 0xA0 else "string"
            length = head & (0x1F if family == "string" else 0x0F)
        if family == "string":
            return self.take(length).decode()
        if family == "array":
            return [self.value() for _ in range(length)]
        return {self.value(): self.value() for _ in range(length)}


def write_message(kind, header, arrays=()):
    body = pack(header)
    message = b"ZDQN" + struct.pack("<HBBII", 4, kind, 0, len(body), 0) + body
    for array in arrays:
        message += bytes(-len(message) % 64) + array  # no array here is empty
    return message


def read_message(message, forms=(), *, counts=None):
    """Give kind, header and arrays; `forms` are (struct letter, elements a row)."""
    assert message[:4] == b"ZDQN"
    version, kind, flags, length, reserved = struct.unpack_from("<HBBII", message, 4)
    assert (version, flags, reserved) == (4, 0, 0)
    header = Reader(message[16 : 16 + length]).value()
    assert kind == 18 or not forms, header
    rows = counts(header) if counts else 0
    offset, arrays = 16 + length, []
    for letter, elements in forms:
        offset += -offset % 64
        form = f"<{rows * elements}{letter}"
        arrays.append(struct.unpack_from(form, message, offset))
        offset += struct.calcsize(form)
    assert offset == len(message)
    return kind, header, arrays


SPEC = {
    "observation_shape": [4], "observation_dtype": "float32", "num_actions": 2, "frame_stack": 1,
}  # fmt: skip
DIGEST = int.from_bytes(hashlib.sha256(b"(4,)|float32|2|1").digest()[:8], "little") // 2
BATCHES_FORMS = [("f", 4), ("f", 4), ("q", 1), ("d", 1), ("q", 1), ("q", 1), ("f", 1), ("f", 1)]
FRAMES = [tuple(10.0 * row + column for column in range(4)) for row in range(4)]
RECORDS = [  # weight version, observation, next observation, action, reward, discount, priority
    (1 << 32, 0, 1, 1, 0.5, 0.75, -1.0),
    (1 << 32, 1, 2, 0, 1.5, 0.75, -1.0),
    (1 << 32, 2, 3, 1, 2.5, 0.0, -1.0),
]


def write_block(sequence):
    header = {
        "session": 5, "sequence": sequence, "origin": DIGEST, "frames": 4, "transitions": 3,
        "environment_steps": 3 * (sequence + 1), "episodes": 1,
    }  # fmt: skip
    frames = b"".join(struct.pack("<4f", *frame) for frame in FRAMES)
    records = b"".join(struct.pack("<qiiifff", *record) for record in RECORDS)
    assert len(records) == 3 * (24 + 8)
    return write_message(16, header, [frames, records])


def run_plain_client(context, address):
    """Say hello, push two blocks, sample. Everything below is from the document."""
    request = context.socket(zmq.REQ)
    push = context.socket(zmq.PUSH)
    for made in (request, push):
        made.linger, made.rcvtimeo, made.sndtimeo = 0, WAIT_MS, WAIT_MS
    request.connect(address)

    def ask(kind, header, arrays=(), **options):
        request.send(write_message(kind, header, arrays))
        return read_message(request.recv(), **options)

    early = ask(17, {"batch_size": 2})
    hello = {"role": "collector", "name": "plain", "session": 5, "spec": SPEC}
    welcome = ask(1, hello)
    push.connect(welcome[1]["data_endpoint"])
    push.send(write_block(0))
    push.send(write_block(2))
    header = {"batch_size": 8, "batches": 2, "wait_ms": 5_000, "priorities": 0}
    batches = ask(
        17, header, forms=BATCHES_FORMS,
        counts=lambda answer: answer["batches"] * answer["batch_size"],
    )  # fmt: skip
    priorities = [struct.pack("<3q", 0, 1, 99), struct.pack("<3f", 1.0, -2.0, 3.0)]
    again = ask(
        17, {"batch_size": 1, "priorities": 3}, priorities, forms=BATCHES_FORMS,
        counts=lambda answer: answer["batches"] * answer["batch_size"],
    )  # fmt: skip
    pong = ask(4, {"session": 5, "statistics": {"blocks_sent": 2}})
    broken = ask(17, {"batch_size": 0})
    status = ask(7, {})
    goodbye = ask(6, {"session": 5, "statistics": {"blocks_sent": 2}})
    request.close()
    push.close()
    return early, welcome, batches, again, pong, broken, status, goodbye


@pytest.fixture
def memory(context, in_thread):
    config = load_config(
        None,
        ["replay.capacity=50", "replay.min_size=6", "replay.kind=prioritized", "run.seed=3"],
    )
    stop = threading.Event()
    with Memory(config, bind="tcp://127.0.0.1:0", context=context, stop=stop) as role:
        thread = in_thread(role.run)
        yield role
        stop.set()
        thread.join(WAIT_MS / 1000)


def test_a_plain_req_socket_samples_a_batch_with_nothing_but_the_document(memory):
    with ForeignContext() as plain:
        answers = run_plain_client(plain, memory.endpoints["samples"])
    early, welcome, batches, again, pong, broken, status, goodbye = answers

    assert early[0] == Kind.NOT_READY
    assert early[1]["reason"] == "no_spec"
    assert welcome[0] == Kind.WELCOME
    assert welcome[1]["spec"] == SPEC
    assert (welcome[1]["config"], welcome[1]["memory"], welcome[1]["index"]) == ({}, "", 0)
    assert welcome[1]["version"] == 4
    assert welcome[1]["settings"]["high_water_mark"] == 64  # chosen, where the key says 0
    for capability in welcome[1]["capabilities"]:
        capability = re.sub(r"^zdqn/.*", "zdqn/VERSION", capability)
        assert re.search(rf"^\| .*`{capability}`.* \| .*memory", DOCUMENT, re.M), capability

    kind, header, arrays = batches
    assert kind == Kind.BATCHES
    assert (header["batch_size"], header["batches"], header["size"]) == (8, 2, 6)
    assert header["progress"] == {
        "session": welcome[1]["session"], "environment_steps": 9, "episodes": 1,
        "transitions": 6, "blocks": 2, "blocks_lost": 1, "blocks_duplicated": 0,
        "blocks_refused": 0, "samples": 16,
    }  # fmt: skip
    observations, next_observations, keys, probabilities, versions, actions, rewards, discounts = (
        arrays
    )
    assert set(keys) <= set(range(6))
    for row, key in enumerate(keys):
        version, observation, next_observation, action, reward, discount, _ = RECORDS[key % 3]
        assert observations[4 * row : 4 * row + 4] == FRAMES[observation]
        assert next_observations[4 * row : 4 * row + 4] == FRAMES[next_observation]
        assert (versions[row], actions[row]) == (version, action)
        assert (rewards[row], discounts[row]) == (reward, discount)
        assert probabilities[row] == pytest.approx(1 / 6)

    assert again[0] == Kind.BATCHES
    assert status[1]["values"]["stale_priorities"] == 1
    assert (pong[0], pong[1]["known"], pong[1]["stopping"]) == (Kind.PONG, True, False)
    assert pong[1]["delivery"] == {"stored": 2, "refused": 0, "reason": ""}
    assert (broken[0], broken[1]["code"]) == (Kind.ERROR, "protocol")
    assert "batch_size" in broken[1]["message"]
    assert status[1]["role"] == "memory"
    assert goodbye == (Kind.ACKNOWLEDGED, {}, [])


def test_a_plain_req_socket_shares_memory_with_nothing_but_the_document(memory):
    shared = os.memfd_create("plain", os.MFD_ALLOW_SEALING)
    os.posix_fallocate(shared, 0, 8192)
    fcntl.fcntl(shared, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    os.pwrite(shared, struct.pack("<Q", 123), 0)
    slot = {"process": os.getpid(), "descriptor": shared, "token": 123, "offset": 4096}
    with ForeignContext() as plain:
        run_plain_client(plain, memory.endpoints["samples"])
        request = plain.socket(zmq.REQ)
        request.linger, request.rcvtimeo = 0, WAIT_MS
        request.connect(memory.endpoints["samples"])
        answers = []
        for number, forms in ((123, BATCHES_FORMS[2:]), (124, BATCHES_FORMS)):
            header = {"batch_size": 3, "session": 6, "slot": {**slot, "token": number}}
            request.send(write_message(17, header))
            answer = read_message(request.recv(), forms, counts=lambda answer: 3)
            answers.append(answer)
        request.close()
    (_, header, arrays), (_, other, _) = answers
    assert (header["shared"], "shared" in other) == (True, False)
    for at, column in ((4096, 1), (4096 + 64, 2)):  # 3 rows of 16 bytes, and 16 to the next 64
        frames = struct.unpack("<12f", os.pread(shared, 48, at))
        for row, key in enumerate(arrays[0]):
            assert frames[4 * row : 4 * row + 4] == FRAMES[RECORDS[key % 3][column]]
    os.close(shared)


def test_another_version_is_answered_naming_both(memory):
    with ForeignContext() as plain:
        request = plain.socket(zmq.REQ)
        request.linger, request.rcvtimeo = 0, WAIT_MS
        request.connect(memory.endpoints["samples"])
        body = bytearray(write_message(7, {}))
        body[4:6] = struct.pack("<H", 1)
        request.send(bytes(body))
        kind, header, _ = read_message(request.recv())
        request.close()
    assert (kind, header["code"]) == (Kind.ERROR, "protocol")
    assert "version 4" in header["message"]
    assert "version 1" in header["message"]


def test_garbage_on_both_sockets_leaves_the_memory_serving(memory):
    with ForeignContext() as plain:
        push, request = plain.socket(zmq.PUSH), plain.socket(zmq.DEALER)
        for made in (push, request):
            made.linger = 0
        push.connect(memory.endpoints["transitions"])
        request.connect(memory.endpoints["samples"])
        for garbage in (b"", b"ZDQN", b"GET / HTTP/1.1", bytes(100_000), write_block(0)[:-1]):
            push.send(garbage)
            request.send_multipart([b"", garbage])
        request.send(b"no envelope")
        answers = run_plain_client(plain, memory.endpoints["samples"])
        push.close()
        request.close()
    header = answers[2][1]
    assert header["progress"]["blocks"] == 2
    assert header["progress"]["blocks_refused"] <= 5  # those that came before the batch was drawn
