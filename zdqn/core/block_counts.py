"""What collectors may count: no more than the blocks that they sent can hold.

Environment steps and episodes end runs, lower epsilon and fill summaries, and a collector says them
of itself. Each environment step becomes one transition, so that its count follows from the
transitions that it sent and those that it still gathers: what goes beyond was never stepped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, NoReturn

from zdqn.core.ledger import SessionAccount
from zdqn.errors import ProtocolError
from zdqn.wire.memory_messages import BlockHeader

MOST_SESSIONS = 10_000
"""Of more, those whose last block lies furthest back are forgotten."""
_MOST_LOST = 64
"""Blocks that a session may lose besides as many as came: they filled a queue when a link broke."""


class SkippedError(ProtocolError):
    """A block's number lies further ahead than blocks can have been lost."""


class Counts(NamedTuple):
    """What a session counted in its last block, and what bounds the next.

    Attributes:
        next_sequence: number of the block that should come next.
        may_miss: blocks that may still be missing.
        environment_steps: its own count.
        episodes: its own count.
        most_steps: that its blocks up to the last can hold, and those that it may gather besides;
            what came before the first that was heard of is as it said.
        steps_before_episodes: so many environment steps must be counted before the first episode;
            negative for a session that was first heard of when it had finished some.
    """

    next_sequence: int
    may_miss: int
    environment_steps: int
    episodes: int
    most_steps: int
    steps_before_episodes: int


class BlockCounts:
    """Follows what each collector counts, and refuses what it cannot have counted.

    Args:
        block_transitions: most transitions in a block, >= 1.
        n_step: rewards in a return, >= 1: so many steps of each environment wait for later ones.
    """

    def __init__(self, *, block_transitions: int, n_step: int) -> None:
        self._block_transitions = block_transitions
        # A block has room for one transition of each environment, so that there are at most
        # `block_transitions` environments, of each of which n steps wait and one more is done; a
        # block may be left over, and another may be given up at the end.
        self._gathered = (n_step + 3) * block_transitions
        self._sessions: dict[int, Counts] = {}

    def follow(self, header: BlockHeader, before: Counts | None = None) -> Counts | None:
        """Say what a session has counted with a block, or refuse the block.

        Args:
            header: of the block, whose transitions are no more than a block may hold.
            before: what the session had counted before; None: as was kept.

        Returns:
            What to `keep` if the block is taken; None for one that came before.

        Raises:
            SkippedError: when more blocks are missing before it than can have been lost.
            ProtocolError: when its counts are more than its blocks can hold, or go back.
        """
        if before is None:
            before = self._sessions.get(header.session)
            if before is None:
                return self._begin(header)
        sequence = header.sequence
        skipped = sequence - before.next_sequence
        if skipped < 0:
            return None
        steps, episodes = header.environment_steps, header.episodes
        may_miss = before.may_miss - skipped
        most = before.most_steps + header.transitions + skipped * self._block_transitions
        first = before.steps_before_episodes
        if (
            may_miss < 0
            or not before.environment_steps <= steps <= most
            or not before.episodes <= episodes <= steps - first
        ):
            self._refuse(header, before, most)
        return Counts(sequence + 1, may_miss + 1, steps, episodes, most, first)

    def _begin(self, header: BlockHeader) -> Counts:
        """Hear of a session for the first time, maybe in the middle: a memory was restarted."""
        steps, episodes = header.environment_steps, header.episodes
        held = header.sequence * self._block_transitions + header.transitions
        most = held + self._gathered
        if steps > most or episodes > steps:
            self._refuse(header, Counts(header.sequence, 0, 0, 0, 0, 0), most)
        first = 0
        if header.sequence:  # from here on; an episode of each environment may have begun before
            most = steps + self._gathered
            first = steps - episodes - self._block_transitions
        return Counts(header.sequence + 1, _MOST_LOST + 1, steps, episodes, most, first)

    def _refuse(self, header: BlockHeader, before: Counts, most: int) -> NoReturn:
        skipped = header.sequence - before.next_sequence
        if skipped > before.may_miss:
            raise SkippedError(
                f"a block with the sequence {header.sequence}, where {before.next_sequence} comes "
                f"next: at most {before.may_miss} can be missing, as many as ever came and "
                f"{_MOST_LOST} more. Its session is counted from the next block on, and what was "
                f"before is not"
            )
        counted = f"environment_steps {header.environment_steps} and episodes {header.episodes}"
        if header.environment_steps > most:
            why = (
                f"the blocks of its session hold at most {most - self._gathered} steps, and at "
                f"most {self._gathered} more are gathered for the next ones: at most {most}"
            )
        elif (
            header.environment_steps < before.environment_steps or header.episodes < before.episodes
        ):
            why = (
                f"both count all of a session and never go back, and were "
                f"{before.environment_steps} and {before.episodes} before"
            )
        else:
            most_episodes = header.environment_steps - before.steps_before_episodes
            why = f"an episode has a step or more: at most {most_episodes} can have ended"
        raise ProtocolError(f"a block with {counted}; {why}")

    def keep(self, taken: Mapping[int, Counts]) -> list[int]:
        """Go on from what sessions have counted with blocks that were taken.

        Args:
            taken: session to what `follow` gave last.

        Returns:
            Sessions that are forgotten, as there are too many.
        """
        sessions = self._sessions
        for session, counts in taken.items():
            sessions.pop(session, None)  # to the end: it was heard of last
            sessions[session] = counts
        forgotten = []
        while len(sessions) > MOST_SESSIONS:
            forgotten.append(next(iter(sessions)))
            del sessions[forgotten[-1]]
        return forgotten

    def forget(self, session: int) -> None:
        """Hear of a session for the first time, when it comes again."""
        self._sessions.pop(session, None)

    def believed_sent(self, session: int, blocks_sent: int) -> int:
        """Say how many blocks a session can have sent, of those that it says it has.

        Args:
            session: of the collector.
            blocks_sent: what it said.
        """
        counts = self._sessions.get(session)
        if counts is None:
            return blocks_sent  # what is not known is not counted
        return min(blocks_sent, counts.next_sequence + counts.may_miss)

    def load(self, accounts: Iterable[tuple[int, SessionAccount]]) -> None:
        """Go on from the accounts of an earlier ledger, which knows less: bounds start anew."""
        self._sessions = {
            session: Counts(
                account.next_sequence,
                account.next_sequence + _MOST_LOST,
                account.environment_steps,
                account.episodes,
                account.environment_steps + self._gathered,
                account.environment_steps - account.episodes - self._block_transitions,
            )
            for session, account in accounts
        }
