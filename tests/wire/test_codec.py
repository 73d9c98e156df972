import struct
from typing import Any, get_args

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import inspect
from numpy.typing import NDArray

from tests.wire.conftest import block_message, zeros
from zdqn.data import EnvironmentSpec
from zdqn.errors import MismatchError, ProtocolError
from zdqn.wire import block_payload, codec, payloads, protocol
from zdqn.wire.codec import HEADERS
from zdqn.wire.memory_messages import Batches, BlockHeader, Progress, SampleRequest
from zdqn.wire.model_messages import (
    ActionRequest,
    Actions,
    Claim,
    EvaluationResult,
    Snapshot,
    TensorInfo,
    Weights,
    WeightsRequest,
)
from zdqn.wire.protocol import Answer, Hello, Kind, Ping, Spec, StatusRequest

PREFIX = struct.Struct("<4sHBBII")
ALL_HEADERS = [pytest.param(header, id=header.kind.name) for header in HEADERS.values()]
PLAIN = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=5)
ANYTHING = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner)
)
CONTROLS = "".join(map(chr, range(0x7F, 0xA0)))
WORD = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FFF, exclude_characters=CONTROLS))
KEY = st.text("abcz_09", min_size=1)


def values_of(kind: inspect.Type) -> st.SearchStrategy[Any]:  # noqa: C901 - one case a type
    """Give valid values of a header field's declared type."""
    match kind:
        case inspect.IntType():
            step = kind.multiple_of or 1
            least = -(2**63) if kind.ge is None else kind.ge
            most = 2**63 if kind.le is None else kind.le
            return st.integers(-(-least // step), most // step).map(lambda count: count * step)
        case inspect.FloatType():
            return st.floats(kind.ge, kind.le, allow_nan=False, allow_infinity=False)
        case inspect.StrType():
            words = {None: st.text(), r"^\w+\Z": KEY}.get(kind.pattern, WORD)
            return words.filter(lambda word: len(word) <= (kind.max_length or 99))
        case inspect.BoolType():
            return st.booleans()
        case inspect.NoneType():
            return st.none()
        case inspect.AnyType():
            return ANYTHING
        case inspect.EnumType():
            return st.sampled_from(list(kind.cls))
        case inspect.LiteralType():
            return st.sampled_from(kind.values)
        case inspect.UnionType():
            return st.one_of([values_of(inner) for inner in kind.types])
        case inspect.DictType():
            return st.dictionaries(values_of(kind.key_type), values_of(kind.value_type), max_size=3)
        case inspect.TupleType():
            return st.tuples(*map(values_of, kind.item_types))
        case inspect.VarTupleType():
            inner = values_of(kind.item_type)
            lists = st.lists(inner, min_size=kind.min_length or 0, max_size=kind.max_length or 3)
            return lists.map(tuple)
        case inspect.StructType():
            return headers_of(kind.cls)
        case _:
            raise AssertionError(f"no strategy for {kind}")


def headers_of(struct_type: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    info = inspect.type_info(struct_type)
    assert isinstance(info, inspect.StructType)
    return st.builds(struct_type, **{field.name: values_of(field.type) for field in info.fields})


def frame(kind: int, body: bytes, payload: bytes = b"", **changes: Any) -> bytes:
    """Write a message by hand."""
    prefix = {
        "magic": b"ZDQN", "version": protocol.PROTOCOL_VERSION, "kind": kind, "flags": 0,
        "length": len(body), "reserved": 0, **changes,
    }  # fmt: skip
    return PREFIX.pack(*prefix.values()) + body + payload


def encoded(**values: Any) -> bytes:
    return msgspec.msgpack.encode(values)


# --- round trips --------------------------------------------------------------------------------


def test_every_kind_has_one_header_and_no_two_the_same():
    assert set(HEADERS) == {int(kind) for kind in Kind}
    assert len(set(HEADERS.values())) == len(Kind)


@pytest.mark.parametrize("header_type", ALL_HEADERS)
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_header_comes_back_as_it_was(header_type, data):
    header = data.draw(headers_of(header_type))
    message = codec.decode(codec.encode(header))
    assert message.header == header
    assert type(message.header) is header_type
    assert codec.expect(message, header_type) is message.header


@settings(max_examples=100)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["bool", "uint8", "<i2", "<f4", "<f8", "<i8"]),
            st.lists(st.integers(0, 5), min_size=1, max_size=3),
        ),
        max_size=4,
    ),
    st.integers(0, 300),
)
def test_arrays_come_back_in_order_at_multiples_of_64_bytes(kinds, name_length):
    rng = np.random.default_rng(0)
    arrays = [rng.integers(0, 2, shape).astype(dtype) for dtype, shape in kinds]
    header = Weights(
        run_id="n" * min(name_length, 256), weight_version=0, environment_steps=0, updates=0,
        stopping=False, tensors=(),
    )  # fmt: skip
    buffer = codec.encode(header, arrays)
    layout = [(array.dtype, array.shape) for array in arrays]
    end = codec.decode(buffer).payload
    for array in arrays:
        start = (end + 63) // 64 * 64 if array.nbytes else end
        end = start + array.nbytes
        assert buffer[start:end] == array.tobytes()
    assert end == len(buffer)
    for array, read in zip(arrays, codec.read_arrays(codec.decode(buffer), layout), strict=True):
        np.testing.assert_array_equal(read, array)
        assert read.dtype == array.dtype
    allocated, views = codec.allocate(header, layout)
    for view, array in zip(views, arrays, strict=True):
        view[...] = array
    assert allocated.tobytes() == buffer  # the gaps too
    for read, array in zip(
        codec.read_arrays(codec.decode(allocated.tobytes()), layout), arrays, strict=True
    ):
        np.testing.assert_array_equal(read, array)


