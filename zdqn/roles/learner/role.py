"""The learner role: its sockets, and the phases of its life up to the end of training."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from zdqn.closing import Closing
from zdqn.config import Config
from zdqn.core.agenda import Agenda, Counters
from zdqn.data import EnvironmentSpec
from zdqn.errors import RoleFailedError
from zdqn.records.given_functions import record_functions
from zdqn.records.recorder import Recorder
from zdqn.records.resuming import load_resumption
from zdqn.records.run_claim import RunClaim
from zdqn.records.run_directory import RunDirectory
from zdqn.records.run_result import RunResult
from zdqn.records.sinks import Sink
from zdqn.records.totals import RunTotals
from zdqn.roles.building import (
    EnvironmentFactory,
    NetworkFactory,
    build_copied_policy,
    build_dense_policy,
    build_importance_schedule,
    build_limits,
    build_periods,
    build_trainer,
    use_threads,
)
from zdqn.roles.compiling.compiled_updates import CompiledUpdates
from zdqn.roles.learner.block_count import BlockCount
from zdqn.roles.learner.known_memories import KnownMemories
from zdqn.roles.learner.memory_link import MemoryLink
from zdqn.roles.learner.missing_data import MissingData
from zdqn.roles.learner.model_answers import check_travels
from zdqn.roles.learner.model_server import ModelServer
from zdqn.roles.learner.publications import Publications, make_pace
from zdqn.roles.learner.run_end import RunEnd
from zdqn.roles.learner.sample_stream import SampleStream
from zdqn.roles.learner.status_board import StatusBoard
from zdqn.roles.learner.training_loop import TrainingLoop
from zdqn.roles.metrics_endpoint import open_endpoint
from zdqn.roles.server_place import choose_place
from zdqn.wire.addresses import check_resolves, parse_address
from zdqn.wire.membership import new_session
from zdqn.wire.node import Node
from zdqn.wire.sockets import Context
from zdqn.wire.status import RunStatus

if TYPE_CHECKING:
    from zdqn.core.trainer import Trainer

logger = logging.getLogger("zdqn.learner")

_POLL_S = 0.02


class Learner(Closing):
    """The learner role. Its sockets are bound when it is made; `run` trains.

    Args:
        config: of the run.
        memory: REQ/REP address of the memory.
        run_directory: where its files go; made if it is missing, and this process's alone.
        bind: REQ/REP address instead of ``learner.bind``.
        insecure: allow an address that other machines can reach, without keys.
        keys: folder of keys instead of ``security.keys``.
        environment: that collectors and evaluators are given; here it is recorded.
        network: makes the Q-network in place of ``network.kind``.
        resume: run directory to go on from; its newest checkpoint is loaded.
        overwrite: remove the run that is in `run_directory`, once training begins.
        evaluators_come: ``launch.evaluators`` are started with it: if training is over before one
            has joined, it is waited for.
        sinks: told of metrics, evaluations and the summary, as they come.
        on_bound: told the real endpoints, ``model``, ``weights``, and ``metrics`` if there is one.
        context: where sockets live; by default one of its own.
        stop: set it to end `run`.

    Raises:
        ConfigError: for an address that cannot be used.
        NotAllowedError: when a key is missing, or others can read it.
        AddressInUseError: when another process holds it.
        RunDirectoryTakenError: when another process or another run has the run directory.
        MismatchError: when the run to go on from is of another network or environment.
        FileError: when the run directory cannot be written, or holds no checkpoint to resume.
    """

    def __init__(
        self,
        config: Config,
        *,
        memory: str,
        run_directory: Path,
        bind: str | None = None,
        insecure: bool = False,
        keys: str | Path | None = None,
        environment: EnvironmentFactory | None = None,
        network: NetworkFactory | None = None,
        resume: Path | None = None,
        overwrite: bool = False,
        evaluators_come: bool = False,
        sinks: Sequence[Sink] = (),
        on_bound: Callable[[dict[str, str]], None] | None = None,
        context: Context | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        place = choose_place("learner", config, bind=bind, insecure=insecure, keys=keys)
        check_travels(config)
        memory_address = parse_address(memory, parameter="--memory")
        check_resolves(memory_address, parameter="--memory")
        if config.environment.function is None and config.network.function is None:
            config = record_functions(config, environment=environment, network=network)
        self._config = config
        self._network = network
        self._stop = stop or threading.Event()
        self._session = new_session()
        with ExitStack() as stack:
            claim = RunClaim(run_directory, resume=resume, overwrite=overwrite)
            self._claim = stack.enter_context(claim)
            self._resumption = load_resumption(
                resume, config, build_limits(config), into=run_directory
            )
            self._directory = RunDirectory(run_directory)
            self._recorder = stack.enter_context(Recorder(config, self._directory, sinks))
            self._node = node = stack.enter_context(Node(context, keys=place.keys))
            self.read_keys_again = node.read_keys_again  # as a memory has it
            server, publisher = node.server_and(node.publisher, place.address, "learner")
            stack.enter_context(publisher)
            stack.enter_context(server)
            self.endpoints = {
                "model": str(server.address.advertised()),
                "weights": str(publisher.address.advertised()),
            }
            self._run_id = self._directory.run_id(anew=overwrite)
            self._epoch = self._directory.next_learner_epoch()
            self._server = stack.enter_context(
                ModelServer(
                    server,
                    config=config,
                    run_id=self._run_id,
                    session=self._session,
                    memory=str(memory_address),
                    weights_endpoint=self.endpoints["weights"],
                    on_stop=lambda reason: self._end.ask(reason),
                )
            )
            told = open_endpoint(config, self._server.status, run=self._run_id, insecure=insecure)
            self.endpoints |= stack.enter_context(told)
            if on_bound is not None:
                on_bound(self.endpoints)
            self._open = stack.pop_all()
        self._publications = Publications(publisher, run_id=self._run_id, learner_epoch=self._epoch)
        self._totals = RunTotals()
        self._memory = MemoryLink(
            self._node,
            memory_address,
            config=config,
            session=self._session,
            run_id=self._run_id,
            learner_epoch=self._epoch,
            spec=lambda: self._server.wait_for_spec(0),
            statistics=lambda: self._board.ping_statistics(),
            stop=self._stop,
        )
        self._memories = KnownMemories(self._totals, self._memory, resumed=resume is not None)
        self._blocks = BlockCount(self._totals, self._server, self._memory)
        self._board = StatusBoard(
            config,
            run=RunStatus(
                run_id=self._run_id,
                directory=str(run_directory),
                learner_epoch=self._epoch,
                security=place.security,
            ),
            metrics=self._recorder.metrics,
            memory=self._memory,
            audience=self._server,
        )
        self._missing = MissingData(
            config.learner.give_up_after_s,
            collectors=self._server.collectors,
            say=self._board.waits_for,
        )
        self._end = RunEnd(
            config,
            self._directory.path,
            recorder=self._recorder,
            model=self._server,
            memory=self._memory,
            board=self._board,
            blocks=self._blocks,
            totals=self._totals,
            learner_epoch=self._epoch,
            evaluators_come=evaluators_come and config.launch.evaluators > 0,
            stop=self._stop,
        )

    # --- life -------------------------------------------------------------------------------------

    def run(self) -> RunResult:
        """Train until an end condition is met or somebody asks to stop.

        Returns:
            How it ended.

        Raises:
            MismatchError: when the memory refuses.
            FencedError: when a newer learner has taken over.
            RoleFailedError: when a loss or priority is no number any more, or the model server
                broke.
        """
        logger.info("serving the model at %s", self.endpoints["model"])
        logger.info("run directory %s", self._directory.path)
        self._server.start()
        with ExitStack() as stack:
            self._board.enter("loading torch")
            use_threads(self._config.learner.threads)
            self._count_on()
            self._board.enter("waiting for the memory")
            stack.enter_context(self._memory)
            self._memory.join()
            self._memories.begin()
            spec = self._wait_for_spec()
            if spec is None:
                self._check_failures()
                return self._finish_untrained()
            self._board.enter("building the network")
            logger.info("environment: %s", spec.describe())
            trainer = self._make_trainer(spec)
            self._memory.introduce()
            samples = stack.enter_context(self._make_samples(spec))
            compiled = stack.enter_context(
                CompiledUpdates(self._config, self._network, spec, trainer)
            )
            compiled.begin()
            loop = self._make_loop(trainer, spec, samples, compiled)
            self._recorder.begin(self._claim)
            self._board.enter("training")
            limit = loop.run()
            self._check_failures()
            return self._finish(loop, limit)

    def _count_on(self) -> None:
        """Take over the counters of the run that is gone on with."""
        if self._resumption is None:
            return
        checkpoint, training = self._resumption.checkpoint, self._resumption.training
        self._totals.load_state_dict(training.totals)
        self._recorder.count_on(checkpoint, training, self._resumption.best)
        self._publications.count_on(training.version)
        self._board.count_on(checkpoint.counters)
        self._server.agree(checkpoint.spec, "the checkpoint")
        updates = checkpoint.counters.updates
        logger.info("resuming from %s at %d updates", self._resumption.path, updates)

    def _wait_for_spec(self) -> EnvironmentSpec | None:
        self._board.enter("waiting for a collector")
        while not self._stop.is_set():
            spec = self._server.wait_for_spec(_POLL_S)
            if spec is not None:
                return spec
            self._missing.wait_for("a collector, to learn what the environment looks like", 0)
        return None

    def _make_trainer(self, spec: EnvironmentSpec) -> Trainer:
        trainer = build_trainer(self._config, self._network, spec)
        if self._resumption is not None:
            trainer.load_state_dict(self._resumption.training.trainer)
            self._resumption = None  # its tensors are in use, or of no use any more
        at_once = self._config.launch.collectors * self._config.collector.environments
        policy = build_dense_policy(self._config, self._network, spec, at_once)
        self._server.act_with(
            policy or build_copied_policy(trainer.online),
            between_updates=policy is not None or trainer.device.type == "cpu",
        )
        return trainer

    def _make_samples(self, spec: EnvironmentSpec) -> SampleStream:
        learner = self._config.learner
        return SampleStream(
            self._node.pipelined_client(self._memory.address, "memory"),
            session=self._session,
            spec=spec,
            batch_size=self._config.algorithm.batch_size,
            batches_per_request=learner.batches_per_request,
            requests_in_flight=learner.requests_in_flight,
            shared_memory=self._config.links.shared_memory,
            before_waiting=self._server.serve_alone,
        )

    def _make_loop(
        self,
        trainer: Trainer,
        spec: EnvironmentSpec,
        samples: SampleStream,
        compiled: CompiledUpdates,
    ) -> TrainingLoop:
        config = self._config
        prioritized = config.replay.kind == "prioritized"
        pace = make_pace(config.learner.publish_interval_s, self.endpoints["weights"])
        return TrainingLoop(
            trainer,
            spec=spec,
            batch_size=config.algorithm.batch_size,
            importance_exponent=build_importance_schedule(config) if prioritized else None,
            samples=samples,
            model=self._server,
            publications=self._publications,
            recorder=self._recorder,
            totals=self._totals,
            memories=self._memories,
            blocks=self._blocks,
            agenda=Agenda(build_periods(config), build_limits(config), pace),
            pace=pace,
            board=self._board,
            missing=self._missing,
            stop=self._stop,
            evaluators_planned=config.launch.evaluators > 0,
            compiled=compiled,
        )

    def _check_failures(self) -> None:
        self._memory.raise_failure()
        if self._server.failure is not None:
            raise RoleFailedError(
                f"The model server broke: {self._server.failure!r}. This is a fault of zdqn; "
                f"please report it."
            ) from self._server.failure

    def _finish(self, loop: TrainingLoop, limit: str) -> RunResult:
        return self._end.finish(loop, limit)

    def _finish_untrained(self) -> RunResult:
        resumption = self._resumption
        counters = resumption.checkpoint.counters if resumption is not None else Counters()
        self._recorder.end_untrained(self._claim)
        return self._end.finish_untrained(counters)

    def close(self) -> None:
        """Close the sockets and end the model server."""
        self._open.close()
