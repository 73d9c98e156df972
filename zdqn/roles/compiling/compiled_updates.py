"""Whether and when a trainer's updates are compiled."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from zdqn.closing import Closing
from zdqn.config import Config
from zdqn.data import EnvironmentSpec
from zdqn.errors import ConfigError, FileError
from zdqn.roles.building import NetworkFactory
from zdqn.roles.compiling.loop_cache import LoopCache, loop_key
from zdqn.roles.compiling.loop_compiler import LoopCompiler, find_cpp_compiler

if TYPE_CHECKING:
    from zdqn.core.trainer import Trainer

logger = logging.getLogger("zdqn.learner")

PATIENCE_S = 10.0
"""Seconds of training before ``"auto"`` has anything compiled: many runs are over by then."""
LEFT_S = 60.0
"""Seconds of training that must be left then: compiling takes half of that, at low priority."""

_NO_COMPILER = "there is no C++ compiler here (no $CXX, no g++)"


class CompiledUpdates(Closing):
    """Has a trainer's updates compiled in a process of its own, while they are made as ever.

    Compiled updates that an earlier run has left in the user's cache are used from the first one
    on, however short the run.

    Args:
        config: its ``learner.compile`` decides, and ``stop`` what a long run is.
        network: makes the network in place of ``network.kind``.
        spec: of the environment.
        trainer: whose updates they are.
        cache: where they are kept; None for the user's.
        start: starts the compiler.
    """

    def __init__(
        self,
        config: Config,
        network: NetworkFactory | None,
        spec: EnvironmentSpec,
        trainer: Trainer,
        *,
        cache: LoopCache | None = None,
        start: Callable[..., LoopCompiler] = LoopCompiler,
    ) -> None:
        self._config = config
        self._network = network
        self._spec = spec
        self._trainer = trainer
        self._cache = cache
        self._start = start
        self._demanded = config.learner.compile is True
        self._undecided = config.learner.compile == "auto"
        self._compiler: LoopCompiler | None = None
        self._began: tuple[float, int] | None = None

    def begin(self) -> None:
        """Use what was compiled before; else, if ``learner.compile = true``, begin to compile.

        Raises:
            ConfigError: if that is true and there is no compiler.
        """
        if not (self._demanded or self._undecided):
            return
        if self._trainer.device.type != "cpu":
            self._begin_elsewhere()
            return
        if self._use_kept():
            return
        if find_cpp_compiler() is None:
            if self._demanded:
                raise ConfigError(
                    f"learner.compile = true does not work on this machine: {_NO_COMPILER}. "
                    f'Install one, or set learner.compile = "auto" or false.'
                )
            self._stay_eager(_NO_COMPILER)
        elif self._demanded:
            self._compile()

    def _begin_elsewhere(self) -> None:
        if self._demanded:
            self._trainer.compile_each()
        else:
            self._stay_eager("that is for CPUs; learner.compile = true compiles for a GPU too")

    def advance(self, now_s: float, updates: int) -> None:
        """Go on; to be called now and then, between updates.

        Args:
            now_s: seconds of training so far.
            updates: made so far.
        """
        if self._compiler is not None:
            self._take_outcome()
        elif self._undecided:
            began_s, began_updates = self._began = self._began or (now_s, updates)
            if now_s - began_s >= PATIENCE_S:
                rate = (updates - began_updates) / (now_s - began_s)
                self._decide(now_s, updates, rate)

    def wait(self, stop: Callable[[], bool]) -> None:
        """Wait until nothing is compiled any more, or somebody says stop."""
        while self._compiler is not None and not stop():
            self._compiler.wait()
            self._take_outcome()

    def _decide(self, now_s: float, updates: int, updates_per_s: float) -> None:
        left_s = self._left_s(now_s, updates, updates_per_s)
        if left_s < LEFT_S:
            self._stay_eager(f"the run has about {left_s:.0f} s left, and compiling must pay")
        else:
            self._compile()

    def _left_s(self, now_s: float, updates: int, updates_per_s: float) -> float:
        """Estimate how long training goes on at most."""
        limits = self._config.stop
        left = [float("inf")]
        if limits.wall_s:
            left.append(limits.wall_s - now_s)
        if limits.updates and updates_per_s > 0:
            left.append((limits.updates - updates) / updates_per_s)
        return max(0.0, min(left))

    # --- one after the other ----------------------------------------------------------------------

    def _use_kept(self) -> bool:
        """Use what is in the cache; False if that is still to be made."""
        try:
            self._cache = self._cache or LoopCache()
        except FileError as error:
            self._give_up(str(error))
            return True
        path = self._cache.find(loop_key(self._config, self._spec))
        if path is None:
            return False
        try:
            self._adopt(str(path), "kept from an earlier run")
        except ConfigError as error:
            logger.warning("compiled updates are made anew: %s", error)
            path.unlink(missing_ok=True)
            return False
        return True

    def _compile(self) -> None:
        self._undecided = False
        assert self._cache is not None
        logger.info(
            "compiling updates in another process, about half a minute on a free core "
            "(learner.compile = %s)",
            self._choice,
        )
        try:
            self._compiler = self._start(
                self._config,
                self._network,
                self._spec,
                folder=self._cache.folder,
                key=loop_key(self._config, self._spec),
            )
        except OSError as error:
            self._give_up(str(error))

    def _take_outcome(self) -> None:
        compiler = self._compiler
        assert compiler is not None
        outcome = compiler.outcome()
        if outcome is None:
            return
        seconds = compiler.seconds
        self.close()
        if outcome.error:
            self._give_up(outcome.error)
            return
        try:
            self._adopt(outcome.path, f"compiled in {seconds:.0f} s")
        except ConfigError as error:
            self._give_up(str(error))

    def _adopt(self, path: str, how: str) -> None:
        self._trainer.adopt(path)
        self._undecided = False
        logger.info(
            "from update %d on, updates are compiled code, several in one call (%s; "
            "learner.compile = %s)",
            self._trainer.updates + 1,
            how,
            self._choice,
        )

    def _give_up(self, why: str) -> None:
        if not self._demanded:
            self._stay_eager(why)
            return
        self._undecided = False
        logger.warning("updates are compiled one by one, not several in one call: %s", why)
        self._trainer.compile_each()

    def _stay_eager(self, why: str) -> None:
        self._undecided = False
        logger.info("updates are not compiled: %s (learner.compile = %s)", why, self._choice)

    @property
    def _choice(self) -> str:
        return "true" if self._demanded else '"auto"'

    def close(self) -> None:
        """End the compiler, if there is one."""
        compiler, self._compiler = self._compiler, None
        if compiler is not None:
            compiler.close()


def compile_ahead(
    config: Config,
    network: NetworkFactory | None,
    spec: EnvironmentSpec,
    trainer: Trainer,
    stop: Callable[[], bool],
) -> None:
    """Have updates compiled before the first one, if ``learner.compile`` is true.

    For who promises the same result for a seed: when compiling is done must not change it, nor may
    whether there is a compiler, so that ``"auto"`` compiles nothing.

    Args:
        config: of the run.
        network: makes the network in place of ``network.kind``.
        spec: of the environment.
        trainer: whose updates they are.
        stop: says when to wait no longer.

    Raises:
        ConfigError: if there is no compiler.
    """
    if config.learner.compile is True:
        with CompiledUpdates(config, network, spec, trainer) as compiled:
            compiled.begin()
            compiled.wait(stop)
