"""The messages, field by field; ``docs/protocol.md`` says the same to other languages.

Every message is one ZeroMQ frame (behind the REQ/REP envelope)::

    offset  size  field
    0       4     magic, the bytes "ZDQN"
    4       2     protocol version, little-endian
    6       1     kind, a number of `Kind`
    7       1     flags, 0
    8       4     header length H, little-endian, at most 64 KiB
    12      4     reserved, 0
    16      H     header: msgpack map with exactly the fields of the kind's struct
    ...           payload: the kind's arrays in order, each at the next multiple of 64 bytes;
                  an empty array takes no room at all

Shapes and dtypes of arrays follow from the header's counts and from the environment's spec, which
was agreed in the hello; a message whose length is not exactly what they imply is refused.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

import msgspec
from msgspec import Meta

from zdqn.data import EnvironmentSpec
from zdqn.wire.compression import Compression

PROTOCOL_VERSION = 1
MAGIC = b"ZDQN"
MAX_HEADER_BYTES = 64 * 1024
ALIGNMENT = 64

# What a number or word of a header may be; anything else is refused when it is decoded.
Session: TypeAlias = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Rows: TypeAlias = Annotated[int, Meta(ge=0, le=2**31 - 1)]
SomeRows: TypeAlias = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**48 - 1)]
"""What one client counts; so small that no sum of them overflows a `Total`."""
Total: TypeAlias = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Version: TypeAlias = Annotated[int, Meta(ge=-1, le=2**63 - 1)]
WaitMs: TypeAlias = Annotated[int, Meta(ge=0, le=60_000)]
Label: TypeAlias = Annotated[str, Meta(max_length=256, pattern=r"^[^\x00-\x1f\x7f]*\Z")]
"""One line for a log: no control characters."""
Statistics: TypeAlias = dict[str, Annotated[int, Meta(ge=-(2**53), le=2**53)] | float | str | bool]


class Kind(IntEnum):
    """What a message is."""

    HELLO = 1
    WELCOME = 2
    ERROR = 3
    PING = 4
    PONG = 5
    GOODBYE = 6
    STATUS_REQUEST = 7
    STATUS = 8
    STOP = 9
    ACKNOWLEDGED = 10
    BLOCK = 16
    SAMPLE_REQUEST = 17
    BATCHES = 18
    NOT_READY = 19
    WEIGHTS_REQUEST = 32
    WEIGHTS = 33
    ACTION_REQUEST = 34
    ACTIONS = 35
    CLAIM = 36
    SNAPSHOT = 37
    NOTHING_TO_EVALUATE = 38
    EVALUATION_RESULT = 39


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of all headers. Unknown fields are refused; `kind` is not part of the map."""

    kind: ClassVar[Kind]


class Spec(Header, frozen=True):
    """An environment's spec on the wire; see `zdqn.data.EnvironmentSpec`.

    Attributes:
        observation_shape: shape of one frame, 1 to 8 numbers >= 1.
        observation_dtype: NumPy name, one of `zdqn.data.ALLOWED_DTYPES`.
        num_actions: >= 1.
        frame_stack: 1 to 32.
    """

    observation_shape: Annotated[tuple[SomeRows, ...], Meta(min_length=1, max_length=8)]
    observation_dtype: Annotated[str, Meta(max_length=16)]
    num_actions: SomeRows
    frame_stack: Annotated[int, Meta(ge=1, le=32)]

    @classmethod
    def of(cls, spec: EnvironmentSpec) -> Spec:
        """Put a spec on the wire."""
        return cls(**{name: getattr(spec, name) for name in cls.__struct_fields__})

    def to_spec(self) -> EnvironmentSpec:
        """Take it off the wire."""
        return EnvironmentSpec(**msgspec.structs.asdict(self))


# --- control, on both REQ/REP links -------------------------------------------------------------


class Hello(Header, frozen=True):
    """A client introduces itself; the first message on a REQ/REP link.

    Attributes:
        role: "learner", "collector" or "evaluator".
        name: what to call it in logs, such as ``collector-0@host``.
        session: random number of this start of the process.
        spec: its environment's spec, if it has one yet.
        shared: its values of the configuration in which all roles must agree, ``section.key`` to
            value; None asks the server for the configuration.
        run_id: the run it belongs to; "" if it does not know yet.
        learner_epoch: of a learner, its epoch (it is fenced when a newer one is known); else 0.
    """

    kind = Kind.HELLO
    role: Literal["learner", "collector", "evaluator"]
    name: Label
    session: Session
    spec: Spec | None = None
    shared: dict[str, Any] | None = None
    run_id: Label = ""
    learner_epoch: Rows = 0


class Welcome(Header, frozen=True):
    """The server accepts a client.

    Attributes:
        run_id: the run that the server belongs to; "" if it does not know yet.
        session: random number of this start of the server.
        data_endpoint: where the link's one-way socket is bound: transitions (PULL) of a memory,
            weights (PUB) of a learner. A client replaces an unspecific host by the one it dialled.
        spec: the environment's spec, if the server knows it.
        config: the whole configuration as nested maps; {} from a memory.
        memory: address of the memory's REQ/REP socket; "" from a memory.
        index: number of this collector or evaluator among the living of its role, from 0.
        seed: the run's seed.
        weight_version: packed version of the current weights; -1 if there are none yet, and from
            a memory.
    """

    kind = Kind.WELCOME
    run_id: Label
    session: Session
    data_endpoint: Label
    spec: Spec | None
    config: dict[str, Any]
    memory: Label
    index: Rows
    seed: Total
    weight_version: Version


