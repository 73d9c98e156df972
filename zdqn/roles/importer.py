"""The importer: experience that exists already, into the memory of a run."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from zdqn.closing import Closing
from zdqn.config import Config, shared_values
from zdqn.core.imported_blocks import ImportedBlocks
from zdqn.data import EnvironmentSpec
from zdqn.errors import MismatchError, UsageError
from zdqn.records.experience import Experience, check_experience
from zdqn.roles.acting.acked_link import AckedLink
from zdqn.roles.acting.block_link import open_block_link
from zdqn.roles.acting.block_stream import BlockStream
from zdqn.roles.acting.refusal_watch import RefusalWatch
from zdqn.roles.building import build_environments
from zdqn.wire.addresses import check_resolves, parse_address
from zdqn.wire.field_types import Statistics
from zdqn.wire.keys.role_keys import open_keys
from zdqn.wire.membership import Membership, new_session
from zdqn.wire.node import Node
from zdqn.wire.protocol import LOWEST_VERSION, PROTOCOL_VERSION, Hello, Spec, Welcome
from zdqn.wire.sockets import Context
from zdqn.wire.status import CollectorStatistics

logger = logging.getLogger("zdqn.importer")

_LAST_WORD_S = 10.0
_LOOK_S = 0.01
_IMPORTS = "imports"


@dataclass(frozen=True)
class ImportResult:
    """What became of a data set.

    Attributes:
        steps: that were taken of it.
        transitions_sent: that they made.
        blocks_sent: in which they went.
        blocks_refused: of those, by the memory.
        blocks_missing: of which the memory has not said that it has them.
        complete: whether all of the data set went, and came.
    """

    steps: int
    transitions_sent: int
    blocks_sent: int
    blocks_refused: int
    blocks_missing: int
    complete: bool

    @property
    def blocks_stored(self) -> int:
        """Blocks that the memory has stored."""
        return self.blocks_sent - self.blocks_refused - self.blocks_missing


class Importer(Closing):
    """Sends a data set to a memory, whether anybody else has joined the run by then or not.

    The memory says what transitions are made with (n-step, discount, size of blocks), and what the
    environment looks like, if it knows. Each block is sent until the memory has it.

    Args:
        experience: the data set.
        config: of the run, to hold against the memory's, and to make the environment, which shows
            what it looks like; None leaves both to the memory.
        memory: REQ/REP address of the memory.
        counts: have the learner sample imported transitions as often as collected ones
            (``replay.samples_per_insert``). Else they fill the replay, and nothing is owed.
        name: what others call it; by default host and process number.
        keys: folder of keys instead of ``security.keys``; a collector's is shown.
        on_progress: told now and then how many steps were taken so far.
        context: where sockets live; by default one of its own.
        stop: set it to end `run`.

    Raises:
        ConfigError: for a malformed address, or an environment that cannot be made.
        NotAllowedError: when a key is missing, or others can read it.
    """

    def __init__(
        self,
        experience: Experience,
        config: Config | None = None,
        *,
        memory: str,
        counts: bool = False,
        name: str | None = None,
        keys: str | Path | None = None,
        on_progress: Callable[[int], object] | None = None,
        context: Context | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        self._address = parse_address(memory, parameter="--memory")
        check_resolves(self._address, parameter="--memory")
        self._experience = experience
        self._config = config
        self._counts = counts
        self._name = name or f"importer@{socket.gethostname()}:{os.getpid()}"
        self._on_progress = on_progress
        self._stop = stop or threading.Event()
        self._session = new_session()
        self._release = ""
        self._refusals = RefusalWatch()
        self._stream: BlockStream | None = None
        self._spec: EnvironmentSpec | None = None
        links = (config or Config()).links
        self._ping_period_s, self._connect_timeout_s = links.ping_period_s, links.connect_timeout_s
        if config is not None:
            keys = keys or config.security.keys
            self._spec = _look_at_environment(config)
        self._node = Node(context, keys=open_keys(keys, "collector"))

    def run(self) -> ImportResult:
        """Check all of the data set, send it, and wait until the memory has it or `stop` is set.

        Returns:
            What became of it.

        Raises:
            UsageError: when the data set does not fit; nothing was sent then.
            MismatchError: when the memory has another configuration or environment, or refuses.
            PeerUnavailableError: when it does not answer in ``links.connect_timeout_s``.
        """
        if self._spec is not None:  # before anybody is waited for
            check_experience(self._experience, self._spec)
        with ExitStack() as stack:
            if self._spec is None and not self._ask_for_environment():
                return ImportResult(0, 0, 0, 0, 0, complete=False)
            membership = self._membership()
            membership.release = self._release
            welcome = membership.join()
            if welcome is None:
                return ImportResult(0, 0, 0, 0, 0, complete=False)
            stack.callback(membership.leave)
            self._check_capable(welcome)
            result = self._send(stack, membership, welcome)
            membership.raise_failure()
        return result

    # --- joining ----------------------------------------------------------------------------------

    def _membership(self) -> Membership:
        return Membership(
            self._node,
            self._address,
            server="memory",
            hello=self._hello,
            statistics=self._statistics,
            stop=self._stop,
            ping_period_s=self._ping_period_s,
            connect_timeout_s=self._connect_timeout_s,
            on_delivery=self._refusals.look,
        )

    def _ask_for_environment(self) -> bool:
        """Find out what the environment looks like, and hold the data set against it.

        Returns:
            Whether it did; not if the run was over first, or `stop` was set.

        Raises:
            UsageError: when the memory does not know it, or the data set does not fit.
        """
        introduction = self._membership()
        welcome = introduction.introduce()
        self._release = introduction.release
        if welcome is None:
            return False
        if welcome.spec is None:
            raise UsageError(
                f"The memory at {self._address} does not know what the environment looks like, as "
                f"nobody has joined it so far. Give CONFIG too, the run's configuration; or import "
                f"once a collector has joined."
            )
        self._spec = welcome.spec.read()
        self._ping_period_s = welcome.settings.ping_period_s
        check_experience(self._experience, self._spec)
        return True

    def _check_capable(self, welcome: Welcome) -> None:
        if not self._counts and _IMPORTS not in welcome.capabilities:
            raise MismatchError(
                f"The memory at {self._address} is of an earlier zdqn, and would count what is "
                f"imported as collected. Start it with this version, or let it count (--count)."
            )

    def _hello(self) -> Hello:
        config, spec = self._config, self._spec
        return Hello(
            role="collector",
            name=self._name,
            session=self._session,
            spec=Spec.of(spec) if spec is not None else None,
            shared=shared_values(config, "collector", "memory") if config is not None else None,
            versions=(LOWEST_VERSION, PROTOCOL_VERSION),
        )

    # --- sending ----------------------------------------------------------------------------------

    def _send(self, stack: ExitStack, membership: Membership, welcome: Welcome) -> ImportResult:
        spec, settings = self._spec, welcome.settings
        assert spec is not None
        how = Config().replace(
            {"links.delivery": "acked", "replay.samples_per_insert": float(settings.paced)}
        )
        link = stack.enter_context(
            open_block_link(how, self._node, self._address, welcome, session=self._session)
        )
        assert link.acked is not None
        source = ImportedBlocks(
            self._experience.episodes(),
            spec,
            n_step=settings.n_step,
            discount=settings.discount,
            block_transitions=settings.block_transitions,
            reward_clip=settings.reward_clip,
        )
        stream = self._stream = BlockStream(
            source,
            link.sender,
            session=self._session,
            origin=spec.origin(welcome.run_id),
            compression="none",
            block_age_s=0.0,
            window=link.window,
            acked=True,
            imported=not self._counts,
        )

        def over() -> bool:
            return self._stop.is_set() or membership.stopping

        while not over() and source.fill():
            stream.send_if_due(over)
            if self._on_progress is not None:
                self._on_progress(source.steps)
        missing = self._drain(link.acked, membership, over)
        return ImportResult(
            source.steps,
            stream.transitions_sent,
            stream.blocks_sent,
            self._refusals.refused,
            missing,
            complete=source.over and not (source.pending or stream.transitions_unsent or missing),
        )

    def _drain(self, link: AckedLink, membership: Membership, over: Callable[[], bool]) -> int:
        """Wait until the memory has everything, and has said what of it it refused."""
        missing = link.finish(over)
        since_s, until_s = time.monotonic(), time.monotonic() + _LAST_WORD_S
        while not over() and (membership.pong_s or 0.0) <= since_s < until_s:
            if self._stop.wait(_LOOK_S) or time.monotonic() > until_s:
                break
        return missing

    def _statistics(self) -> Statistics:
        stream = self._stream
        return CollectorStatistics(
            environment_steps=0,
            episodes=0,
            blocks_sent=stream.blocks_sent if stream is not None else 0,
            transitions_sent=stream.transitions_sent if stream is not None else 0,
            blocks_refused=self._refusals.refused,
        ).to_wire()

    def close(self) -> None:
        """Close the sockets."""
        self._node.close()


def _look_at_environment(config: Config) -> EnvironmentSpec:
    """Make an environment as configured, to see what it looks like."""
    from zdqn.envs import close_environments

    environments, spec = build_environments(config, None, count=1, vectorization="sync")
    close_environments(environments)
    return spec