def test_arrays_are_read_in_place_and_cannot_be_written():
    buffer = codec.encode(Actions(count=3, weight_version=0), (np.arange(3),))
    (actions,) = codec.read_arrays(codec.decode(buffer), payloads.actions_layout(3))
    assert np.shares_memory(actions, np.frombuffer(buffer, np.uint8))
    assert not actions.flags.writeable


def test_a_non_contiguous_array_is_sent_as_what_it_looks_like():
    array = np.arange(12, dtype=np.int64).reshape(3, 4).T[::2]
    buffer = codec.encode(Actions(count=6, weight_version=0), (array,))
    (read,) = codec.read_arrays(codec.decode(buffer), [(array.dtype, array.shape)])
    np.testing.assert_array_equal(read, array)


def test_what_is_mutated_after_encoding_has_been_sent_as_it_was():
    array = np.zeros(4, np.int64)
    buffer = codec.encode(Actions(count=4, weight_version=0), (array,))
    array[:] = 9
    assert not codec.read_arrays(codec.decode(buffer), payloads.actions_layout(4))[0].any()


# --- refusals: prefix ---------------------------------------------------------------------------

GOOD = encoded(session=1, statistics={})


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (b"", "empty or of several frames"),
        (b"ZDQN", "too short"),
        (frame(4, GOOD, magic=b"HTTP"), "not zdqn's"),
        (b"GET / HTTP/1.1\r\nHost: memory\r\n\r\n", "not zdqn's"),
        (frame(0, GOOD), "unknown kind 0"),
        (frame(12, GOOD), "unknown kind 12"),
        (frame(255, GOOD), "unknown kind 255"),
        (frame(4, GOOD, flags=1), "PING message has flags 1"),
        (frame(4, GOOD) + b"more", "4 bytes behind its header; this kind has no payload"),
        (frame(4, GOOD, flags=0x18), "PING message has flags 24"),
        (frame(4, GOOD, length=len(GOOD) + 1), "claims a header"),
        (frame(4, GOOD, length=2**32 - 1), "claims a header"),
        (frame(4, bytes(64 * 1024 + 1)), "claims a header"),
        (frame(4, b""), "truncated"),
        (frame(4, b"\xc1"), "header of PING"),
        (frame(4, GOOD + b"\x00"), "trailing"),
    ],
)
def test_a_broken_prefix_is_refused_in_words(message, words):
    with pytest.raises(ProtocolError, match=words):
        codec.decode(message)