class ErrorReply(Header, frozen=True):
    """A refusal; the answer to a request that cannot be served.

    Attributes:
        code: "protocol", "mismatch", "fenced", "not_serving" (ask again soon) or "stopping" (the
            run is over).
        message: one paragraph for a person.
    """

    kind = Kind.ERROR
    code: str
    message: str


class Ping(Header, frozen=True):
    """A client lives; every ``links.ping_period_s``.

    Attributes:
        session: of the client.
        statistics: numbers and words about it, for status; flat.
    """

    kind = Kind.PING
    session: Session
    statistics: Statistics


class Pong(Header, frozen=True):
    """The server lives too.

    Attributes:
        session: of the server; a change means that it was restarted.
        known: False if the server does not know the client's session, or took it for dead: it
            must say hello again.
        stopping: the run is over; the client should finish and say goodbye.
        environment_steps: of all collectors, as far as the server knows.
        collectors: living collectors.
        statistics: numbers and words about the server; flat.
    """

    kind = Kind.PONG
    session: Session
    known: bool
    stopping: bool
    environment_steps: Total
    collectors: Rows
    statistics: Statistics


class Goodbye(Header, frozen=True):
    """A client leaves on purpose; answered by `Acknowledged`.

    Attributes:
        session: of the client.
        statistics: its last numbers, exact.
    """

    kind = Kind.GOODBYE
    session: Session
    statistics: Statistics


class StatusRequest(Header, frozen=True):
    """Ask for everything a server knows; needs no hello."""

    kind = Kind.STATUS_REQUEST


class Status(Header, frozen=True):
    """What a server knows.

    Attributes:
        role: "memory" or "learner".
        values: nested maps of numbers and words.
    """

    kind = Kind.STATUS
    role: str
    values: dict[str, Any]


class Stop(Header, frozen=True):
    """Ask a server to end cleanly; a learner ends the whole run.

    Attributes:
        reason: who asks, for the log and the summary.
    """

    kind = Kind.STOP
    reason: Label


class Acknowledged(Header, frozen=True):
    """Yes, done."""

    kind = Kind.ACKNOWLEDGED


# --- transitions: PUSH -> PULL ------------------------------------------------------------------


class BlockHeader(Header, frozen=True):
    """A block of transitions. Payload: frame table, then records.

    Payload arrays: ``frames`` (frames, *observation_shape) in the observation dtype, then
    ``records`` (transitions,) of the packed record in `zdqn.data.record_dtype`. With compression
    ``frames`` is (frames_bytes,) uint8 instead, which must decompress to exactly that table.

    Attributes:
        session: of the collector.
        sequence: number of this block in its session, from 0, without gaps.
        spec_digest: `EnvironmentSpec.digest` that the block was made under.
        frames: rows of the frame table, >= 1.
        transitions: records, >= 1.
        environment_steps: taken by this session so far.
        episodes: finished by this session so far.
        compression: of the frame table: "none", "lz4" (one LZ4 block, no size in front) or "zstd"
            (one frame, whose header tells the size of its content).
        frames_bytes: bytes of the compressed frame table; 0 without compression.
    """

    kind = Kind.BLOCK
    session: Session
    sequence: Count
    spec_digest: Session
    frames: SomeRows
    transitions: SomeRows
    environment_steps: Count
    episodes: Count
    compression: Compression = "none"
    frames_bytes: Rows = 0


# --- samples: REQ/REP ---------------------------------------------------------------------------


class SampleRequest(Header, frozen=True):
    """Ask for batches. Payload: the priorities of earlier batches.

    Payload arrays: ``keys`` (priorities,) int64, then ``priorities`` (priorities,) float32.

    Attributes:
        batch_size: transitions of one batch, >= 1.
        session: of the learner; 0 from a plain client.
        batches: most batches wanted, >= 1; the reply holds 1 to this many.
        wait_ms: how long the memory may wait for data before it says "not ready", at most a
            minute; 0 answers at once.
        priorities: rows of the payload, >= 0.
    """

    kind = Kind.SAMPLE_REQUEST
    batch_size: SomeRows
    session: Session = 0
    batches: SomeRows = 1
    wait_ms: WaitMs = 0
    priorities: Rows = 0


class Progress(Header, frozen=True):
    """What a memory has counted since it started.

    Attributes:
        session: random number of this start of the memory.
        environment_steps: taken by the collectors that it heard of, lost blocks included.
        episodes: finished by them.
        transitions: stored so far (evicted ones included).
        blocks: received and stored.
        blocks_lost: missing in the collectors' sequences.
        blocks_duplicated: received twice and dropped.
        blocks_refused: malformed, or of another environment.
    """

    session: Session
    environment_steps: Total
    episodes: Total
    transitions: Total
    blocks: Total
    blocks_lost: Total
    blocks_duplicated: Total
    blocks_refused: Total


