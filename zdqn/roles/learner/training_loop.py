"""The learner's training thread: batches in, updates, and whatever the agenda says is due."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from zdqn.core.agenda import NOTHING, Agenda, Counters
from zdqn.core.publication_pace import PublicationPace
from zdqn.data import Batch, EnvironmentSpec
from zdqn.errors import PeerUnavailableError
from zdqn.records.recorder import Recorder
from zdqn.records.snapshots import Evaluation, FrozenSnapshot
from zdqn.records.totals import RunTotals
from zdqn.rl.importance import importance_weights
from zdqn.roles.learner.block_count import BlockCount
from zdqn.roles.learner.known_memories import KnownMemories
from zdqn.roles.learner.missing_data import MissingData
from zdqn.roles.learner.publications import Publications, Published
from zdqn.roles.learner.stall_watch import IN_AN_UPDATE, Pulse
from zdqn.roles.learner.status_board import StatusBoard
from zdqn.wire.memory_messages import Progress
from zdqn.wire.status import CollectorStatistics, LearnerStatus

if TYPE_CHECKING:
    from zdqn.core.trainer import Trainer
    from zdqn.rl.training_batch import TrainingBatch
    from zdqn.rl.update_rule import Update

logger = logging.getLogger("zdqn.learner")

_MOST_S = 0.01
"""Updates between which nothing is looked after take so long at most: somebody may want to stop."""

_SLOWING = 1.2
"""So many times longer than before is an update taken to be at most."""


class Samples(Protocol):
    """Where batches come from; a `zdqn.roles.learner.sample_stream.SampleStream` is one.

    Attributes:
        progress: the memory's counters in its last answer, or None.
        waiting_for: why there is no batch; "" while there are.
        waited_s: seconds spent waiting, all in all.
    """

    progress: Progress | None
    waiting_for: str
    waited_s: float

    def receive(self, most_batches: int | None) -> Batch | None:
        """Give the next transitions, several batches in one; None if none came yet."""

    def write_back(self, keys: NDArray[np.int64], priorities: NDArray[np.float32]) -> None:
        """Send priorities of transitions that were learned from."""


class Model(Protocol):
    """Whom the loop trains for; a `zdqn.roles.learner.model_server.ModelServer` is one."""

    pulse: Pulse

    def status(self) -> LearnerStatus:
        """Give what it answers to a status request."""

    def publish(self, published: Published) -> None:
        """Take over the newest weights."""

    def offer(self, snapshot: FrozenSnapshot, *, first: bool = False) -> int:
        """Have a snapshot evaluated, before all others if `first`; gives how many were dropped."""

    def take_evaluations(self) -> list[Evaluation]:
        """Give the evaluations that came in since the last call."""

    def serve_between_updates(self) -> float:
        """Answer clients, if it is this thread's turn; gives how long they may wait, in seconds."""

    def living(self, role: str) -> int:
        """Count the living clients of a role."""

    def collectors(self) -> list[tuple[str, CollectorStatistics]]:
        """Give name and last statistics of each living collector."""


class Compiled(Protocol):
    """Has updates compiled; `zdqn.roles.compiling.compiled_updates.CompiledUpdates` is one."""

    def advance(self, now_s: float, updates: int) -> None:
        """Go on, between updates."""


