"""The end of a learner's run: why it came, what is still to come, and the summary."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from typing import Any

from zdqn.config import Config
from zdqn.core.agenda import Counters
from zdqn.records.recorder import Recorder
from zdqn.records.run_result import RunResult
from zdqn.records.totals import RunTotals
from zdqn.roles.building import evaluation_deadline_s
from zdqn.roles.learner.block_count import BlockCount, describe_data
from zdqn.roles.learner.last_evaluations import LastEvaluations
from zdqn.roles.learner.memory_link import MemoryLink
from zdqn.roles.learner.model_server import ModelServer
from zdqn.roles.learner.status_board import StatusBoard
from zdqn.roles.learner.training_loop import TrainingLoop
from zdqn.stopping import reason_of
from zdqn.wire.status import MemoryStatistics

logger = logging.getLogger("zdqn.learner")

_FAREWELL_S = 5.0
"""In which collectors and evaluators say goodbye; who does not is not waited for."""
_POLL_S = 0.02


class RunEnd:
    """Knows who asked for the end of a run, and ends it once training is over.

    Args:
        config: of the run.
        directory: of the run.
        recorder: keeps what the run has brought.
        model: knows collectors and evaluators, and lets them go.
        memory: which ends with the run.
        board: says what is waited for.
        blocks: says what became of those that collectors sent.
        totals: of the run.
        learner_epoch: of this start.
        evaluators_come: whether some are started with the run, so that the first is waited for.
        stop: ends training, and the waiting for evaluations after it.
    """

    def __init__(
        self,
        config: Config,
        directory: Path,
        *,
        recorder: Recorder,
        model: ModelServer,
        memory: MemoryLink,
        board: StatusBoard,
        blocks: BlockCount,
        totals: RunTotals,
        learner_epoch: int,
        evaluators_come: bool,
        stop: threading.Event,
    ) -> None:
        self._config = config
        self._directory = directory
        self._recorder = recorder
        self._model = model
        self._memory = memory
        self._board = board
        self._blocks = blocks
        self._totals = totals
        self._learner_epoch = learner_epoch
        self._evaluators_come = evaluators_come
        self._stop = stop
        self._asked = ""

    def ask(self, reason: str) -> None:
        """Take note that somebody wants the run to end, and why; the first counts."""
        if not self._asked:
            self._asked = reason
            logger.info("stopping: %s", reason)
        self._stop.set()

    @property
    def reason(self) -> str:
        """Who has ended training, or what, where it was no limit."""
        said = self._asked or self._memory.said_over or reason_of(self._stop)
        return said or self._recorder.told_to_end or "stopped"

    def finish(self, loop: TrainingLoop, limit: str) -> RunResult:
        """Tell everybody, wait for what is still to come, and write the summary.

        Args:
            loop: that has trained.
            limit: which ended it; "" if none did, and evaluations are not waited for then.
        """
        reason = limit or self.reason
        logger.info("training is over: %s", reason)
        self._model.finish(evaluators=False)
        collectors = [told for _, told in self._model.collectors()]
        verdict = self._board.overall(loop.samples.waited_s, collectors)
        loop.report()
        loop.publish(stopping=True)
        loop.save_checkpoint()
        if limit:
            last = LastEvaluations(self._config, self._model, self._board, self._stop)
            if self._evaluators_come and self._recorder.metrics.last_return is None:
                last.wait_for_the_first_evaluator(self._patience_s())
            last.wait(loop, limit, self._patience_s())
        self._let_go()
        memory = self._end_memory()
        blocks = self._blocks.look()
        loop.save_checkpoint()  # again, for whoever goes on to know of evaluations and blocks
        data = describe_data(memory, blocks, self._totals)
        return self._sum_up(loop.counters, reason, data, verdict=verdict)

    def _patience_s(self) -> float:
        """Give how long evaluations may still be waited for, from now on; may be infinite."""
        return evaluation_deadline_s(self._config) - self._recorder.metrics.wall_s

    def finish_untrained(self, counters: Counters) -> RunResult:
        """Let everybody go though training never began.

        Args:
            counters: of the run that would have been gone on with; zeros of a new one.
        """
        reason = self.reason
        logger.info("training is over: %s", reason)
        self._let_go()
        data = describe_data(self._end_memory(), self._blocks.look(), self._totals)
        return self._sum_up(counters, reason, data)

    def _let_go(self) -> None:
        """Tell everybody that nothing more will come, and wait until they have left."""
        self._board.enter("finishing")
        self._model.finish(evaluators=True)
        deadline_s = time.monotonic() + _FAREWELL_S
        clients = ("collector", "evaluator")
        while any(map(self._model.living, clients)) and time.monotonic() < deadline_s:
            time.sleep(_POLL_S)

    def _end_memory(self) -> MemoryStatistics:
        """End the memory, and give its last numbers."""
        memory = self._memory.stop()
        self._memory.close()  # after its last numbers: it may wait for nobody else
        return memory

    def _sum_up(
        self,
        counters: Counters,
        reason: str,
        data: dict[str, Any],
        *,
        verdict: str = "",
    ) -> RunResult:
        summary = self._recorder.write_summary(
            counters,
            reason,
            {
                "snapshots_unevaluated": self._model.unevaluated,
                **data,
                "learner_epoch": self._learner_epoch,
                "verdict": verdict,
            },
        )
        return RunResult(self._directory, summary)
