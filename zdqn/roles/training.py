"""The learner's training thread: from the first batch to the summary."""

from __future__ import annotations

import copy
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from zdqn.config import Config
from zdqn.core.progress import ProgressTotal
from zdqn.core.run_directory import RunDirectory
from zdqn.core.snapshots import Cadence, FrozenSnapshot
from zdqn.core.verdict import Times, name_bottleneck, read_times
from zdqn.data import Batch, EnvironmentSpec, WeightVersion
from zdqn.errors import RoleFailedError, ZdqnError
from zdqn.rl.importance import importance_weights
from zdqn.roles.building import (
    NetworkFactory,
    build_importance_schedule,
    build_trainer,
    read_spec,
    use_threads,
)
from zdqn.roles.model_server import ModelServer, Published, Report
from zdqn.roles.recording import Recorder, reached_limit
from zdqn.roles.reporting import Reporter
from zdqn.roles.sampling import SampleStream
from zdqn.wire import codec
from zdqn.wire.addresses import Address
from zdqn.wire.protocol import Hello, Spec, Status, StatusRequest, Stop, Weights
from zdqn.wire.session import Membership, Statistics, ask
from zdqn.wire.sockets import Client, Context, WeightPublisher

if TYPE_CHECKING:
    from zdqn.core.trainer import Trainer
    from zdqn.rl.optimizer import Update

logger = logging.getLogger("zdqn.learner")

_SAY_EVERY_S = 10.0
_FAREWELL_S = 5.0
_LAST_WORD_S = 2.0
_POLL_S = 0.02
_VERDICT_ROWS = 10
"""Rows of metrics over which the verdict in status looks back."""


@dataclass(frozen=True)
class LearnerResult:
    """How training ended.

    Attributes:
        stop_reason: which end condition, or who asked.
        summary: what ``summary.json`` holds.
        run_directory: where everything is.
    """

    stop_reason: str
    summary: dict[str, Any]
    run_directory: Path


