"""The learner's other face: answers clients in a thread of its own while the learner trains.

It hands out configuration, weights, greedy actions and snapshots, and knows who is there. Because
it has a thread and a copy of the network, neither a long update nor compiling makes anybody wait.
Whether that thread answers, or the training thread between its updates, `answering_turns` decides.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from zdqn.closing import Closing
from zdqn.config import Config
from zdqn.data import EnvironmentSpec
from zdqn.records.block_accounts import Sent
from zdqn.records.snapshots import Evaluation, FrozenSnapshot
from zdqn.roles.learner.answering_turns import ROUND_S, Turn, Turns
from zdqn.roles.learner.model_answers import ModelAnswers
from zdqn.roles.learner.publications import Published
from zdqn.roles.learner.stall_watch import Pulse
from zdqn.wire.request_sockets import Server
from zdqn.wire.status import CollectorStatistics, LearnerStatus

if TYPE_CHECKING:
    from zdqn.rl.greedy import Greedy

logger = logging.getLogger("zdqn.learner")

_WAIT_MS = 100
_SHORT_WAIT_MS = 20
"""How soon an evaluator that waits is given a snapshot that the training thread has offered."""
_MOST_PASSES = 8
"""In one round; clients that ask without end keep nobody else from being looked after."""
_WATCH_S = 0.01


class ModelServer(Closing):
    """Serves the model link in a thread.

    Args:
        server: the bound socket; used by one thread at a time from `start` on.
        config: of the run, given to clients that come without.
        run_id: of the run.
        session: of this learner.
        memory: the memory's address, as the learner dials it.
        weights_endpoint: where weights are published.
        on_stop: called with the reason when somebody asks to stop.
        turns: who answers.

    Attributes:
        pulse: of the training thread, which beats it.
        failure: why the thread ended, if it broke.
    """

    def __init__(
        self,
        server: Server,
        *,
        config: Config,
        run_id: str,
        session: int,
        memory: str,
        weights_endpoint: str,
        on_stop: Callable[[str], None],
        turns: Turns | None = None,
    ) -> None:
        self._server = server
        self._on_stop = on_stop
        self._turns = turns or Turns()
        self._lock = threading.Lock()
        self.pulse = Pulse()
        self._answers = ModelAnswers(
            server,
            config=config,
            run_id=run_id,
            session=session,
            memory=memory,
            weights_endpoint=weights_endpoint,
            on_stop=on_stop,
            pulse=self.pulse,
        )
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="zdqn-model-server", daemon=True)
        self.failure: BaseException | None = None

    # --- for the training thread ------------------------------------------------------------------

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def close(self) -> None:
        """Stop answering and close the socket."""
        self._closing.set()
        self._turns.leave()
        if self._thread.is_alive():
            self._thread.join()
        self._server.close()

    def publish(self, published: Published) -> None:
        """Take over the newest weights, for late joiners and remote policies."""
        self._answers.publish(published)

    def report(self, status: LearnerStatus) -> None:
        """Take over what the learner tells about itself."""
        self._answers.report(status)

    def status(self) -> LearnerStatus:
        """Give what it answers to a status request; any thread may ask."""
        with self._lock:
            return LearnerStatus.read(self._answers.status())

    def act_with(self, policy: Greedy, *, between_updates: bool = True) -> None:
        """Serve greedy actions.

        Args:
            policy: nobody else may touch its network.
            between_updates: whether the training thread may act; on a GPU it would wait there.
        """
        self._answers.actions.act_with(policy)
        if not between_updates:
            self._turns.keep_from_training()

    def serve_between_updates(self) -> float:
        """Answer what has come, in place of the thread, if that saves time; cheap if not.

        Returns:
            Seconds that the next updates may take; infinite if nobody waits for them.
        """
        now_s = time.monotonic()
        turn = self._turns.trained(now_s)
        if turn is Turn.LEAVE:
            self.serve_alone()
        elif turn is Turn.ANSWER:
            self._serve_round(1, ROUND_S)
            self._turns.answered(time.monotonic())
        return self._turns.patience_s(now_s)

    def serve_alone(self) -> None:
        """Leave answering to the thread: there will be no short update for a while."""
        if self._turns.thread_serves:
            return
        self._serve_round(_MOST_PASSES)  # the thread may be waiting already, and see no signal
        self._turns.leave()

    def offer(self, snapshot: FrozenSnapshot, *, first: bool = False) -> int:
        """Have a snapshot evaluated, before all others if `first`; gives how many were dropped."""
        with self._lock:
            return self._answers.evaluations.offer(snapshot, first=first)

    def take_evaluations(self) -> list[Evaluation]:
        """Give the evaluations that came in since the last call."""
        return self._answers.evaluations.take()

    def agree(self, spec: EnvironmentSpec, name: str) -> None:
        """Take over the environment's spec from elsewhere than a client (a checkpoint).

        Raises:
            MismatchError: when a client has told another one.
        """
        with self._lock:
            self._answers.agree(spec, name)

    def wait_for_spec(self, timeout_s: float) -> EnvironmentSpec | None:
        """Give the environment's spec when it is known, or None after `timeout_s`."""
        self._answers.spec_known.wait(timeout_s)
        return self._answers.spec

    def finish(self, *, evaluators: bool) -> None:
        """Let collectors finish, as training is over.

        Args:
            evaluators: whether evaluators should finish too, as nothing more will be evaluated.
        """
        self._answers.finish(evaluators=evaluators)

    @property
    def unevaluated(self) -> int:
        """Snapshots that have no result yet."""
        with self._lock:
            return self._answers.evaluations.unevaluated

    def living(self, role: str) -> int:
        """Count the living clients of a role."""
        with self._lock:
            return len(self._answers.desk.living(role))

    def collectors(self) -> list[tuple[str, CollectorStatistics]]:
        """Give name and last statistics of each living collector."""
        with self._lock:
            peers = self._answers.desk.living("collector")
            return [(peer.name, CollectorStatistics.read(peer.statistics)) for peer in peers]

    def blocks_sent(self) -> list[Sent]:
        """Give what each collector told of its blocks, those that left included."""
        with self._lock:
            return self._answers.blocks_sent()

    # --- the thread -------------------------------------------------------------------------------

    def _serve(self) -> None:
        again = False
        while not self._closing.is_set() and self.failure is None:
            if not self._turns.wait(_WATCH_S):
                again = True
                self._turns.take_over_if_late(time.monotonic())
                continue
            if not again:  # the server signals no request twice
                asked_lately = self._turns.asked_lately(time.monotonic())
                waits = asked_lately or self._answers.evaluations.waits
                self._server.wait(_SHORT_WAIT_MS if waits else _WAIT_MS)
            if self._turns.thread_serves:
                again = self._serve_round(_MOST_PASSES)

    # --- in either thread, under the lock ---------------------------------------------------------

    def _serve_round(self, passes: int, most_s: float = math.inf) -> bool:
        """Answer what has come, and what comes meanwhile; whether more may have come at the end."""
        busy = False
        try:
            with self._lock:
                for _ in range(passes):
                    busy, asked = self._answers.serve(most_s)
                    if asked:
                        self._turns.asked(time.monotonic())
                    if not busy:
                        break
                self._answers.look_after_clients()
        except Exception as error:  # noqa: BLE001 - the training thread raises it again
            self.failure = error
            self._on_stop("the model server broke")
        return busy
