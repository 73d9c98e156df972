"""The messages of a memory's two links: blocks of transitions in, batches of samples out."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from msgspec import Meta

from zdqn.wire.compression import Compression
from zdqn.wire.field_types import Count, Digest, Rows, Session, SomeRows, Total, WaitMs
from zdqn.wire.protocol import Answer, Header, Kind

# --- transitions: PUSH -> PULL ------------------------------------------------------------------


class BlockHeader(Header, frozen=True, omit_defaults=True):
    """A block of transitions. Payload: frame table, masks if the spec has some, records.

    Payload arrays: ``frames`` (frames, *observation_shape) in the observation dtype; where the spec
    has ``action_masks``, ``masks`` (frames, ceil(num_actions / 8)) uint8, see `zdqn.data.Block`;
    then ``records`` (transitions,) of the packed record in `zdqn.data.record_dtype`. With
    compression ``frames`` is (frames_bytes,) uint8 instead, which must decompress to exactly that
    table.

    Attributes:
        session: of the collector.
        sequence: number of this block in its session, from 0, without gaps.
        origin: `EnvironmentSpec.origin` of the environment and the run that it was made in.
        frames: rows of the frame table, >= 1.
        transitions: records, >= 1.
        environment_steps: taken by this session so far.
        episodes: finished by this session so far.
        compression: of the frame table: "none", "lz4" (one LZ4 block, no size in front) or "zstd"
            (one frame, whose header tells the size of its content).
        frames_bytes: bytes of the compressed frame table; 0 without compression.
        acked: its sender keeps it until the memory has it, and sends it again if it does not come:
            after a gap it is dropped. See `ArrivalsRequest`.
        imported: its transitions were not collected for this run, so that the learner owes no
            samples for them; see `SamplesPerInsertLimiter`.
    """

    kind = Kind.BLOCK
    has_payload = True
    session: Session
    sequence: Count
    origin: Digest
    frames: SomeRows
    transitions: SomeRows
    environment_steps: Count
    episodes: Count
    compression: Compression = "none"
    frames_bytes: Rows = 0
    acked: bool = False
    imported: bool = False


# --- samples: REQ/REP ---------------------------------------------------------------------------


class Slot(Header, frozen=True):
    """Where a learner wants the frames of a reply if its memory is on the same host.

    It shares memory of its own with the server: an anonymous file (``memfd_create``) of `SLOTS_AT`
    bytes, which begin with `token`, and slots behind them. Nobody may be able to make it smaller.

    Attributes:
        process: id of the learner's process.
        descriptor: number of the file in that process.
        token: random; who does not find it there has found another file.
        offset: of the slot in the file, a multiple of 64, >= `SLOTS_AT`.
    """

    process: SomeRows
    descriptor: Rows
    token: Digest
    offset: Annotated[int, Meta(ge=64, le=2**31 - 1, multiple_of=64)]


SLOTS_AT = 4096
"""Where the first slot of shared memory begins; before it are the token, and zeros."""
MOST_SHARED_BYTES = 256 * 1024**2
"""Of memory that a learner shares, all in all."""


class SampleRequest(Header, frozen=True, omit_defaults=True):
    """Ask for batches. Payload: the priorities of earlier batches.

    Payload arrays: ``keys`` (priorities,) int64, then ``priorities`` (priorities,) float32.

    Attributes:
        batch_size: transitions of one batch, >= 1.
        session: of the learner; 0 from a plain client.
        batches: most batches wanted, >= 1; the reply holds 1 to this many.
        wait_ms: how long the memory may wait for data before it says "not ready", at most a
            minute; 0 answers at once.
        priorities: rows of the payload, >= 0.
        slot: where the frames of the reply may be written instead of into it; None for nowhere.
    """

    kind = Kind.SAMPLE_REQUEST
    has_payload = True
    batch_size: SomeRows
    session: Session = 0
    batches: SomeRows = 1
    wait_ms: WaitMs = 0
    priorities: Rows = 0
    slot: Slot | None = None


class Progress(Answer, frozen=True):
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
        samples: transitions sampled, those of this answer included.
    """

    session: Session
    environment_steps: Total
    episodes: Total
    transitions: Total
    blocks: Total
    blocks_lost: Total
    blocks_duplicated: Total
    blocks_refused: Total
    samples: Total = 0