class TrainingLoop:
    """Trains until an end condition is met.

    Args:
        trainer: networks and optimizer.
        spec: of the environment.
        batch_size: transitions of one update.
        importance_exponent: updates so far to beta; None for uniform replay: no priorities.
        samples: where batches come from.
        model: whom it trains for.
        publications: broadcasts weights.
        recorder: keeps what the run brings.
        totals: adds up what the run's memories count.
        memories: told what the memory counts; says which is a new one.
        blocks: says what became of those that collectors sent.
        agenda: says what is due.
        pace: told what publications cost.
        board: says how it goes.
        missing: says what is waited for, and when to wait no longer.
        stop: ends it from outside.
        evaluators_planned: whether snapshots are taken though no evaluator is alive yet.
        compiled: told now and then how far training is; None for a trainer that stays as it is.

    Attributes:
        samples: as given.
        snapshots_dropped: snapshots for which newer ones came before an evaluator.
    """

    def __init__(
        self,
        trainer: Trainer,
        *,
        spec: EnvironmentSpec,
        batch_size: int,
        importance_exponent: Callable[[int], float] | None,
        samples: Samples,
        model: Model,
        publications: Publications,
        recorder: Recorder,
        totals: RunTotals,
        memories: KnownMemories,
        blocks: BlockCount,
        agenda: Agenda,
        pace: PublicationPace,
        board: StatusBoard,
        missing: MissingData,
        stop: threading.Event,
        evaluators_planned: bool = True,
        compiled: Compiled | None = None,
    ) -> None:
        self._trainer = trainer
        self._spec = spec
        self._batch_size = batch_size
        self._importance_exponent = importance_exponent
        self.samples = samples
        self._model = model
        self._publications = publications
        publications.describe(trainer.layers)
        self._recorder = recorder
        self._totals = totals
        self._memories = memories
        self._blocks = blocks
        self._agenda = agenda
        self._pace = pace
        self._subscribers = 0
        self._board = board
        self._missing = missing
        self._stop = stop
        self._compiled = compiled
        self._seen: Sequence[Update] = ()
        self._update_s = 0.0
        self._patience_s = 0.0
        self._counted = totals.counted()
        self._evaluators_planned = evaluators_planned
        self._said_unevaluated = False
        self.snapshots_dropped = 0

    @property
    def counters(self) -> Counters:
        """How far training is."""
        environment_steps, episodes, transitions = self._counted
        return Counters(
            environment_steps,
            self._trainer.updates,
            episodes,
            transitions,
            self._recorder.metrics.last_return,
        )

    def run(self) -> str:
        """Update until an end condition is met.

        Returns:
            Its name; "" if `stop` was set first, or a sink has said that it should end.

        Raises:
            MismatchError: when the memory refuses.
            FencedError: when a newer learner has taken over.
            PeerUnavailableError: when no transition has come for too long.
            RoleFailedError: when a loss or priority is no number any more.
        """
        self._board.begin(self._ask_collectors())
        while not (self._stop.is_set() or self._recorder.told_to_end):
            self.take_evaluations()
            self._do_what_is_due()
            limit = self._agenda.end(self._recorder.metrics.wall_s, self.counters)
            if limit:
                return limit
            self._model.pulse.beat("asking for a batch")
            batch = self.samples.receive(self._agenda.updates_left(self._trainer.updates))
            self._count()
            if self._compiled is not None:
                self._compiled.advance(self._recorder.metrics.wall_s, self._trainer.updates)
            if batch is None:
                self._say_what_is_missing()
            else:
                self._learn(batch)
        return ""

    def _count(self) -> None:
        if self.samples.progress is not None:
            self._memories.observe(self.samples.progress)
            self._counted = self._totals.counted()

    def _say_what_is_missing(self) -> None:
        what = self.samples.waiting_for or "the memory to answer"
        try:
            self._missing.wait_for(what, self.counters.transitions)
        except PeerUnavailableError:
            self.save_checkpoint()
            raise

    def _learn(self, sampled: Batch) -> None:
        """Make one update with each batch of a reply."""
        size = self._batch_size
        self._recorder.metrics.staleness.add(
            sampled.weight_versions, self._publications.weight_version
        )
        divergence = self._recorder.divergence
        divergence.saw(sampled.rewards)
        weights = self._importance_weights(sampled)
        prepared = self._trainer.prepare(sampled, size, weights)
        # Batches are cut apart only for who takes them one by one: it costs as much as a call.
        batches: Sequence[TrainingBatch] = (
            prepared if self._trainer.loops_over(prepared) else list(prepared)
        )
        done = 0
        while done < len(batches):
            if done and (self._stop.is_set() or self._recorder.told_to_end):
                break
            part = batches[done : done + self._updates_at_once()]
            self._update_with(part, sampled.keys[done * size :], write_back=weights is not None)
            done += len(part)
            self._recorder.note_updates(self._trainer.updates)
            self._do_what_is_due()
            self._patience_s = self._model.serve_between_updates()

    def _update_with(
        self, batches: Sequence[TrainingBatch], keys: NDArray[np.int64], *, write_back: bool
    ) -> None:
        """Make an update with each batch, and send the priorities of all of them back."""
        started_s = time.monotonic()
        self._model.pulse.beat(IN_AN_UPDATE)
        seen = self._seen = self._trainer.update_all(batches)
        self._recorder.metrics.updates.add(seen)
        if write_back:
            # PyTorch is loaded only where there is a trainer.
            from zdqn.rl.update_rule import priorities_of

            priorities = priorities_of(seen).cpu().numpy()
            self._recorder.divergence.check_priorities(priorities, self._trainer.updates)
            self.samples.write_back(keys[: priorities.size], priorities.reshape(-1))
        update_s = (time.monotonic() - started_s) / len(seen)
        # What took long may have been another process's turn: it says little of the next ones.
        self._update_s = min(update_s, _SLOWING * self._update_s) if self._update_s else update_s

    def _updates_at_once(self) -> int:
        """Say how many updates may be made before anything else is to be done."""
        most_s = min(_MOST_S, self._patience_s)
        count = int(most_s / self._update_s) if self._update_s > 0 else 1
        now_s = self._recorder.metrics.wall_s
        due = self._agenda.updates_until_due(now_s, self.counters, self._update_s)
        return max(1, count if due is None else min(count, due))

    def _importance_weights(self, sampled: Batch) -> NDArray[np.float32] | None:
        if self._importance_exponent is None:
            return None
        probabilities = sampled.probabilities.reshape(-1, self._batch_size)
        exponent = self._importance_exponent(self._trainer.updates)
        return importance_weights(probabilities, exponent).reshape(-1)

    # --- what is due ------------------------------------------------------------------------------

    def _do_what_is_due(self) -> None:
        due = self._agenda.due(self._recorder.metrics.wall_s, self.counters)
        if due is NOTHING:
            return
        if due.publish:
            self.publish()
        if due.republish:
            self._publications.republish()
        if self._seen and (due.snapshot or due.checkpoint):
            self._recorder.divergence.check_loss(self._seen[-1].loss, self._trainer.updates)
        if due.snapshot:
            self._offer_snapshot()
        if due.checkpoint:
            self.save_checkpoint()
        if due.report:
            self.report()

    def publish(self, *, stopping: bool = False) -> None:
        """Broadcast the current weights as a new version."""
        started_s = time.perf_counter()
        weights = self._trainer.weights(copy=False)  # encoding copies them
        published = self._publications.publish(weights, self.counters, stopping=stopping)
        self._model.publish(published)
        seconds = time.perf_counter() - started_s
        self._pace.published(seconds, len(published.message), self._subscribers)

    def _offer_snapshot(self) -> None:
        if not (self._evaluators_planned or self._model.living("evaluator")):
            self._say_unevaluated(
                "launch.evaluators is 0 and no evaluator has joined: as long as that is so, no "
                "snapshot is taken and no best.pt written. Start one with zdqn evaluator, or set "
                "launch.evaluators"
            )
            return
        version = self._publications.weight_version
        snapshot = self._recorder.freeze(self._trainer.weights(), self.counters, version)
        dropped, self.snapshots_dropped = self.snapshots_dropped, self._model.offer(snapshot)
        if self.snapshots_dropped > dropped:
            self._say_unevaluated(
                f"evaluators ({self._model.living('evaluator')} alive) are slower than "
                f"evaluator.period_...: as snapshot {snapshot.number} came, the oldest that waited "
                f"was dropped and never scored, and so it goes on. The newest "
                f"evaluator.waiting_snapshots are kept; the summary counts the others. Start more "
                f"evaluators, or set a longer period or fewer evaluator.episodes"
            )

    def _say_unevaluated(self, why: str) -> None:
        """Say once why snapshots are not scored."""
        if not self._said_unevaluated:
            self._said_unevaluated = True
            logger.warning("%s", why)

    def offer_last_snapshot(self, limit: str) -> None:
        """Have the final weights evaluated, unless they were."""
        if self._agenda.takes_last_snapshot(limit, self._trainer.updates):
            self._agenda.note_snapshot(self.counters)
            self._offer_snapshot()

    def offer_best(self) -> bool:
        """Have the best network scored again, before all else; False if there is none."""
        best = self._recorder.freeze_best()
        if best is not None:
            self._model.offer(best, first=True)
        return best is not None

    @property
    def best_is_scored_again(self) -> bool:
        """Whether that score has come."""
        return self._recorder.rescoring.mean is not None

    def take_evaluations(self) -> None:
        """Write down what evaluators have found."""
        for evaluation in self._model.take_evaluations():
            self._recorder.add_evaluation(evaluation, self._spec)

    def save_checkpoint(self) -> None:
        """Save all that a later start needs to go on."""
        self._model.pulse.beat("saving a checkpoint")
        self._totals.count(
            snapshots_dropped=self.snapshots_dropped,
            waited_for_samples_s=self.samples.waited_s,
            actions_served=self._model.status().actions_served,
        )
        self._recorder.save_checkpoint(
            self._spec,
            self.counters,
            trainer=self._trainer.state_dict(),
            totals=self._totals.state_dict(),
            version=self._publications.version,
        )

    def _ask_collectors(self) -> list[CollectorStatistics]:
        collectors = [told for _, told in self._model.collectors()]
        self._subscribers = len(collectors)
        return collectors

    def report(self) -> None:
        """Write a row of metrics, and say how it goes."""
        collectors = self._ask_collectors()
        newest = self._seen[-1] if self._seen else None
        row = self._recorder.report(self.counters, update=newest, collectors=collectors)
        self._board.report(
            row,
            blocks=self._blocks.look(),
            waited_s=self.samples.waited_s,
            collectors=collectors,
        )
