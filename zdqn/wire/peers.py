"""Who is there: the clients of a server, their last words, and their places."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from zdqn.wire.field_types import Statistics

_MOST_SESSIONS = 10_000
_MOST_PRESENT = 1_000
_MOST_OF_A_CONNECTION = 64
"""Clients that one connection brings; each of zdqn's own has a connection of its own."""
_MOST_ROWS = 100
_MOST_BYTES = 48 * 1024
"""Of all rows in a status: a header has 64 KiB, of which the server's own numbers need some."""
_NAME_IN_A_SHORT_ROW = 64


@dataclass
class Peer:
    """One client session of a server.

    Attributes:
        role: "learner", "collector" or "evaluator".
        name: what logs call it.
        session: random number of its start.
        index: its place among the living of its role.
        last_seen_s: clock of the last word from it.
        statistics: the last that it sent.
        gone: it said goodbye, or was taken for dead.
        left: it said goodbye.
        run_id: of the run that it belongs to; "" if it does not know.
        connection: what tells the connection that it said hello on from others.
        host: IP address that its hello came from; "" if that is not known.
        release: of the zdqn that it says it is of; "" if it does not.
    """

    role: str
    name: str
    session: int
    index: int
    last_seen_s: float
    statistics: Statistics = field(default_factory=dict)
    gone: bool = False
    left: bool = False
    run_id: str = ""
    connection: bytes = b""
    host: str = ""
    release: str = ""


def _last_seen_s(peer: Peer) -> float:
    return peer.last_seen_s