class Batches(Answer, frozen=True, omit_defaults=True):
    """Sampled transitions. Payload: M = batches * batch_size of each array.

    Payload arrays: ``observations`` (M, *stacked_shape) in the observation dtype,
    ``next_observations`` the same, ``keys`` (M,) int64, ``probabilities`` (M,) float64,
    ``weight_versions`` (M,) int64, ``actions`` (M,) int64, ``rewards`` (M,) float32,
    ``discounts`` (M,) float32; where the spec has ``action_masks``, ``allowed`` (M, num_actions)
    bool and ``next_allowed`` the same. Each batch is contiguous.

    Attributes:
        batch_size: of each batch.
        batches: in this reply.
        size: transitions stored when they were drawn.
        progress: counters of the memory since it started.
        shared: ``observations`` and ``next_observations`` are in the slot of the request, and not
            in the payload.
    """

    kind = Kind.BATCHES
    has_payload = True
    batch_size: SomeRows
    batches: SomeRows
    size: Total
    progress: Progress
    shared: bool = False


class NotReady(Answer, frozen=True):
    """No batch can be had yet; ask again.

    Attributes:
        reason: "filling" (fewer than replay.min_size stored), "limited" (samples_per_insert holds
            sampling back), "unread" (earlier answers have not been read) or "no_spec" (nobody has
            said hello).
        size: transitions stored.
        needed: transitions that must be stored before the first batch.
        progress: counters of the memory since it started.
    """

    kind = Kind.NOT_READY
    reason: str
    size: Total
    needed: Total
    progress: Progress


# --- accounts: REQ/REP ---------------------------------------------------------------------------


class SessionBlocks(NamedTuple):
    """What became of the blocks of one collector at one memory.

    Attributes:
        session: of the collector.
        heard: blocks that it had sent when it sent the last one that came: the number of that one
            + 1, and those refused since.
        received: accepted.
        refused: that came and were not accepted.
    """

    session: int
    heard: int
    received: int
    refused: int


class AccountsRequest(Header, frozen=True):
    """Ask what became of the blocks of each collector; needs no hello."""

    kind = Kind.ACCOUNTS_REQUEST


class Accounts(Answer, frozen=True, omit_defaults=True):
    """What became of the blocks of each collector. Payload: a row of four numbers for each.

    Payload array: ``rows`` (rows, 4) int64: a `SessionBlocks` each.

    Attributes:
        session: random number of this start of the memory.
        rows: collectors that it has heard of, >= 0.
        continues: it has come back from an earlier moment of another start, and its rows count on
            from there: what other starts told of these collectors stands no more.
    """

    kind = Kind.ACCOUNTS
    has_payload = True
    session: Session
    rows: Rows
    continues: bool = False


# --- arrivals: REQ/REP ---------------------------------------------------------------------------


class ArrivalsRequest(Header, frozen=True, omit_defaults=True):
    """Ask how many blocks have come, so that few are on their way, and none is lost.

    Attributes:
        session: of the collector.
        blocks: answer when the memory has heard of this many, see `SessionBlocks`.
        wait_ms: or after this time, at most a minute; 0 answers at once.
        oldest: number of the first block that the collector still keeps, of those that it sends
            `BlockHeader.acked`; those before it will not come.
    """

    kind = Kind.ARRIVALS_REQUEST
    session: Session
    blocks: Count
    wait_ms: WaitMs = 0
    oldest: Count = 0


class Arrivals(Answer, frozen=True, omit_defaults=True):
    """How many blocks have come.

    Attributes:
        session: random number of this start of the memory.
        heard: blocks of the collector, as in `SessionBlocks`; of those that are acked the number of
            the first that is missing: those before are stored, or were refused.
        held_back: since the question came, the memory did not want inserts for a while.
        gap: since the question came, a block was dropped as the one numbered `heard` is missing.
    """

    kind = Kind.ARRIVALS
    session: Session
    heard: Count
    held_back: bool
    gap: bool = False
