"""What every message begins with, the kinds there are, and those that every server answers.

Those of one link are in `zdqn.wire.memory_messages` and `zdqn.wire.model_messages`;
``docs/protocol.md`` says the same to other languages.

Every message is one ZeroMQ frame (behind the REQ/REP envelope)::

    offset  size  field
    0       4     magic, the bytes "ZDQN"
    4       2     protocol version, little-endian
    6       1     kind, a number of `Kind`
    7       1     flags, 0; who does not know one of the lower four refuses the message
    8       4     header length H, little-endian, at most 64 KiB
    12      4     reserved: written as 0, and not looked at
    16      H     header: msgpack map with the fields of the kind's struct
    ...           payload: the kind's arrays in order, each at the next multiple of 64 bytes;
                  an empty array takes no room at all

Shapes and dtypes of arrays follow from the header's counts and from the environment's spec, which
was agreed in the hello; a message whose length is not exactly what they imply is refused.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from math import prod
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

import msgspec
from msgspec import Meta

from zdqn.data import ALLOWED_DTYPES, EnvironmentSpec
from zdqn.errors import ProtocolError
from zdqn.wire.client_config import ClientConfig
from zdqn.wire.field_types import (
    Capabilities,
    Label,
    Revision,
    Rows,
    Session,
    SomeRows,
    Statistics,
    Total,
)

PROTOCOL_VERSION = 4
"""The highest that this side speaks."""
LOWEST_VERSION = 4
WANTS_CONFIGURATION = "configuration"
"""Capability of a client that takes the whole configuration, key by key, in its welcome."""
CRITICAL_FLAGS = 0x0F
"""Whoever sets one of these means something that the receiver must know."""
MAGIC = b"ZDQN"
MAX_HEADER_BYTES = 64 * 1024
ALIGNMENT = 64
_MAX_FRAME_BYTES = 64 * 1024 * 1024
MOST_ECHO_BYTES = 1024**2


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
    ECHO = 11
    BLOCK = 16
    SAMPLE_REQUEST = 17
    BATCHES = 18
    NOT_READY = 19
    ACCOUNTS_REQUEST = 20
    ACCOUNTS = 21
    ARRIVALS_REQUEST = 22
    ARRIVALS = 23
    WEIGHTS_REQUEST = 32
    WEIGHTS = 33
    ACTION_REQUEST = 34
    ACTIONS = 35
    CLAIM = 36
    SNAPSHOT = 37
    NOTHING_TO_EVALUATE = 38
    EVALUATION_RESULT = 39
    CONFIGURATION_REQUEST = 40
    CONFIGURATION = 41


class Refusal(StrEnum):
    """Why a request is refused."""

    PROTOCOL = "protocol"
    """The message breaks the protocol."""
    MISMATCH = "mismatch"
    """The peer's environment, configuration or run is another."""
    FENCED = "fenced"
    """A newer learner has taken over."""
    NOT_ALLOWED = "not_allowed"
    """The client's key does not allow this."""
    NOT_SERVING = "not_serving"
    """Not now; ask again soon."""
    UNKNOWN_SESSION = "unknown_session"
    """The server does not know the client (any more): say hello, and ask again."""
    STOPPING = "stopping"
    """The run is over."""

    @property
    def passes(self) -> bool:
        """Whether it says something of the moment, and not of the client."""
        return self in (Refusal.NOT_SERVING, Refusal.UNKNOWN_SESSION, Refusal.STOPPING)

    @classmethod
    def _missing_(cls, value: object) -> Refusal | None:
        """Take a code of a later day as one that does not pass."""
        return cls.MISMATCH if isinstance(value, str) else None