@pytest.mark.parametrize("changes", [{"flags": 0xF0}, {"reserved": 2**32 - 1}])
def test_what_a_later_day_may_use_is_passed_over(changes):
    assert codec.decode(frame(4, GOOD, **changes)).header == Ping(session=1, statistics={})


ANSWERS = [header for header in HEADERS.values() if issubclass(header, Answer)]


@pytest.mark.parametrize("header_type", ANSWERS)
@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_client_passes_over_fields_of_a_later_day_at_every_depth(header_type, data):
    header = data.draw(headers_of(header_type))
    later = add_fields(msgspec.to_builtins(header), header_type)
    read = codec.decode(frame(header.kind, msgspec.msgpack.encode(later)))
    assert read.header == header


def add_fields(values: Any, kind: Any) -> Any:
    """Add a field to each map of a header but those that may hold anything, and the spec's."""
    added = {**values, "later": [1]}
    for field in msgspec.structs.fields(kind):
        kinds = [kind for kind in (field.type, *get_args(field.type)) if isinstance(kind, type)]
        inner = [kind for kind in kinds if issubclass(kind, msgspec.Struct)]
        value = values.get(field.name)
        if inner and inner[0] not in (Spec, TensorInfo) and value is not None:
            several = isinstance(value, list | tuple)
            added[field.name] = (
                [add_fields(item, inner[0]) for item in value] if several
                else add_fields(value, inner[0])
            )  # fmt: skip
    return added


@pytest.mark.parametrize(
    "header_type", [header for header in HEADERS.values() if not issubclass(header, Answer)]
)
@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_server_passes_over_none(header_type, data):
    header = data.draw(headers_of(header_type))
    later = {**msgspec.to_builtins(header), "later": [1]}
    with pytest.raises(ProtocolError, match="later"):
        codec.decode(frame(header.kind, msgspec.msgpack.encode(later)))


@pytest.mark.parametrize("value", [float("nan"), 2**53 + 1, None, {}, "a\x1b[2J"])
def test_a_refused_entry_of_a_map_is_named(value):
    body = encoded(session=1, statistics={"good": 1, "bad_one": value})
    with pytest.raises(ProtocolError, match="bad_one"):
        codec.decode(frame(Kind.PING, body))


@pytest.mark.parametrize(
    ("statistics", "taken"),
    [
        ({"n" * 64: 1}, True),
        ({"n" * 65: 1}, False),
        ({"": 1}, False),
        ({"two words": 1}, False),
        ({"line\n": 1}, False),
        ({"\x1b[2J": 1}, False),
        ({"word": "w" * 256}, True),
        ({"word": "w" * 257}, False),
        ({f"n{number}": number for number in range(64)}, True),
        ({f"n{number}": number for number in range(65)}, False),
    ],
)
def test_what_a_role_tells_of_itself_is_little_and_can_be_shown(statistics, taken):
    message = frame(Kind.PING, encoded(session=1, statistics=statistics))
    if taken:
        assert codec.decode(message).header == Ping(session=1, statistics=statistics)
        return
    with pytest.raises(ProtocolError, match="header of PING"):
        codec.decode(message)


@pytest.mark.parametrize("version", [0, 1, 65535])
def test_another_protocol_version_is_refused_naming_both(version):
    with pytest.raises(MismatchError, match=rf"version {version}, this side version 4\b"):
        codec.decode(frame(4, b"a header of another age", version=version))


@pytest.mark.parametrize(
    "body",
    [
        encoded(session=1),
        encoded(session=1, statistics={}, more=2),
        encoded(session="1", statistics={}),
        encoded(session=1.5, statistics={}),
        encoded(session=-1, statistics={}),
        encoded(session=2**63, statistics={}),
        encoded(session=None, statistics={}),
        encoded(session=1, statistics=[]),
        encoded(session=1, statistics={"a": None}),
        encoded(session=1, statistics={"a": {}}),
        encoded(session=1, statistics={"a": 2**53 + 1}),
        encoded(session=1, statistics={1: 1}),
        msgspec.msgpack.encode([1, {}]),
        msgspec.msgpack.encode(5),
        b"\xa1\xff",
        b"\x82\xa7session\x01\xaastatistics\x81\xa1\xff\x01",  # text that is not UTF-8
    ],
)
def test_a_header_that_is_not_exactly_as_declared_is_refused(body):
    with pytest.raises(ProtocolError, match="header of PING"):
        codec.decode(frame(Kind.PING, body))


