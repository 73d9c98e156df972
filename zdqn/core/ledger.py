"""Loss accounting: which blocks of which collector came, are missing, or came twice."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

_COUNTS = ("received", "lost", "duplicated", "environment_steps", "episodes")


@dataclass
class SessionAccount:
    """What is known of one session (one start) of a collector.

    Attributes:
        next_sequence: number of the block that should come next.
        environment_steps: its own count in its last block.
        episodes: its own count in its last block.
        written_off: blocks at its end that count as lost, unless they come after all.
        received: blocks accepted.
        excused: blocks that came and were refused, since the last that was accepted: they leave a
            gap in the numbers, and are not lost.
        anew: the next block, whatever its number, follows on the last.
        stored: number of the last block accepted; -1 for none.
    """

    next_sequence: int
    environment_steps: int = 0
    episodes: int = 0
    written_off: int = 0
    received: int = 0
    excused: int = 0
    anew: bool = False
    stored: int = -1

    @property
    def heard(self) -> int:
        """Blocks of its sequence that came or count as lost, as far as was heard of any."""
        return self.next_sequence + self.excused

    def take_gap(self, blocks: int) -> int:
        """Give how many of the missing blocks were not refused, and so are lost."""
        excused = min(blocks, self.excused)
        self.excused -= excused
        return blocks - excused


class Ledger:
    """Counts blocks by session and sequence number.

    A session first heard of in the middle (the memory was restarted) is counted from there on:
    what came before went to an earlier memory.

    Attributes:
        accounts: of every session, by its number.
        received: blocks accepted.
        lost: blocks missing.
        duplicated: blocks that came again.
        environment_steps: of all sessions, since each was first heard of.
        episodes: likewise.
    """

    def __init__(self) -> None:
        self.accounts: dict[int, SessionAccount] = {}
        self.received = 0
        self.lost = 0
        self.duplicated = 0
        self.environment_steps = 0
        self.episodes = 0

    def accept(
        self, session: int, sequence: int, transitions: int, environment_steps: int, episodes: int
    ) -> bool:
        """Account for a block.

        Args:
            session: of the collector.
            sequence: number of the block in its session, from 0.
            transitions: in the block.
            environment_steps: taken by the session so far.
            episodes: finished by the session so far.

        Returns:
            False if the block came before and must be dropped.
        """
        account = self.accounts.get(session)
        if account is None or account.anew:
            received = 0
            if account is not None:
                self._reinstate(account)
                received = account.received
            account = SessionAccount(next_sequence=sequence, received=received)
            self.accounts[session] = account
            if sequence:  # its earlier steps were counted by an earlier memory
                account.environment_steps = max(environment_steps - transitions, 0)
                account.episodes = episodes
        if sequence < account.next_sequence:
            self.duplicated += 1
            return False
        self._reinstate(account)
        self.received += 1
        self.lost += account.take_gap(sequence - account.next_sequence)
        account.excused = 0
        account.received += 1
        account.next_sequence, account.stored = sequence + 1, sequence
        # cumulative counts, so that the steps in a lost block are not lost too
        self.environment_steps += max(environment_steps - account.environment_steps, 0)
        self.episodes += max(episodes - account.episodes, 0)
        account.environment_steps, account.episodes = environment_steps, episodes
        return True

    def stored(self, session: int) -> int:
        """Give the number of the last block of a session that was accepted; -1 for none."""
        account = self.accounts.get(session)
        return account.stored if account is not None else -1

    def refuse(self, session: int) -> None:
        """Take note that a block came, and was refused."""
        account = self.accounts.get(session)
        if account is not None:
            account.excused += 1

    def pass_over(self, session: int, sequence: int) -> bool:
        """Go on behind a block that came in order, and was refused; False if nobody is known."""
        account = self.accounts.get(session)
        if account is None:
            return False
        self._reinstate(account)
        account.next_sequence, account.excused = sequence + 1, 0
        return True

    def skip(self, session: int, oldest: int) -> int:
        """Count blocks of a known session as lost that will not come, and give their number.

        Args:
            session: of the collector.
            oldest: number of the first block that may come, >= the next.
        """
        account = self.accounts[session]
        self._reinstate(account)
        lost = account.take_gap(oldest - account.next_sequence)
        self.lost += lost
        account.next_sequence, account.excused = oldest, 0
        return lost

    def _reinstate(self, account: SessionAccount) -> None:
        """Count what was written off as missing once more: something came after all."""
        self.lost -= account.written_off
        account.written_off = 0

    def count_anew(self, session: int) -> None:
        """Count a session from its next block on, beside what was received of it."""
        account = self.accounts.get(session)
        if account is not None:
            account.anew = True

    def forget(self, session: int) -> None:
        """Count a session from its next block on, as one that was never heard of."""
        self.accounts.pop(session, None)

    def write_off(self, session: int, blocks_sent: int) -> int:
        """Count a gone session's missing blocks as lost, and give their number.

        A session that this ledger never heard of has nothing to write off: its blocks may have
        gone to an earlier memory.

        Args:
            session: of the collector.
            blocks_sent: what it said it had sent.
        """
        account = self.accounts.get(session)
        if account is None:
            return 0
        missing = max(blocks_sent - account.heard, 0)
        self.lost += missing - account.written_off
        account.written_off = missing
        return missing

    def state_dict(self) -> dict[str, Any]:
        """Give all counts and accounts, as plain values."""
        return {
            "accounts": [[session, asdict(account)] for session, account in self.accounts.items()],
            **{name: getattr(self, name) for name in _COUNTS},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where `state_dict` was taken."""
        self.accounts = {
            session: SessionAccount(**account) for session, account in state["accounts"]
        }
        for name in _COUNTS:
            setattr(self, name, state[name])
