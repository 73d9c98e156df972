"""Blocks on their way into the store: checked, accounted for, joined where that is quicker."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from zdqn.core.block_counts import BlockCounts, Counts, SkippedError
from zdqn.core.block_order import BlockOrder
from zdqn.core.ledger import Ledger
from zdqn.core.replay_room import JOINED_SHARE, most_frames_a_transition
from zdqn.core.store import TransitionStore
from zdqn.errors import MismatchError, ProtocolError
from zdqn.wire import block_payload, codec
from zdqn.wire.memory_messages import BlockHeader, SessionBlocks

_JOINED_BELOW_BYTES = 32_768
"""Only blocks whose frames have less than this are joined: it copies their frames once more."""
_MOST_SENDERS = 1_000
"""Of refused blocks that are told apart; of more, those whose last one lies furthest back go."""
_ARRIVAL = struct.Struct("<qqqqq")
"""Of a block that came: session, sequence, transitions, environment steps, episodes.

Transitions that are imported are written as a negative number.
"""


class RefusedBlock(NamedTuple):
    """A block that was not taken.

    Attributes:
        sender: session of the collector that it says it is of; None if it says nothing.
        error: why.
    """

    sender: int | None
    error: MismatchError


class Refused(NamedTuple):
    """What was refused of one collector.

    Attributes:
        blocks: how many.
        reason: why the last one was.
    """

    blocks: int
    reason: str


def name_by_number(session: int) -> str:
    """Call a collector by its session, where it has no name."""
    return f"session {session:016x}"


class Intake:
    """Takes the blocks of all collectors, and accounts for those that came and those that did not.

    Args:
        store: where they go; it has room (`TransitionStore.make_room`) before the first comes.
        n_step: rewards in a return of the collectors, >= 1.
        name_of: session to what its collector is called in messages.

    Attributes:
        name_of: as given.
        ledger: which blocks came, are missing, or came twice.
        order: which block of each session comes next, of those that come again.
        refused: blocks that broke the protocol, or came from another run or environment.
        refusals: session to how many of its blocks were refused, and why the last one was.
        senders: sessions of which blocks came since somebody emptied this, refused ones included.
    """

    def __init__(
        self,
        store: TransitionStore,
        *,
        n_step: int,
        name_of: Callable[[int], str] = name_by_number,
    ) -> None:
        self._store = store
        self.name_of = name_of
        self._run_id = ""
        self._origins: tuple[int, ...] = ()
        self._counts = BlockCounts(block_transitions=store.block_transitions, n_step=n_step)
        self.ledger = Ledger()
        self.order = BlockOrder(self.ledger, self._counts)
        self.refused = 0
        self.refusals: dict[int, Refused] = {}
        self.senders: set[int] = set()

    def belong_to(self, run_id: str) -> None:
        """Take blocks of this run, and of none, from now on, and of no other run."""
        self._run_id, self._origins = run_id, ()

    def insert_together(self, messages: Sequence[bytes | memoryview]) -> list[RefusedBlock]:
        """Check and store several blocks, as one where that is possible and quicker.

        Args:
            messages: in the order in which they came.

        Returns:
            The blocks that were refused; the others are stored.
        """
        joins = len(messages) > 1 and self._store.block_bytes < _JOINED_BELOW_BYTES
        if joins and self._insert_joined(messages):
            return []
        refused = (self._try_insert(message) for message in messages)
        return [block for block in refused if block is not None]

    def _insert_joined(self, messages: Sequence[bytes | memoryview]) -> bool:
        """Store blocks as one; False, with nothing done, when there is anything odd about them."""
        spec = self._store.spec
        assert spec is not None
        try:
            decoded = [codec.decode(message) for message in messages]
            headers = [codec.expect(message, BlockHeader) for message in decoded]
            for header in headers:
                self._check_origin(header)
            transitions = sum(header.transitions for header in headers)
            if transitions * JOINED_SHARE > self._store.capacity:
                return False  # their frames stay as long as any of them does
            counted = self.order.follow(headers)
        except MismatchError:
            return False
        if counted is None:
            return False
        block = block_payload.join_blocks(decoded, spec)
        if block is None:
            return False
        for header in headers:
            self._accept(header)
            self.senders.add(header.session)
        self._keep(counted)
        imported = sum(header.transitions for header in headers if header.imported)
        self._store.insert(block, self._note(headers), imported=imported)
        return True

    def insert(self, message: bytes | memoryview) -> None:
        """Check and store a block.

        Args:
            message: as it came.

        Raises:
            ProtocolError: when it is malformed; it was refused and counted.
            MismatchError: when it is of another environment; likewise.
        """
        refused = self._try_insert(message)
        if refused is not None:
            raise refused.error

    def _try_insert(self, message: bytes | memoryview) -> RefusedBlock | None:
        spec = self._store.spec
        assert spec is not None
        sender: int | None = None
        header: BlockHeader | None = None
        try:
            decoded = codec.decode(message)
            header = codec.expect(decoded, BlockHeader)
            sender = header.session
            self.senders.add(sender)
            if header.acked and not self.order.take(sender, header.sequence):
                return None
            self._check_origin(header)
            counts = self._counts.follow(header)
            block = block_payload.read_block(decoded, spec)
        except MismatchError as error:
            if isinstance(error, SkippedError) and sender is not None:
                self._forget(sender)
            refused = RefusedBlock(sender, self._refuse(error, sender))
            if header is not None and header.acked:
                self.order.pass_over(header.session, header.sequence)
            return refused
        if self._accept(header) and counts is not None:
            self._keep({header.session: counts})
            imported = header.transitions if header.imported else 0
            self._store.insert(block, self._note([header]), imported=imported)
        return None

    def _note(self, headers: Sequence[BlockHeader]) -> bytes:
        """Write down which blocks are stored, for `take_in`."""
        if not self._store.kept:
            return b""
        return b"".join(
            _ARRIVAL.pack(
                header.session,
                header.sequence,
                -header.transitions if header.imported else header.transitions,
                header.environment_steps,
                header.episodes,
            )
            for header in headers
        )

    def take_in(self, note: bytes) -> None:
        """Account for blocks that are in the store, though no state that was loaded says so.

        Args:
            note: what was given to the store with them.
        """
        self._store.limiter.forgive(_enter(note, self.ledger))

    def _keep(self, counted: dict[int, Counts]) -> None:
        for session in self._counts.keep(counted):
            self.ledger.forget(session)

    def _forget(self, session: int) -> None:
        """Count a session from its next block on."""
        self._counts.forget(session)
        self.ledger.count_anew(session)

    def write_off(self, session: int, blocks_sent: int) -> int:
        """Count a gone session's missing blocks as lost, as many as can be, and give their number.

        Args:
            session: of the collector.
            blocks_sent: what it said it had sent.
        """
        sent = self._counts.believed_sent(session, blocks_sent)
        return self.ledger.write_off(session, self.order.believed_sent(session, sent))

    def _refuse(self, error: MismatchError, sender: int | None) -> MismatchError:
        """Count a refused block, and give the error with its sender named."""
        self.refused += 1
        if sender is None:
            return type(error)(f"{error}; nobody can say who sent it")
        self.ledger.refuse(sender)
        before = self.refusals.pop(sender, Refused(0, ""))
        self.refusals[sender] = Refused(before.blocks + 1, str(error))
        while len(self.refusals) > _MOST_SENDERS:
            del self.refusals[next(iter(self.refusals))]
        return type(error)(f"{error}; {self.name_of(sender)} sent it")

    def _accept(self, header: BlockHeader) -> bool:
        """Enter a block into the ledger; False if it is known already."""
        return self.ledger.accept(
            header.session,
            header.sequence,
            header.transitions,
            header.environment_steps,
            header.episodes,
        )

    def _check_origin(self, header: BlockHeader) -> None:
        store = self._store
        assert store.spec is not None
        if not self._origins:
            self._origins = store.spec.origin(self._run_id), store.spec.digest
        if header.origin not in self._origins:
            run = f"run {self._run_id}, " if self._run_id else ""
            raise MismatchError(
                f"a block from another run or environment than the agreed one "
                f"({run}{store.spec.describe()})"
            )
        each = most_frames_a_transition(store.spec)
        if (
            header.transitions > store.block_transitions
            or header.frames > each * header.transitions
        ):
            raise ProtocolError(
                f"a block of {header.transitions} transitions and {header.frames} frames; this "
                f"memory takes at most {store.block_transitions} transitions "
                f"(collector.block_transitions), with at most {each} frames each"
            )

    def heard(self, session: int) -> int:
        """Give how many blocks a collector had sent when it sent the last one that came."""
        account = self.ledger.accounts.get(session)
        if account is not None:
            return account.heard
        refused = self.refusals[session].blocks if session in self.refusals else 0
        return max(refused, self.order.next_of(session))

    def sessions(self) -> list[SessionBlocks]:
        """Give what became of the blocks of each collector that this memory heard of."""
        accounts = self.ledger.accounts
        rows = []
        for session in accounts.keys() | self.refusals.keys():
            account = accounts.get(session)
            refused = self.refusals[session].blocks if session in self.refusals else 0
            received = account.received if account is not None else 0
            rows.append(SessionBlocks(session, self.heard(session), received, refused))
        return rows

    def state_dict(self) -> dict[str, Any]:
        """Give all counts, as plain values."""
        return {"ledger": self.ledger.state_dict(), "refused": self.refused}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where `state_dict` was taken."""
        self.ledger.load_state_dict(state["ledger"])
        self.bound_counts()
        self.refused = state["refused"]

    def go_on_from(self, state: dict[str, Any], notes: Iterable[bytes]) -> None:
        """Count from 0 as a new intake, but know which blocks an earlier one had.

        Args:
            state: what its `state_dict` gave.
            notes: of blocks that are in the store besides; see `take_in`.
        """
        before = Ledger()
        before.load_state_dict(state["ledger"])
        for note in notes:
            self._store.limiter.forgive(_enter(note, before))
        for session, account in before.accounts.items():
            account.anew = True
            self.ledger.accounts[session] = account
        self.order.come_back(before.accounts)

    def bound_counts(self) -> None:
        """Bound what collectors may count from now on by what the ledger says of them."""
        self._counts.load(self.ledger.accounts.items())
        self.order.come_back(self.ledger.accounts)


def _enter(note: bytes, ledger: Ledger) -> int:
    """Enter blocks into a ledger, and give how many transitions of new ones are imported."""
    imported = 0
    for session, sequence, transitions, steps, episodes in _ARRIVAL.iter_unpack(note):
        if ledger.accept(session, sequence, abs(transitions), steps, episodes):
            imported += max(-transitions, 0)
    return imported
