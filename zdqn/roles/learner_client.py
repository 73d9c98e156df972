"""What collectors and evaluators share: environments, and a learner that they belong to."""

from __future__ import annotations

import os
import socket
import threading
from abc import abstractmethod
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, ClassVar, Literal

from zdqn.closing import Closing
from zdqn.config import Config, check_code_allowed, from_dict, shared_values
from zdqn.data import EnvironmentSpec
from zdqn.roles.acting.standstill import Standstill
from zdqn.roles.building import EnvironmentFactory, NetworkFactory
from zdqn.wire.addresses import Address, check_resolves, parse_address
from zdqn.wire.compression import available
from zdqn.wire.field_types import Statistics
from zdqn.wire.keys.role_keys import open_keys
from zdqn.wire.membership import Membership, new_session
from zdqn.wire.node import Node
from zdqn.wire.protocol import (
    LOWEST_VERSION,
    PROTOCOL_VERSION,
    WANTS_CONFIGURATION,
    Delivery,
    Hello,
    ServerRole,
    Spec,
    Welcome,
)
from zdqn.wire.sockets import Context


class LearnerClient(Closing):
    """A role with environments that belongs to a learner's run: a collector or an evaluator.

    Args:
        config: of the run; None takes the learner's.
        learner: REQ/REP address of the learner.
        environment: makes an environment in place of ``environment.id``.
        network: makes the Q-network in place of ``network.kind``.
        name: what others call it; by default role, host and process number.
        keys: folder of keys instead of ``security.keys``.
        allow_code: modules that a configuration from the learner may name code of.
        context: where sockets live; by default one of its own.
        stop: ends `run`.

    Raises:
        ConfigError: for a malformed address, or an environment that cannot be made.
        NotAllowedError: when a key is missing, or others can read it.
    """

    _role: ClassVar[Literal["collector", "evaluator"]]
    """As which it joins."""

    def __init__(
        self,
        config: Config | None,
        *,
        learner: str,
        environment: EnvironmentFactory | None = None,
        network: NetworkFactory | None = None,
        name: str | None = None,
        keys: str | Path | None = None,
        allow_code: Collection[str] = (),
        context: Context | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        self._learner = parse_address(learner, parameter="--learner")
        check_resolves(self._learner, parameter="--learner")
        self._factory = environment
        self._network = network
        self._name = name or f"{self._role}@{socket.gethostname()}:{os.getpid()}"
        self._stop = stop or threading.Event()
        self._session = new_session()
        self._config: Config | None = None
        self._spec: EnvironmentSpec | None = None
        self._environments: Any = None
        self._run_id = ""
        self._standstill = Standstill()
        self._memberships: list[Membership] = []
        if keys is None and config is not None:
            keys = config.security.keys
        own_keys = open_keys(keys, self._role)
        self._allow_code = allow_code
        if config is not None:  # before any socket: a wrong environment is told at once
            self._build(config)
        self._node = Node(context, keys=own_keys)

    @abstractmethod
    def _make_environments(self, config: Config) -> tuple[Any, EnvironmentSpec]:
        """Make this role's environments as configured."""

    @abstractmethod
    def _statistics(self) -> Statistics:
        """Give this role's numbers for a ping."""

    def _build(self, config: Config) -> None:
        self._environments, self._spec = self._make_environments(config)
        self._config = config

    def _replaced_keys(self) -> Collection[str]:
        """Name the keys in whose place functions of this process are used."""
        given = {"environment.id": self._factory, "network.kind": self._network}
        return [key for key, factory in given.items() if factory is not None]

    def _hello(self, server: ServerRole) -> Hello:
        config, spec = self._config, self._spec
        return Hello(
            role=self._role,
            name=self._name,
            session=self._session,
            spec=Spec.of(spec) if spec is not None else None,
            shared=shared_values(config, self._role, server) if config is not None else None,
            run_id=self._run_id,
            versions=(LOWEST_VERSION, PROTOCOL_VERSION),
            capabilities=available() if config is not None else (WANTS_CONFIGURATION,),
        )

    def _membership(
        self,
        address: Address,
        server: ServerRole,
        *,
        on_delivery: Callable[[Delivery | None], None] | None = None,
    ) -> Membership:
        links = (self._config or Config()).links
        membership = Membership(
            self._node,
            address,
            server=server,
            hello=lambda: self._hello(server),
            statistics=self._statistics,
            stop=self._stop,
            ping_period_s=links.ping_period_s,
            connect_timeout_s=links.connect_timeout_s,
            on_delivery=on_delivery,
        )
        self._memberships.append(membership)
        return membership

    def _join(self) -> tuple[Membership, Welcome | None]:
        """Join the learner's run, with its configuration if this role came without one.

        Returns:
            The membership, to be left, and the learner's welcome; None if the run ended first.

        Raises:
            MismatchError: when the learner refuses.
            NotAllowedError: when it does not allow this role's key, or names code that may not run.
            PeerUnavailableError: when it does not answer in ``links.connect_timeout_s``.
        """
        release = ""
        if self._config is None:
            introduction = self._membership(self._learner, "learner")
            welcome = introduction.introduce()
            if welcome is None:
                return introduction, None
            config = from_dict(welcome.config, source="the learner's configuration")
            check_code_allowed(config, self._allow_code, given=self._replaced_keys())
            self._build(config)
            release = introduction.release
        membership = self._membership(self._learner, "learner")  # with the links of the run
        membership.release = release
        welcome = membership.join()
        if welcome is not None:
            self._run_id = welcome.run_id
        return membership, welcome

    def abandon(self) -> None:
        """Say goodbye with the last numbers, while the thread of `run` does not come back.

        For whoever ends the process then: nothing else of this role may be used any more.
        """
        for membership in self._memberships:
            membership.leave()

    def close(self) -> None:
        """Close environments and sockets."""
        if self._environments is not None:
            from zdqn.envs import close_environments

            close_environments(self._environments)
        self._node.close()
