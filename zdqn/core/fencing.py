"""Which learner may sample: those of the newest epoch, and no other."""

from __future__ import annotations

from zdqn.errors import FencedError


class Fence:
    """Admits one group of learners at a time, that of the highest epoch heard of.

    An epoch is one start of a run's learning. Its group has a session for each rank, which sample
    side by side; a later epoch takes the place of the whole group. Of two sessions that claim the
    same rank of the same epoch, the one that said hello last is admitted.

    Until a learner with a session has said hello (the memory was restarted) all may sample.
    """

    def __init__(self) -> None:
        self._epoch = -1
        self._sessions: dict[int, int] = {}  # of the epoch's group, by rank

    def admit(self, session: int, learner_epoch: int, rank: int = 0) -> None:
        """Take a learner's hello.

        Args:
            session: random number of this start of the learner; 0 if it has none.
            learner_epoch: >= 0; higher is newer.
            rank: its number in its group, >= 0.

        Raises:
            FencedError: when a learner of a later epoch is known.
        """
        if learner_epoch < self._epoch:
            raise FencedError(
                f"a newer learner (epoch {self._epoch}) has taken over this run; this one "
                f"(epoch {learner_epoch}) must stop."
            )
        if learner_epoch > self._epoch:
            self._epoch, self._sessions = learner_epoch, {}
        self._sessions[rank] = session

    def check(self, session: int) -> None:
        """Let a session sample, or not.

        Args:
            session: of the learner; 0 of a plain client, which is no learner and may always.

        Raises:
            FencedError: when others were admitted, and this one was not or is not any more.
        """
        admitted = self._sessions.values()
        if session and session not in admitted and any(admitted):
            raise FencedError(
                f"a newer learner (epoch {self._epoch}) has taken over the samples of this run, or "
                f"this one (session {session}) never said hello"
            )
