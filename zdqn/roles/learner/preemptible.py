"""A learner that its machine may take away at any time, and start again somewhere else."""

from __future__ import annotations

from pathlib import Path
from signal import SIGTERM
from typing import Any

from zdqn.config import Config
from zdqn.errors import PreemptedError
from zdqn.records.run_claim import RunClaim
from zdqn.records.run_files import RunFiles
from zdqn.records.run_result import RunResult
from zdqn.roles.learner.role import Learner
from zdqn.roles.learner.training_loop import TrainingLoop


class PreemptibleLearner(Learner):
    """A learner that begins its run or goes on with it, and leaves it at SIGTERM.

    Schedulers say by SIGTERM that they want the machine, and not that somebody wants the run to
    end. So it saves a checkpoint then and goes away without a word; the others wait for the next
    start. What ends any other learner ends this one too: limits, ``zdqn stop``, Ctrl-C.

    Args:
        config: of the run.
        run_directory: of the run. A checkpoint there is gone on from. What a start has left there
            that saved none is removed, and the run keeps its identity, so that its memory still
            takes it.
        rest: as a `Learner` takes it.

    Raises:
        ZdqnError: as a `Learner` does.
    """

    def __init__(self, config: Config, *, run_directory: Path, **rest: Any) -> None:
        resume: Path | None = run_directory
        if not any(RunFiles(run_directory).checkpoints.glob("update-*.pt")):
            with RunClaim(run_directory, overwrite=True) as claim:
                claim.clear()
            resume = None
        super().__init__(config, run_directory=run_directory, resume=resume, **rest)

    def _finish(self, loop: TrainingLoop, limit: str) -> RunResult:
        if limit or not self._is_preempted:
            return super()._finish(loop, limit)
        loop.report()
        loop.save_checkpoint()
        raise PreemptedError(
            f"SIGTERM: the learner has saved a checkpoint at {loop.counters.updates:,} updates and "
            f"goes away. The run is not over: the others wait, and the same command goes on with "
            f"it. `zdqn stop` ends it."
        )

    def _finish_untrained(self) -> RunResult:
        if not self._is_preempted:
            return super()._finish_untrained()
        raise PreemptedError(
            "SIGTERM: the learner goes away before it has begun to train. The run is not over: "
            "the others wait, and the same command begins it."
        )

    @property
    def _is_preempted(self) -> bool:
        """Whether SIGTERM came before anybody had asked for the end."""
        return self._end.reason == SIGTERM.name