@pytest.mark.parametrize(
    "body",
    [
        encoded(role="memory", name="n", session=1),
        encoded(role="collector", name="two\nlines", session=1),
        encoded(role="collector", name="bell\x07", session=1),
        encoded(role="collector", name="line end\n", session=1),
        encoded(role="collector", name="n" * 257, session=1),
        encoded(role="collector", name="n", session=1, learner_epoch=-1),
        encoded(role="collector", name="n", session=1, run_id="\x1b[2J"),
    ],
)
def test_a_hello_that_could_forge_log_lines_or_places_is_refused(body):
    with pytest.raises(ProtocolError, match="HELLO"):
        codec.decode(frame(Kind.HELLO, body))


def is_refused_or_read(kind: Kind, body: bytes, spec: EnvironmentSpec | None = None) -> bool:
    """Whether a header is either refused as it should be, or read as what it says it is."""
    try:
        message = codec.decode(frame(kind, body))
        if spec is not None:
            read_all(message, spec)
    except ProtocolError:
        return True
    return message.header.kind is kind


@pytest.mark.parametrize("depth", [900, 1_000, 60_000])
@pytest.mark.parametrize("byte", [b"\x91", b"\x81\xa1a"])
def test_deep_nesting_is_refused_or_read_but_never_fatal(depth, byte, in_thread):
    start = b"\x82\xa4role\xa6memory\xa6values\x81\xa1a"
    body = (start + byte * depth + b"\x00")[: protocol.MAX_HEADER_BYTES]

    def survive():
        assert is_refused_or_read(Kind.STATUS, body)

    survive()
    in_thread(survive)  # where the stack may be smaller


@pytest.mark.parametrize("body", [b"\x81\x90\xc0", b"\x81\x80\xc0", b"\xd6\xff\xff\xff\xff\xff"])
def test_odd_msgpack_where_anything_goes_is_no_crash(body):
    start = b"\x82\xa4role\xa6memory\xa6values\x81\xa1a"
    assert is_refused_or_read(Kind.STATUS, start + body)


# --- refusals: payload --------------------------------------------------------------------------


COUNTED = [
    (SampleRequest(batch_size=2, priorities=3), "priorities"),
    (SampleRequest(batch_size=2, priorities=3), "batch_size"),
    (SampleRequest(batch_size=2, priorities=3), "batches"),
    (SampleRequest(batch_size=2, priorities=3), "wait_ms"),
    (ActionRequest(session=1, spec_digest=1, count=3), "count"),
    (Actions(count=3, weight_version=1), "count"),
    (EvaluationResult(session=1, snapshot=0, episodes=3, duration_s=1.0), "episodes"),
    (EvaluationResult(session=1, snapshot=0, episodes=3, duration_s=1.0), "snapshot"),
    (Claim(session=1, wait_ms=0), "wait_ms"),
]


@pytest.mark.parametrize(("header", "field"), COUNTED)
@pytest.mark.parametrize("value", [-1, -(2**31), 2**31, 2**62, 2**64 - 1, 1.0, "1", None, True])
def test_a_count_out_of_range_is_refused_when_it_is_decoded(header, field, value):
    body = encoded(**{**msgspec.structs.asdict(header), field: value})
    with pytest.raises(ProtocolError, match=field):
        codec.decode(frame(header.kind, body))


def test_the_wrong_kind_of_answer_is_named():
    message = codec.decode(codec.encode(WeightsRequest()))
    with pytest.raises(ProtocolError, match="expected STATUS_REQUEST, got WEIGHTS_REQUEST"):
        codec.expect(message, StatusRequest)


# --- fuzzing ------------------------------------------------------------------------------------