ClientRole: TypeAlias = Literal["learner", "collector", "evaluator"]
ServerRole: TypeAlias = Literal["memory", "learner"]


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of all headers. Servers refuse unknown fields; `kind` is not part of the map.

    Attributes:
        kind: of its message.
        has_payload: whether arrays may come behind it.
    """

    kind: ClassVar[Kind]
    has_payload: ClassVar[bool] = False


class Answer(Header, frozen=True, forbid_unknown_fields=False):
    """Base of what servers say. Clients read over fields that they do not know."""


class Spec(Header, frozen=True, omit_defaults=True):
    """An environment's spec on the wire; see `zdqn.data.EnvironmentSpec`.

    Attributes:
        observation_shape: shape of one frame, 1 to 8 numbers >= 1.
        observation_dtype: NumPy name, one of `zdqn.data.ALLOWED_DTYPES`.
        num_actions: >= 1.
        frame_stack: 1 to 32.
        observation_bound: 0 to 65535.
        action_masks: whether each observation has a mask.
    """

    observation_shape: Annotated[tuple[SomeRows, ...], Meta(min_length=1, max_length=8)]
    observation_dtype: Annotated[str, Meta(max_length=16)]
    num_actions: SomeRows
    frame_stack: Annotated[int, Meta(ge=1, le=32)]
    observation_bound: Annotated[int, Meta(ge=0, le=65535)] = 0
    action_masks: bool = False

    @classmethod
    def of(cls, spec: EnvironmentSpec) -> Spec:
        """Put a spec on the wire."""
        return cls(**{name: getattr(spec, name) for name in cls.__struct_fields__})

    def read(self) -> EnvironmentSpec:
        """Take it off the wire.

        Raises:
            ProtocolError: when the dtype may not travel, or a frame would be too large.
        """
        known = self.observation_dtype in ALLOWED_DTYPES
        if not known or prod(self.observation_shape) * 8 > _MAX_FRAME_BYTES:
            raise ProtocolError(f"the peer's environment spec is out of range: {self}")
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
        to: the server that is to answer; another refuses. "" takes whoever does.
        versions: lowest and highest protocol version that it speaks; None for that of the prefix.
        capabilities: what it can or wants besides; those that are not known mean nothing.
    """

    kind = Kind.HELLO
    role: ClientRole
    name: Label
    session: Session
    spec: Spec | None = None
    shared: dict[str, Any] | None = None
    run_id: Label = ""
    learner_epoch: Rows = 0
    to: Literal["", "memory", "learner"] = ""
    versions: tuple[Revision, Revision] | None = None
    capabilities: Capabilities = ()


class Welcome(Answer, frozen=True):
    """The server accepts a client.

    Attributes:
        run_id: the run that the server belongs to; "" if it does not know yet.
        session: random number of this start of the server.
        data_endpoint: where the link's one-way socket is bound: transitions (PULL) of a memory,
            weights (PUB) of a learner. A client replaces an unspecific host by the one it dialled.
        spec: the environment's spec, if the server knows it.
        settings: what a client must know of the configuration.
        config: the whole configuration as nested maps, for a client of the capability
            "configuration"; {} for others, and from a memory.
        memory: address of the memory's REQ/REP socket; "" from a memory.
        index: number of this collector or evaluator among the living of its role, from 0.
        seed: the run's seed.
        version: of the protocol, for all that follows: the highest that both speak.
        capabilities: of the server.
    """

    kind = Kind.WELCOME
    run_id: Label
    session: Session
    data_endpoint: Label
    spec: Spec | None
    settings: ClientConfig
    config: dict[str, Any]
    memory: Label
    index: Rows
    seed: Total
    version: Revision
    capabilities: Capabilities


class ErrorReply(Answer, frozen=True):
    """A refusal; the answer to a request that cannot be served.

    Attributes:
        code: why.
        message: one paragraph for a person.
    """

    kind = Kind.ERROR
    code: Refusal
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


class Delivery(Answer, frozen=True):
    """What became of the blocks of one collector at a memory.

    Attributes:
        stored: number of the last that was stored, the highest so far; -1 for none.
        refused: how many.
        reason: why the last one was.
    """

    stored: Annotated[int, Meta(ge=-1, le=2**48 - 1)]
    refused: Total
    reason: Label


class Pong(Answer, frozen=True):
    """The server lives too.

    Attributes:
        session: of the server; a change means that it was restarted.
        known: False if the server does not know the client's session, or took it for dead: it
            must say hello again.
        stopping: the run is over; the client should finish and say goodbye.
        environment_steps: of all collectors, as far as the server knows.
        collectors: living collectors.
        statistics: numbers and words about the server; flat.
        delivery: of a memory, what became of this client's blocks; else None.
    """

    kind = Kind.PONG
    session: Session
    known: bool
    stopping: bool
    environment_steps: Total
    collectors: Rows
    statistics: Statistics
    delivery: Delivery | None = None


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


class Status(Answer, frozen=True):
    """What a server knows.

    Attributes:
        role: which server this is.
        values: nested maps of numbers and words.
    """

    kind = Kind.STATUS
    role: ServerRole
    values: dict[str, Any]


class Stop(Header, frozen=True):
    """Ask a server to end cleanly; a learner ends the whole run.

    Attributes:
        reason: who asks, for the log and the summary.
    """

    kind = Kind.STOP
    reason: Label


class Acknowledged(Answer, frozen=True):
    """Yes, done."""

    kind = Kind.ACKNOWLEDGED


class Echo(Header, frozen=True):
    """Ask for the same message back, to measure a link; needs no hello.

    Payload array: (nbytes,) uint8, which nobody looks at.

    Attributes:
        nbytes: of the payload.
    """

    kind = Kind.ECHO
    has_payload = True
    nbytes: Annotated[int, Meta(ge=0, le=MOST_ECHO_BYTES)]
