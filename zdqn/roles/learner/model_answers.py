"""What a learner answers on the model link: no thread and no lock, those are the server's."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec

from zdqn.config import Config, check_agreement, flatten, to_dict
from zdqn.data import EnvironmentSpec
from zdqn.errors import ConfigError, MismatchError
from zdqn.records.block_accounts import Sent
from zdqn.roles.client_settings import tell_clients
from zdqn.roles.learner.action_answers import ActionAnswers
from zdqn.roles.learner.evaluation_claims import EvaluationClaims
from zdqn.roles.learner.publications import Published
from zdqn.roles.learner.stall_watch import Pulse, StallWatch
from zdqn.wire import codec
from zdqn.wire.desk import Desk, RefusedError
from zdqn.wire.desk_host import Particulars
from zdqn.wire.field_types import Statistics
from zdqn.wire.model_messages import (
    ActionRequest,
    Claim,
    Configuration,
    ConfigurationRequest,
    EvaluationResult,
    WeightsRequest,
)
from zdqn.wire.peers import Peer
from zdqn.wire.protocol import WANTS_CONFIGURATION, Acknowledged, Hello, Refusal
from zdqn.wire.request_sockets import Request, Server
from zdqn.wire.sockets import LINGER_MS
from zdqn.wire.status import CollectorStatistics, LearnerStatus

logger = logging.getLogger("zdqn.learner")

_MOST_CONFIG_BYTES = 60_000
"""A header has at most 64 KiB, of which a welcome needs some for the rest."""
_ARRIVED_AFTER_S = LINGER_MS / 1000 + 1
"""After it has left, nothing of a collector is on its way to the memory any more."""
_MOST_REQUESTS = 256
"""In one pass; clients that ask without end keep nobody else from being looked after."""


def check_travels(config: Config) -> None:
    """Make sure that a configuration fits into a welcome, which every client is sent.

    Raises:
        ConfigError: naming its largest value.
    """
    values = flatten(config)
    sizes = {key: len(msgspec.msgpack.encode(value)) for key, value in values.items()}
    if sum(map(len, values)) + sum(sizes.values()) > _MOST_CONFIG_BYTES:
        key = max(sizes, key=sizes.__getitem__)
        raise ConfigError(
            f"{key} takes {sizes[key]:,} bytes. Collectors and evaluators are sent the whole "
            f"configuration, which may take {_MOST_CONFIG_BYTES:,} in all. Keep large values in a "
            f"file that every machine has, and name its path instead."
        )


class ModelAnswers:
    """Configuration, weights, actions and snapshots for whoever asks; who is there; who is refused.

    Used by one thread at a time.

    Args:
        server: where questions come, and answers go.
        config: of the run, given to clients that come without.
        run_id: of the run.
        session: of this learner.
        memory: the memory's address, as the learner dials it.
        weights_endpoint: where weights are published.
        on_stop: called with the reason when somebody asks to stop.
        pulse: of the training thread.
        clock: seconds that never go back.

    Attributes:
        desk: of the server.
        actions: that are computed for others.
        evaluations: of snapshots.
        spec: of the environment, once somebody has told it.
        spec_known: set with it.
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
        pulse: Pulse,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._server = server
        self._clock = clock
        self._reported_s = clock()
        self._config = config
        self._settings = tell_clients(config)
        self._memory = memory
        self._weights_endpoint = weights_endpoint
        self._on_stop = on_stop
        self._published: Published | None = None
        self._publications = 0
        self._report = LearnerStatus()
        self._collectors_done = False
        self._over_since_s: float | None = None
        self._evaluators_done = False
        self.spec: EnvironmentSpec | None = None
        self.spec_known = threading.Event()
        self.actions = ActionAnswers(
            server.reply, most_observations=config.collector.block_transitions
        )
        self.evaluations = EvaluationClaims(config, run_id, server.reply)
        self.stalls = StallWatch(pulse, clock=clock)
        self.desk = Desk(
            "learner",
            self,
            session=session,
            run_id=run_id,
            dead_after_s=config.links.dead_after_s,
            logger=logger,
            handlers={
                ActionRequest: self._take_action_request,
                WeightsRequest: self._send_weights,
                Claim: self._take_claim,
                EvaluationResult: self._take_result,
                ConfigurationRequest: lambda *_: Configuration(values=to_dict(config)),
            },
        )

    def serve(self, most_s: float = math.inf) -> tuple[bool, bool]:
        """Answer what has come.

        Args:
            most_s: no other request is begun after so many seconds.

        Returns:
            Whether anything was done, and whether somebody asked for actions.
        """
        busy = self.desk.serve(self._server, _MOST_REQUESTS, most_s) > 0
        asked = self.actions.answer(self._published)
        busy |= self.evaluations.advance(over=self._evaluators_done)
        return busy, asked

    def look_after_clients(self) -> None:
        """Notice who has fallen silent, and who is stalled; cheap, and to be called often."""
        self.desk.look_after_peers()
        roles = () if self._collectors_done else ("collector", "evaluator")
        self.stalls.look(
            self._report.run,
            self._report.progress.updates,
            lambda: [peer for role in roles for peer in self.desk.living(role)],
        )

    def publish(self, published: Published) -> None:
        """Take over the newest weights, for late joiners and remote policies."""
        self._published = published
        self._publications += 1
        self.evaluations.describe(published.network)

    def report(self, status: LearnerStatus) -> None:
        """Take over what the learner tells about itself."""
        self._report, self._reported_s = status, self._clock()

    def finish(self, *, evaluators: bool) -> None:
        """Let collectors finish, as training is over; evaluators too if nothing more will come."""
        if not self._collectors_done:
            self._over_since_s = time.monotonic()
        self._collectors_done = True
        self._evaluators_done = evaluators

    def blocks_sent(self) -> list[Sent]:
        """Give what each collector told of its blocks, those that left included."""
        now_s = time.monotonic() if self._over_since_s is None else self._over_since_s
        return [
            Sent(
                peer.session,
                CollectorStatistics.read(peer.statistics).blocks_sent,
                left=peer.gone and now_s - peer.last_seen_s > _ARRIVED_AFTER_S,
            )
            for peer in self.desk.peers.peers.values()
            if peer.role == "collector"
        ]

    def agree(self, spec: EnvironmentSpec, name: str) -> None:
        """Take over the environment's spec, or hold one against it.

        Raises:
            MismatchError: when it is another than the one known.
        """
        if self.spec is None:
            self.spec = spec
            self.spec_known.set()
        elif spec != self.spec:
            raise MismatchError(
                f"another environment: this run's is {self.spec.describe()}; that of {name} is "
                f"{spec.describe()}. Start it with this run's configuration."
            )

    def _take_action_request(
        self, request: Request, header: ActionRequest, message: codec.Message
    ) -> None:
        if self._collectors_done:
            raise RefusedError(Refusal.STOPPING, "this run is over")
        if header.session not in self.desk.peers.peers:  # it may have outlived another run
            raise RefusedError(Refusal.UNKNOWN_SESSION, "say hello before you ask for actions")
        self.actions.take(request, header, message, self.spec)

    def _send_weights(self, request: Request, *_: Any) -> None:
        published = self._published
        if published is None:
            raise RefusedError(Refusal.NOT_SERVING, "no weights yet")
        self._server.reply(request, published.message)

    def _take_claim(self, request: Request, header: Claim, _message: codec.Message) -> None:
        self.evaluations.claim(request, header, self.desk.peers.peers)

    def _take_result(
        self, _request: Request, header: EvaluationResult, message: codec.Message
    ) -> Acknowledged:
        return self.evaluations.take_result(header, message, self.desk.peers.peers)

    # --- for the desk ---------------------------------------------------------------------------

    def admit(self, hello: Hello) -> None:
        """Agree with a client on configuration and environment.

        Raises:
            MismatchError: when they differ; the text lists where.
        """
        check_agreement(self._config, hello.role, "learner", hello.name, hello.shared)
        if hello.spec is not None:
            self.agree(hello.spec.read(), hello.name)

    def particulars(self) -> Particulars:
        """Give what a client is told when it is welcome."""
        return Particulars(
            data_endpoint=self._weights_endpoint,
            spec=self.spec,
            seed=self._config.run.seed,
            settings=self._settings,
            capabilities=("actions", "masks", WANTS_CONFIGURATION),
            config=to_dict(self._config),
            memory=self._memory,
        )

    def is_over_for(self, role: str) -> bool:
        """Whether clients of a role should finish."""
        return self._evaluators_done if role == "evaluator" else self._collectors_done

    def environment_steps(self) -> int:
        """Give the environment steps of all collectors, as of the learner's last report."""
        return self._report.progress.environment_steps

    def statistics(self, session: int) -> Statistics:
        """Give the numbers that go with every pong: none."""
        return {}

    def status(self) -> dict[str, Any]:
        """Answer a status request, also for the time since the learner's last report."""
        report = self._report
        since_s = self._clock() - self._reported_s
        status = msgspec.structs.replace(
            report,
            run=msgspec.structs.replace(
                self.stalls.tell(report.run, report.progress.updates),
                wall_s=round(report.run.wall_s + since_s, 1),
            ),
            progress=msgspec.structs.replace(
                report.progress, unevaluated=self.evaluations.unevaluated
            ),
            actions_served=self.actions.served,
            publications=self._publications,
            publication_bytes=len(self._published.message) if self._published is not None else 0,
            clients=self.desk.describe_clients(),
        )
        return status.to_wire()

    def stop(self, reason: str) -> None:
        """End the run, as somebody asks for it."""
        self._on_stop(reason)

    def departed(self, peer: Peer, *, died: bool) -> None:
        """Give what a client that has gone held to another."""
        self.evaluations.release(peer)