def read_all(message: codec.Message, spec: EnvironmentSpec) -> None:
    """Read the payload as a server or client would."""
    header = message.header
    match header:
        case BlockHeader():
            block_payload.read_block(message, spec)
        case Batches():
            payloads.read_batches(message, spec)
        case Weights():
            payloads.read_weights(message, header)
        case Snapshot():
            payloads.read_weights(message, header.weights)
        case SampleRequest():
            codec.read_arrays(message, payloads.priorities_layout(header.priorities))
        case ActionRequest():
            codec.read_arrays(message, payloads.action_request_layout(header, spec))
        case Actions():
            codec.read_arrays(message, payloads.actions_layout(header.count))
        case EvaluationResult():
            codec.read_arrays(message, payloads.scores_layout(header.episodes))
        case Hello() if header.spec is not None:
            header.spec.read()
        case _:
            pass


def examples(spec, make_block):
    """One valid message of each kind that has a payload, and a few that have none."""
    progress = Progress(**dict.fromkeys(Progress.__struct_fields__, 1))
    action_request = ActionRequest(session=1, spec_digest=1, count=2)
    tensors: dict[str, NDArray[Any]] = {"w": np.ones((2, 3), np.float32), "b": np.ones(2)}
    weights = Weights(
        run_id="r", weight_version=1, environment_steps=0, updates=0, stopping=False,
        tensors=payloads.describe_tensors(tensors),
    )  # fmt: skip
    batches = Batches(batch_size=2, batches=1, size=1, progress=progress)
    return [
        block_message(spec, make_block),
        codec.encode(batches, zeros(payloads.batches_layout(2, spec))),
        codec.encode(
            SampleRequest(batch_size=2, priorities=2), zeros(payloads.priorities_layout(2))
        ),
        codec.encode(action_request, zeros(payloads.action_request_layout(action_request, spec))),
        codec.encode(Actions(count=2, weight_version=1), zeros(payloads.actions_layout(2))),
        codec.encode(
            EvaluationResult(session=1, snapshot=0, episodes=2, duration_s=0.5),
            zeros(payloads.scores_layout(2)),
        ),
        codec.encode(weights, list(tensors.values())),
        codec.encode(
            Snapshot(snapshot=0, weights=weights, episodes=1, epsilon=0.1, seed=1),
            list(tensors.values()),
        ),
        codec.encode(
            Hello(role="collector", name="c", session=1, spec=Spec.of(spec), shared={"a.b": [1]})
        ),
        codec.encode(Ping(session=1, statistics={"a": 1, "b": 0.5, "c": "x", "d": True})),
    ]


@pytest.mark.parametrize("seed", range(2))
def test_20_000_corrupted_messages_raise_nothing_but_protocol_errors(seed, spec, make_block):
    rng = np.random.default_rng(seed)
    messages = [np.frombuffer(message, np.uint8) for message in examples(spec, make_block)]
    refused = 0
    for number in range(10_000):
        mutated = messages[number % len(messages)].copy()
        # half of the damage is aimed at prefix and header, where it matters most
        end = len(mutated) if number % 2 else min(len(mutated), 160)
        places = rng.integers(0, end, rng.integers(1, 5))
        if number % 3:
            mutated[places] ^= np.uint8(1) << rng.integers(0, 8, len(places)).astype(np.uint8)
        else:
            mutated[places] = rng.integers(0, 256, len(places))
        cut = len(mutated) if number % 5 else int(rng.integers(0, len(mutated)))
        try:
            read_all(codec.decode(mutated[:cut].tobytes()), spec)
        except ProtocolError:
            refused += 1
    assert refused > 5_000


@settings(max_examples=300)
@given(st.sampled_from(list(Kind)), st.binary(max_size=80))
def test_random_headers_of_every_kind_raise_nothing_but_protocol_errors(kind, body):
    spec = EnvironmentSpec((4,), "float32", 2)
    assert is_refused_or_read(kind, body, spec)


@pytest.mark.parametrize("name", ["", "x" * 9, "x" * 40])
@pytest.mark.parametrize("count", [1, 3])
def test_a_start_and_an_array_make_a_whole_message(name, count):
    array = np.arange(4 * count, dtype=np.float32).reshape(count, 4)
    header = Hello(role="collector", name=name, session=1)
    assert codec.encode_start(header) + array.tobytes() == codec.encode(header, (array,))