class Batches(Header, frozen=True):
    """Sampled transitions. Payload: M = batches * batch_size of each array.

    Payload arrays: ``observations`` (M, *stacked_shape) in the observation dtype,
    ``next_observations`` the same, ``keys`` (M,) int64, ``probabilities`` (M,) float64,
    ``weight_versions`` (M,) int64, ``actions`` (M,) int64, ``rewards`` (M,) float32,
    ``discounts`` (M,) float32. Each batch is contiguous.

    Attributes:
        batch_size: of each batch.
        batches: in this reply.
        size: transitions stored when they were drawn.
        progress: counters of the memory since it started.
    """

    kind = Kind.BATCHES
    batch_size: SomeRows
    batches: SomeRows
    size: Total
    progress: Progress


class NotReady(Header, frozen=True):
    """No batch can be had yet; ask again.

    Attributes:
        reason: "filling" (fewer than replay.min_size stored), "limited" (samples_per_insert holds
            sampling back) or "no_spec" (nobody has said hello).
        size: transitions stored.
        needed: transitions that must be stored before the first batch.
        progress: counters of the memory since it started.
    """

    kind = Kind.NOT_READY
    reason: str
    size: Total
    needed: Total
    progress: Progress


# --- weights and model: PUB/SUB and REQ/REP -----------------------------------------------------


class TensorInfo(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Name, dtype and shape of one array of a network."""

    name: str
    dtype: str
    shape: Annotated[tuple[Rows, ...], Meta(max_length=8)]


class WeightsRequest(Header, frozen=True):
    """Ask for the current weights; answered by `Weights`."""

    kind = Kind.WEIGHTS_REQUEST


class Weights(Header, frozen=True):
    """A network's weights. Payload: one array per entry of `tensors`, in that order.

    Attributes:
        run_id: the run that they belong to.
        weight_version: packed `zdqn.data.WeightVersion`.
        environment_steps: of all collectors, when they were published.
        updates: of the learner, when they were published.
        stopping: training is over; collectors should finish.
        tensors: name, dtype and shape of each array.
    """

    kind = Kind.WEIGHTS
    run_id: Label
    weight_version: Version
    environment_steps: Total
    updates: Total
    stopping: bool
    tensors: tuple[TensorInfo, ...]


class ActionRequest(Header, frozen=True):
    """Ask for greedy actions. Payload: ``observations`` (count, *stacked_shape).

    Attributes:
        session: of the collector.
        spec_digest: `EnvironmentSpec.digest` of its environment.
        count: observations, >= 1.
    """

    kind = Kind.ACTION_REQUEST
    session: Session
    spec_digest: Session
    count: SomeRows


class Actions(Header, frozen=True):
    """Greedy actions. Payload: ``actions`` (count,) int64.

    Attributes:
        count: actions.
        weight_version: packed version of the weights that chose them.
    """

    kind = Kind.ACTIONS
    count: SomeRows
    weight_version: Version


class Claim(Header, frozen=True):
    """An evaluator asks for the next snapshot to score.

    Attributes:
        session: of the evaluator.
        wait_ms: how long the learner may wait for one before it says there is none, at most a
            minute.
    """

    kind = Kind.CLAIM
    session: Session
    wait_ms: WaitMs


class Snapshot(Header, frozen=True):
    """A frozen snapshot that this evaluator alone shall score. Payload as in `Weights`.

    Attributes:
        snapshot: its number in the run, from 0.
        weights: what the payload holds.
        episodes: to play.
        epsilon: share of random actions.
        seed: of the evaluation.
    """

    kind = Kind.SNAPSHOT
    snapshot: Rows
    weights: Weights
    episodes: SomeRows
    epsilon: Annotated[float, Meta(ge=0, le=1)]
    seed: Total


class NothingToEvaluate(Header, frozen=True):
    """No snapshot is waiting; claim again, unless the run is over.

    Attributes:
        stopping: the run is over and no snapshot will come.
    """

    kind = Kind.NOTHING_TO_EVALUATE
    stopping: bool


class EvaluationResult(Header, frozen=True):
    """The scores of a snapshot. Payload: ``returns`` (episodes,) float64, ``lengths`` int64.

    Attributes:
        session: of the evaluator.
        snapshot: number of the snapshot.
        episodes: episodes played.
        duration_s: seconds it took.
    """

    kind = Kind.EVALUATION_RESULT
    session: Session
    snapshot: Rows
    episodes: SomeRows
    duration_s: Annotated[float, Meta(ge=0, le=1e9)]


HEADERS: dict[int, type[Header]] = {
    int(struct.kind): struct
    for struct in (
        Hello, Welcome, ErrorReply, Ping, Pong, Goodbye, StatusRequest, Status, Stop, Acknowledged,
        BlockHeader, SampleRequest, Batches, NotReady, WeightsRequest, Weights, ActionRequest,
        Actions, Claim, Snapshot, NothingToEvaluate, EvaluationResult,
    )
}  # fmt: skip
