"""The learner: samples, updates, publishes; and, in its model server, answers everybody."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from zdqn.config import Config, to_toml
from zdqn.core.run_directory import RunDirectory
from zdqn.errors import ZdqnError
from zdqn.roles.building import NetworkFactory
from zdqn.roles.model_server import ModelServer
from zdqn.roles.role import Role
from zdqn.roles.training import LearnerResult, Training
from zdqn.wire.addresses import check_bind, check_resolves, parse_address
from zdqn.wire.session import new_session
from zdqn.wire.sockets import Context, Server, WeightPublisher, bind_pair

logger = logging.getLogger("zdqn.learner")


class Learner(Role):
    """The learner role. Its sockets are bound when it is made; `run` trains.

    Args:
        config: of the run.
        memory: REQ/REP address of the memory.
        run_directory: where its files go; made if it is missing.
        bind: REQ/REP address instead of ``learner.bind``.
        insecure: allow an address that other machines can reach.
        network: makes the Q-network in place of ``network.kind``.
        resume: run directory to go on from; its newest checkpoint is loaded.
        on_bound: told the real endpoints, ``model`` and ``weights``.
        context: where sockets live; by default one of its own.
        stop: set it to end `run`.

    Raises:
        ConfigError: for an address that cannot be used.
        AddressInUseError: when another process holds it.
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
        network: NetworkFactory | None = None,
        resume: Path | None = None,
        on_bound: Callable[[dict[str, str]], None] | None = None,
        context: Context | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        parameter = "learner.bind" if bind is None else "--bind"
        bind = config.learner.bind if bind is None else bind
        address = parse_address(bind, parameter=parameter, bind=True)
        check_bind(address, parameter=parameter, insecure=insecure)
        self._memory = parse_address(memory, parameter="--memory")
        check_resolves(self._memory, parameter="--memory")
        self._config = config
        self._network = network
        self._resume = resume
        self._stop = stop or threading.Event()
        self._stop_reason = ""
        self._directory = RunDirectory(run_directory)
        self._session = new_session()
        self._owns_context = context is None
        self._context = context or Context()
        try:
            server, self._publisher = bind_pair(
                lambda free: Server(self._context, free),
                lambda free: WeightPublisher(self._context, free),
                address,
            )
        except ZdqnError:
            self.close()
            raise
        self.endpoints = {
            "model": str(server.address.advertised()),
            "weights": str(self._publisher.address.advertised()),
        }
        self._epoch = self._directory.next_learner_epoch()
        self._run_id = run_directory.resolve().name
        self._server = ModelServer(
            server,
            config=config,
            run_id=self._run_id,
            session=self._session,
            memory=str(self._memory),
            weights_endpoint=self.endpoints["weights"],
            on_stop=self._stop_for,
        )
        self._directory.write_config(to_toml(config))
        if on_bound is not None:
            on_bound(self.endpoints)

    # --- life -------------------------------------------------------------------------------------

    def run(self) -> LearnerResult:
        """Train until an end condition is met or somebody asks to stop.

        Returns:
            How it ended.

        Raises:
            MismatchError: when the memory refuses.
            RoleFailedError: when the network's loss is no number any more, or the model server
                broke.
        """
        logger.info("serving the model at %s", self.endpoints["model"])
        logger.info("run directory %s", self._directory.path)
        self._server.start()
        training = Training(
            self._config,
            server=self._server,
            publisher=self._publisher,
            context=self._context,
            memory=self._memory,
            directory=self._directory,
            session=self._session,
            learner_epoch=self._epoch,
            run_id=self._run_id,
            network=self._network,
            resume=self._resume,
            stop=self._stop,
        )
        return training.run(lambda: self._stop_reason or "stopped")

    def _stop_for(self, reason: str) -> None:
        """End training for a reason from outside; the first counts."""
        if not self._stop_reason:
            self._stop_reason = reason
            logger.info("stopping: %s", reason)
        self._stop.set()

    def close(self) -> None:
        """Close the sockets and end the model server."""
        if hasattr(self, "_server"):
            self._server.close()
        if hasattr(self, "_publisher"):
            self._publisher.close()
        if self._owns_context:
            self._context.close()