class Training:
    """One start of a learner, in the thread that calls `run`.

    Args:
        config: of the run.
        server: the model server, already answering.
        publisher: of weights.
        context: where the sockets to the memory live.
        memory: REQ/REP address of the memory.
        directory: of the run.
        session: random number of this start.
        learner_epoch: count of this run's starts.
        run_id: of the run.
        network: makes the Q-network in place of ``network.kind``.
        resume: run directory to go on from.
        stop: ends training.
    """

    def __init__(
        self,
        config: Config,
        *,
        server: ModelServer,
        publisher: WeightPublisher,
        context: Context,
        memory: Address,
        directory: RunDirectory,
        session: int,
        learner_epoch: int,
        run_id: str,
        network: NetworkFactory | None,
        resume: Path | None,
        stop: threading.Event,
    ) -> None:
        self._config = config
        self._server = server
        self._publisher = publisher
        self._context = context
        self._memory = memory
        self._directory = directory
        self._session = session
        self._epoch = learner_epoch
        self._run_id = run_id
        self._network = network
        self._resume = resume
        self._stop = stop
        self._membership: Membership | None = None
        self._version = -1
        self._phase = "starting"
        self._said_s = 0.0
        self._published_s = 0.0
        self._published_updates = 0
        self._snapshots = 0
        self._update: Update | None = None
        self._row: dict[str, Any] = {}
        self._began = Times()
        self._recent: deque[Times] = deque([Times()], maxlen=_VERDICT_ROWS)
        self._verdict = ""
        self._total = ProgressTotal()
        self._reporter = Reporter(config.learner.report_period_s)
        self._recorder = Recorder(config, directory, self._reporter)
        evaluator = config.evaluator
        self._cadence = Cadence(
            environment_steps=evaluator.period_environment_steps,
            updates=evaluator.period_updates,
            episodes=evaluator.period_episodes,
        )
        self._prioritized = config.replay.kind == "prioritized"
        self._importance = build_importance_schedule(config)

    # --- from start to end ------------------------------------------------------------------------

    def run(self, stop_reason: Callable[[], str]) -> LearnerResult:
        """Train.

        Args:
            stop_reason: says who set `stop`.

        Returns:
            How it ended.

        Raises:
            MismatchError: when the memory refuses.
            RoleFailedError: when the loss is no number any more, or the model server broke.
        """
        with ExitStack() as stack:
            self._set_phase("loading torch")
            use_threads(self._config.learner.threads)
            checkpoint = self._load_checkpoint()
            membership = self._membership = self._join_memory()
            stack.callback(membership.leave)
            spec = self._wait_for_spec()
            reason = ""
            if spec is not None:
                self._prepare(spec, checkpoint, membership)
                stack.callback(self._stream.close)
                reason = self._train()
            membership.raise_failure()
            if self._server.failure is not None:
                raise RoleFailedError(
                    f"The model server broke: {self._server.failure!r}. This is a fault of zdqn; "
                    f"please report it."
                ) from self._server.failure
            return self._finish(reason or stop_reason(), limit_reached=bool(reason))

    def _load_checkpoint(self) -> dict[str, Any] | None:
        if self._resume is None:
            return None
        from zdqn.core.checkpoints import CheckpointDirectory

        path = RunDirectory(self._resume).checkpoints
        loaded = CheckpointDirectory(path, self._config.learner.checkpoints_kept).newest()
        for warning in loaded.warnings:
            logger.warning("%s", warning)
        state = loaded.state
        counters = state["counters"]
        self._total.load_state_dict(counters["progress"])
        self._reporter.load_state_dict(
            counters["reporter"], counters["environment_steps"], counters["updates"]
        )
        self._snapshots = counters["snapshots"]
        self._server.agree(read_spec(state), "the checkpoint")
        logger.info("resuming from %s at %d updates", loaded.path, counters["updates"])
        return state

    def _join_memory(self) -> Membership:
        self._set_phase("waiting for the memory")
        links = self._config.links
        membership = Membership(
            self._context,
            self._memory,
            server="memory",
            hello=self._hello,
            statistics=self._ping_statistics,
            stop=self._stop,
            ping_period_s=links.ping_period_s,
            connect_timeout_s=links.connect_timeout_s,
        )
        membership.join()
        return membership

    def _hello(self) -> Hello:
        spec = self._server.spec
        return Hello(
            role="learner",
            name="learner",
            session=self._session,
            spec=Spec.of(spec) if spec is not None else None,
            run_id=self._run_id,
            learner_epoch=self._epoch,
        )

    def _ping_statistics(self) -> Statistics:
        return {"phase": self._phase, "updates": self._row.get("updates", 0)}

    def _wait_for_spec(self) -> EnvironmentSpec | None:
        self._set_phase("waiting for a collector")
        while not self._server.spec_known.wait(_POLL_S):
            if self._stop.is_set():
                return None
            self._say("waiting for a collector, to learn what the environment looks like")
        return self._server.spec

    def _prepare(
        self, spec: EnvironmentSpec, checkpoint: dict[str, Any] | None, membership: Membership
    ) -> None:
        from zdqn.rl.torch_policy import GreedyPolicy

        self._set_phase("building the network")
        logger.info("environment: %s", spec.describe())
        self._spec = spec
        self._trainer: Trainer = build_trainer(self._config, self._network, spec)
        if checkpoint is not None:
            self._trainer.load_state_dict(checkpoint["trainer"])
            self._version = checkpoint["counters"]["version"]
        self._server.act_with(
            GreedyPolicy(copy.deepcopy(self._trainer.online)),
            between_updates=self._trainer.device.type == "cpu",
        )
        membership.introduce()
        learner = self._config.learner
        self._stream = SampleStream(
            self._context,
            self._memory,
            session=self._session,
            spec=spec,
            batch_size=self._config.algorithm.batch_size,
            batches_per_request=learner.batches_per_request,
            requests_in_flight=learner.requests_in_flight,
            before_waiting=self._server.serve_alone,
        )
        self._publish()

    def _train(self) -> str:
        """Update until an end condition is met; "" if `stop` was set first."""
        self._set_phase("training")
        self._began = self._times()
        limits = self._config.stop
        while not self._stop.is_set():
            self._look_around()
            reason = reached_limit(
                limits,
                self._reporter,
                environment_steps=self._total.environment_steps,
                updates=self._trainer.updates,
                episodes=self._total.episodes,
            )
            if reason:
                return reason
            left = limits.updates - self._trainer.updates if limits.updates else None
            batch = self._stream.receive(left)
            if self._stream.progress is not None and self._total.observe(self._stream.progress):
                logger.warning("the memory was restarted: what it held is lost, and fills again")
            if batch is None:
                nobody = "" if self._server.living("collector") else "; no collector is alive"
                self._say(
                    f"waiting for {self._stream.waiting_for or 'the memory to answer'}{nobody}"
                )
            else:
                self._learn(batch)
        return ""

    # --- learning ---------------------------------------------------------------------------------

    def _learn(self, sampled: Batch) -> None:
        """Make one update with each batch of a reply."""
        size = self._config.algorithm.batch_size
        trainer = self._trainer
        self._reporter.staleness.add(sampled.weight_versions, self._weight_version)
        weights = self._importance_weights(sampled)
        batches = sampled.split(size)
        for batch, prepared in zip(batches, trainer.prepare(sampled, size, weights), strict=True):
            self._update = trainer.update(prepared)
            if self._prioritized:
                self._stream.write_back(batch.keys, self._update.priorities.cpu().numpy())
            self._after_update()
            self._server.serve_between_updates()
            if self._stop.is_set():
                return

    def _importance_weights(self, sampled: Batch) -> NDArray[np.float32] | None:
        if not self._prioritized:
            return None
        probabilities = sampled.probabilities.reshape(-1, self._config.algorithm.batch_size)
        exponent = self._importance(self._trainer.updates)
        return importance_weights(probabilities, exponent).reshape(-1)

    def _after_update(self) -> None:
        updates = self._trainer.updates
        learner = self._config.learner
        if (
            updates - self._published_updates >= learner.publish_period_updates
            and time.monotonic() - self._published_s >= learner.publish_interval_s
        ):
            self._publish()
        if self._config.evaluator.period_updates:
            self._snapshot_if_due()
        period = learner.checkpoint_period_updates
        if period and updates % period == 0:
            self._save_checkpoint()

    @property
    def _weight_version(self) -> WeightVersion:
        return WeightVersion(self._epoch, self._version)

    def _publish(self, *, stopping: bool = False) -> None:
        """Broadcast the current weights as a new version."""
        self._version += 1
        self._published_updates = self._trainer.updates
        arrays = self._trainer.weights()
        header = Weights(
            run_id=self._run_id,
            weight_version=self._weight_version.pack(),
            environment_steps=self._total.environment_steps,
            updates=self._trainer.updates,
            stopping=stopping,
            tensors=codec.describe_tensors(arrays),
        )
        message = codec.encode(header, tuple(arrays.values()))
        self._published = Published(header.weight_version, arrays, message)
        self._server.publish(self._published)
        self._publisher.publish(message)
        self._published_s = time.monotonic()

    # --- looking around ---------------------------------------------------------------------------

    def _look_around(self) -> None:
        """Do what is due by the clock or by what others did; cheap when nothing is."""
        for evaluation in self._server.take_evaluations():
            self._recorder.add_evaluation(evaluation, self._spec)
        self._snapshot_if_due()
        if time.monotonic() - self._published_s > self._config.learner.republish_period_s:
            self._publisher.publish(self._published.message)
            self._published_s = time.monotonic()
        if self._reporter.due():
            self._report()

    def _snapshot_if_due(self) -> None:
        total = self._total
        if self._cadence.due(total.environment_steps, self._trainer.updates, total.episodes):
            self._offer_snapshot()

    def _offer_snapshot(self) -> None:
        snapshot = FrozenSnapshot(
            number=self._snapshots,
            weight_version=self._weight_version.pack(),
            environment_steps=self._total.environment_steps,
            updates=self._trainer.updates,
            episodes=self._total.episodes,
            wall_s=self._reporter.wall_s,
            arrays=self._trainer.weights(),
        )
        self._snapshots += 1
        self._snapshot_updates = snapshot.updates
        self._server.offer(snapshot)

    def _report(self) -> None:
        """Write a row of metrics and tell the model server how things are."""
        self._row = self._reporter.row(
            environment_steps=self._total.environment_steps,
            transitions=self._total.transitions,
            updates=self._trainer.updates,
            episodes=self._total.episodes,
            update=self._update,
            collectors=self._server.statistics_of("collector"),
        )
        if self._update is not None:
            self._recorder.check_loss(self._row)
        self._recorder.add_metrics(self._row)
        self._measure()
        self._tell()

    def _measure(self) -> None:
        """Find the bottleneck of the last few seconds."""
        times = self._times()
        self._recent.append(times)
        self._verdict = name_bottleneck(times.since(self._recent[0]))

    def _times(self) -> Times:
        return read_times(
            self._reporter.wall_s,
            self._stream.waited_s,
            self._memory_statistics(),
            self._server.statistics_of("collector"),
        )

    def _tell(self) -> None:
        memory = self._memory_statistics()
        limits = {
            key: value
            for key in self._config.stop.__struct_fields__
            if (value := getattr(self._config.stop, key))
        }
        progress = {
            **self._row,
            "samples_per_insert": memory.get("samples_per_insert"),
            "blocks_lost": self._total.total("blocks_lost"),
            "unevaluated": self._server.unevaluated,
        }
        self._server.report = Report(
            environment_steps=self._total.environment_steps,
            status={
                "run": {
                    "run_id": self._run_id,
                    "directory": str(self._directory.path),
                    "phase": self._phase,
                    "wall_s": round(self._reporter.wall_s, 1),
                    "learner_epoch": self._epoch,
                },
                "progress": progress,
                "stop": limits,
                "verdict": self._verdict,
                "memory": {"address": str(self._memory), **memory},
            },
        )

    def _set_phase(self, phase: str) -> None:
        self._phase = phase
        self._tell()

    def _say(self, text: str) -> None:
        """Log what is waited for, at most every 10 s; the first time after a second."""
        now_s = time.monotonic()
        if not self._said_s:
            self._said_s = now_s - _SAY_EVERY_S + 1
        if now_s - self._said_s >= _SAY_EVERY_S:
            self._said_s = now_s
            logger.info("%s", text)

    def _save_checkpoint(self) -> None:
        counters = {
            "updates": self._trainer.updates,
            "environment_steps": self._total.environment_steps,
            "snapshots": self._snapshots,
            "version": self._version,
            "progress": self._total.state_dict(),
            "reporter": self._reporter.state_dict(),
        }
        self._recorder.save_checkpoint(self._trainer, self._spec, counters)

    # --- the end ----------------------------------------------------------------------------------

    def _finish(self, reason: str, *, limit_reached: bool) -> LearnerResult:
        """Tell everybody, wait for what is still to come, and write the summary."""
        logger.info("training is over: %s", reason)
        self._server.collectors_done = True
        trained = hasattr(self, "_trainer")
        overall = name_bottleneck(self._times().since(self._began)) if trained else ""
        if trained:
            self._report()
            self._publish(stopping=True)
            self._save_checkpoint()
            if limit_reached and reason != "evaluation_return":
                self._evaluate_the_rest()
        self._set_phase("finishing")
        self._server.evaluators_done = True
        self._wait_until(lambda: not self._clients(), _FAREWELL_S)
        if self._membership is not None:
            self._membership.leave()
        summary = self._summary(reason, self._stop_memory())
        summary["verdict"] = overall
        self._directory.write_summary(summary)
        return LearnerResult(reason, summary, self._directory.path)

    def _clients(self) -> int:
        return self._server.living("collector") + self._server.living("evaluator")

    def _evaluate_the_rest(self) -> None:
        """Wait for the evaluations that are due, and for one of the final weights."""
        if not self._server.living("evaluator"):
            return
        if not self._snapshots or self._snapshot_updates != self._trainer.updates:
            self._offer_snapshot()
        self._set_phase("waiting for evaluations")

        def done() -> bool:
            for evaluation in self._server.take_evaluations():
                self._recorder.add_evaluation(evaluation, self._spec)
            left = self._server.unevaluated
            if left:
                self._say(f"waiting for {left} evaluations")
            return left == 0 or self._stop.is_set() or not self._server.living("evaluator")

        self._wait_until(done, None)

    @staticmethod
    def _wait_until(done: Callable[[], bool], timeout_s: float | None) -> None:
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        while not done() and (deadline_s is None or time.monotonic() < deadline_s):
            time.sleep(_POLL_S)

    def _memory_statistics(self) -> dict[str, Any]:
        """Give the memory's numbers as of its last answer to a ping."""
        pong = self._membership.pong if self._membership is not None else None
        return dict(pong.statistics) if pong is not None else {}

    def _stop_memory(self) -> dict[str, Any]:
        """Ask the memory for its last numbers, and to end."""
        with Client(self._context, self._memory) as client:
            try:
                status = ask(client, StatusRequest(), server="memory", timeout_s=_LAST_WORD_S)
                if status is not None:
                    stop = Stop(reason="the run is over")
                    ask(client, stop, server="memory", timeout_s=_LAST_WORD_S)
            except ZdqnError as error:
                logger.warning("%s", error)
                status = None
        if status is not None and isinstance(status.header, Status):
            return status.header.values
        logger.warning("the memory at %s gave no last numbers", self._memory)
        return self._memory_statistics()

    def _summary(self, reason: str, memory: dict[str, Any]) -> dict[str, Any]:
        reporter, total = self._reporter, self._total
        updates = self._trainer.updates if hasattr(self, "_trainer") else 0
        summary = reporter.summary(
            environment_steps=total.environment_steps,
            transitions=total.transitions,
            updates=updates,
            episodes=total.episodes,
            stop_reason=reason,
        )
        return {
            **summary,
            "snapshots_unevaluated": self._server.unevaluated,
            "samples": memory.get("samples"),
            "samples_per_insert": memory.get("samples_per_insert"),
            "blocks": total.total("blocks"),
            "blocks_lost": max(memory.get("blocks_lost", 0), total.total("blocks_lost")),
            "blocks_duplicated": total.total("blocks_duplicated"),
            "blocks_refused": total.total("blocks_refused"),
            "memory_restarts": total.restarts,
            "waited_for_samples_s": round(self._stream.waited_s, 3)
            if hasattr(self, "_stream")
            else 0.0,
            "actions_served": self._server.actions_served,
            "learner_epoch": self._epoch,
            "run_directory": str(self._directory.path),
        }