class PeerTable:
    """The clients of a server. The clock is the caller's; nothing here reads it.

    Args:
        dead_after_s: silence after which a client counts as dead; its place can be taken.
    """

    def __init__(self, dead_after_s: float) -> None:
        self._dead_after_s = dead_after_s
        self._present: dict[int, Peer] = {}  # those that are not gone
        self._brought: Counter[bytes] = Counter()  # how many of those came by each connection
        self.peers: dict[int, Peer] = {}

    def why_full(self, session: int, connection: bytes = b"") -> str:
        """Say why a session that says hello finds no place; "" if it finds one.

        Whoever is met again always does. So many clients that nobody is served are none of zdqn's.
        """
        if session in self._present:
            return ""
        if len(self._present) >= _MOST_PRESENT:
            return f"{_MOST_PRESENT} clients are here already, and no more are taken"
        brought = self._brought[connection]
        if brought >= _MOST_OF_A_CONNECTION:
            return (
                f"{brought} clients came by this connection, and one brings no more than "
                f"{_MOST_OF_A_CONNECTION}"
            )
        return ""

    def hello(
        self,
        role: str,
        name: str,
        session: int,
        now_s: float,
        run_id: str = "",
        connection: bytes = b"",
        host: str = "",
        release: str = "",
    ) -> Peer:
        """Register a session, or meet it again.

        A new one gets the lowest index that no living peer of its role holds, so that a restarted
        collector takes the place (the epsilon, the seed) of the one that died. One that was taken
        for dead gets its place back, unless another has it.
        """
        peer = self.peers.get(session)
        taken = {
            other.index
            for other in self._present.values()
            if other.role == role and other is not peer and self.is_living(other, now_s)
        }
        if peer is None or peer.index in taken:
            index = next(number for number in range(len(taken) + 1) if number not in taken)
            statistics = peer.statistics if peer is not None else {}
            peer = self.peers[session] = Peer(role, name, session, index, now_s, statistics)
        self._leave(session)
        peer.last_seen_s, peer.gone, peer.left = now_s, False, False
        peer.run_id, peer.connection, peer.host, peer.release = run_id, connection, host, release
        self._present[session] = peer
        self._brought[connection] += 1
        self._forget_some()
        return peer

    def _forget_some(self) -> None:
        """Forget those that left first, so that restarts do not add up for ever."""
        if len(self.peers) <= _MOST_SESSIONS:
            return
        gone = sorted((peer for peer in self.peers.values() if peer.gone), key=_last_seen_s)
        for peer in gone[: len(self.peers) - _MOST_SESSIONS + _MOST_SESSIONS // 10]:
            del self.peers[peer.session]

    def forget_other_runs(self, run_id: str) -> list[Peer]:
        """Forget the clients of another run than `run_id`, and give them."""
        others = [peer for peer in self.peers.values() if peer.run_id not in ("", run_id)]
        for peer in others:
            del self.peers[peer.session]
            self._leave(peer.session)
        return others

    def ping(self, session: int, statistics: Statistics, now_s: float) -> bool:
        """Take note of a sign of life.

        Returns:
            False if the session is unknown, has left or was taken for dead: its place may be
            another's by now, so it must say hello (again).
        """
        peer = self.peers.get(session)
        if peer is None or not self.is_living(peer, now_s):
            return False
        peer.last_seen_s, peer.statistics = now_s, statistics
        return True

    def hear_of(self, session: int, now_s: float) -> None:
        """Take note of another sign of life than a ping, of a session that lives."""
        peer = self._present.get(session)
        if peer is not None and self.is_living(peer, now_s):
            peer.last_seen_s = now_s

    def goodbye(self, session: int, statistics: Statistics, now_s: float) -> Peer | None:
        """Take note that a session left on purpose.

        Returns:
            The session, the first time; None if it is unknown, or has said so before.
        """
        peer = self.peers.get(session)
        if peer is None or peer.left:
            return None
        peer.last_seen_s, peer.statistics, peer.left = now_s, statistics, True
        self._leave(session)
        return peer

    def _leave(self, session: int) -> None:
        peer = self._present.pop(session, None)
        if peer is None:
            return
        peer.gone = True
        self._brought[peer.connection] -= 1
        if not self._brought[peer.connection]:
            del self._brought[peer.connection]

    def is_living(self, peer: Peer, now_s: float) -> bool:
        """Whether a peer has neither left nor been silent for too long."""
        return not peer.gone and now_s - peer.last_seen_s < self._dead_after_s

    def living(self, role: str, now_s: float) -> list[Peer]:
        """Give the living peers of a role, by index."""
        peers = (peer for peer in self._present.values() if peer.role == role)
        return sorted(
            (peer for peer in peers if self.is_living(peer, now_s)), key=lambda peer: peer.index
        )

    def newly_dead(self, now_s: float) -> list[Peer]:
        """Give the peers that fell silent, each once, and count them as gone."""
        dead = [peer for peer in self._present.values() if not self.is_living(peer, now_s)]
        for peer in dead:
            self._leave(peer.session)
        return dead

    def describe(self, now_s: float) -> list[Statistics]:
        """Give a row for each session, for status; of very many, those seen last.

        A status must fit into one header, and sessions of a long run with many restarts add up.
        Rows that would not fit, as clients tell much of themselves, are cut to equal shares.
        """
        newest = sorted(self.peers.values(), key=lambda peer: (peer.gone, -peer.last_seen_s))
        shown = sorted(newest[:_MOST_ROWS], key=lambda peer: (peer.role, peer.index))
        rows = [self._row(peer, now_s) for peer in shown]
        if _encoded_bytes(rows) <= _MOST_BYTES:
            return rows
        return [_shorten(row, _MOST_BYTES // len(rows)) for row in rows]

    def _row(self, peer: Peer, now_s: float) -> Statistics:
        row: Statistics = {
            "role": peer.role,
            "name": peer.name,
            "index": peer.index,
            "state": self._state(peer, now_s),
            "last_seen_s": round(now_s - peer.last_seen_s, 1),
            **({"host": peer.host} if peer.host else {}),
            **({"zdqn": peer.release} if peer.release else {}),
        }
        # what it tells of itself comes behind, and never in place of that
        own = {*row, "host", "zdqn"}
        return row | {key: value for key, value in peer.statistics.items() if key not in own}

    def _state(self, peer: Peer, now_s: float) -> str:
        if peer.gone:
            return "gone"
        return "living" if self.is_living(peer, now_s) else "silent"


def _shorten(row: Statistics, most_bytes: int) -> Statistics:
    """Cut the name, then leave out what does not fit; what is this server's own word stays."""
    cut = {**row, "name": str(row["name"])[:_NAME_IN_A_SHORT_ROW]}
    short: Statistics = {}
    left = most_bytes - _ROW_START_BYTES
    for key, value in cut.items():
        left -= _encoded_bytes((key, value))
        if left < 0:
            break
        short[key] = value
    return short


def _encoded_bytes(values: Iterable[object]) -> int:
    return len(msgspec.msgpack.encode(values))


_ROW_START_BYTES = 3
"""What begins a map in msgpack, with room for more than 15 entries."""
