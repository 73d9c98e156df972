"""Who is there: the clients of a server, their last words, and their places."""

from __future__ import annotations

from dataclasses import dataclass, field

from zdqn.wire.protocol import Statistics

_MOST_ROWS = 100
_MOST_SESSIONS = 10_000


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
        gone: it said goodbye.
        run_id: of the run that it belongs to; "" if it does not know.
    """

    role: str
    name: str
    session: int
    index: int
    last_seen_s: float
    statistics: Statistics = field(default_factory=dict)
    gone: bool = False
    run_id: str = ""


def _last_seen_s(peer: Peer) -> float:
    return peer.last_seen_s


class PeerTable:
    """The clients of a server. The clock is the caller's; nothing here reads it.

    Args:
        dead_after_s: silence after which a client counts as dead; its place can be taken.
    """

    def __init__(self, dead_after_s: float) -> None:
        self._dead_after_s = dead_after_s
        self.peers: dict[int, Peer] = {}

    def hello(self, role: str, name: str, session: int, now_s: float, run_id: str = "") -> Peer:
        """Register a session, or meet it again.

        A new one gets the lowest index that no living peer of its role holds, so that a restarted
        collector takes the place (the epsilon, the seed) of the one that died. One that was taken
        for dead gets its place back, unless another has it.
        """
        peer = self.peers.get(session)
        taken = {other.index for other in self.living(role, now_s) if other is not peer}
        if peer is None or peer.index in taken:
            index = next(number for number in range(len(taken) + 1) if number not in taken)
            statistics = peer.statistics if peer is not None else {}
            peer = self.peers[session] = Peer(role, name, session, index, now_s, statistics)
        peer.last_seen_s, peer.gone, peer.run_id = now_s, False, run_id
        self._forget_some()
        return peer

    def _forget_some(self) -> None:
        """Forget those that left first, so that restarts do not add up for ever."""
        if len(self.peers) <= _MOST_SESSIONS:
            return
        gone = sorted((peer for peer in self.peers.values() if peer.gone), key=_last_seen_s)
        for peer in gone[: len(self.peers) - _MOST_SESSIONS]:
            del self.peers[peer.session]

    def forget_other_runs(self, run_id: str) -> list[Peer]:
        """Forget the clients of another run than `run_id`, and give them."""
        others = [peer for peer in self.peers.values() if peer.run_id not in ("", run_id)]
        for peer in others:
            del self.peers[peer.session]
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

    def goodbye(self, session: int, statistics: Statistics, now_s: float) -> Peer | None:
        """Take note that a session left on purpose, and give it; None if it is unknown."""
        peer = self.peers.get(session)
        if peer is not None:
            peer.last_seen_s, peer.statistics, peer.gone = now_s, statistics, True
        return peer

    def is_living(self, peer: Peer, now_s: float) -> bool:
        """Whether a peer has neither left nor been silent for too long."""
        return not peer.gone and now_s - peer.last_seen_s < self._dead_after_s

    def living(self, role: str, now_s: float) -> list[Peer]:
        """Give the living peers of a role, by index."""
        peers = (peer for peer in self.peers.values() if peer.role == role)
        return sorted(
            (peer for peer in peers if self.is_living(peer, now_s)), key=lambda peer: peer.index
        )

    def newly_dead(self, now_s: float) -> list[Peer]:
        """Give the peers that fell silent, each once, and count them as gone."""
        dead = [
            peer
            for peer in self.peers.values()
            if not peer.gone and not self.is_living(peer, now_s)
        ]
        for peer in dead:
            peer.gone = True
        return dead

    def describe(self, now_s: float) -> list[Statistics]:
        """Give a row for each session, for status; of very many, those seen last.

        A status must fit into one header, and sessions of a long run with many restarts add up.
        """
        newest = sorted(self.peers.values(), key=lambda peer: (peer.gone, -peer.last_seen_s))
        return [
            {
                "role": peer.role,
                "name": peer.name,
                "index": peer.index,
                "state": self._state(peer, now_s),
                "last_seen_s": round(now_s - peer.last_seen_s, 1),
                **peer.statistics,
            }
            for peer in sorted(newest[:_MOST_ROWS], key=lambda peer: (peer.role, peer.index))
        ]

    def _state(self, peer: Peer, now_s: float) -> str:
        if peer.gone:
            return "gone"
        return "living" if self.is_living(peer, now_s) else "silent"
