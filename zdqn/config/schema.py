"""The whole configuration: its sections, the rules between keys, and what they amount to.

A frozen tree of typed structs. It is validated once, and passed down as plain values; nothing
below this layer imports it. Every key carries its rule and its description, from which
``docs/configuration.md`` is generated.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, overload

import msgspec

from zdqn.config.explaining import check_key, convert
from zdqn.config.learning_sections import (
    AlgorithmSection,
    EnvironmentSection,
    ExplorationSection,
    NetworkSection,
    ReplaySection,
)
from zdqn.config.plain import to_dict
from zdqn.config.run_sections import (
    CollectorSection,
    EvaluatorSection,
    LaunchSection,
    LearnerSection,
    LinksSection,
    MemorySection,
    RunSection,
    SecuritySection,
    SinksSection,
    StopSection,
)
from zdqn.config.section import Section
from zdqn.errors import ConfigError

_FRESH_ENVIRONMENT_STEPS = 16
"""Collectors act with weights that are this much older than the newest, where that can be had."""
_FRESH_UPDATES = 10


class Config(Section, frozen=True, kw_only=True):
    """Everything a run is made of: a section for each part, all of which have defaults.

    Raises:
        ConfigError: for a wrong value, or when two values cannot work together.
    """

    run: RunSection = RunSection()
    stop: StopSection = StopSection()
    environment: EnvironmentSection = EnvironmentSection()
    algorithm: AlgorithmSection = AlgorithmSection()
    network: NetworkSection = NetworkSection()
    replay: ReplaySection = ReplaySection()
    exploration: ExplorationSection = ExplorationSection()
    memory: MemorySection = MemorySection()
    learner: LearnerSection = LearnerSection()
    collector: CollectorSection = CollectorSection()
    evaluator: EvaluatorSection = EvaluatorSection()
    launch: LaunchSection = LaunchSection()
    links: LinksSection = LinksSection()
    security: SecuritySection = SecuritySection()
    sinks: SinksSection = SinksSection()

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_numbers()
        self._check_together()
        self._check_algorithm()

    def _check_numbers(self) -> None:
        for section in self.__struct_fields__:
            for key, value in msgspec.structs.asdict(getattr(self, section)).items():
                if isinstance(value, float) and not math.isfinite(value):
                    raise ConfigError(f"{section}.{key} is {value}; it must be a finite number.")
                if isinstance(value, int) and value >= 2**63:
                    raise ConfigError(f"{section}.{key} is {value}; it must be less than 2^63.")

    def _check_together(self) -> None:
        replay, collector = self.replay, self.collector
        if replay.min_size > replay.capacity:
            raise ConfigError(
                f"replay.min_size is {replay.min_size}, more than replay.capacity "
                f"({replay.capacity}) can hold, so the learner would wait for ever. Set it to "
                f"{replay.capacity} or less."
            )
        if replay.initial_priority == "collector" and collector.policy == "remote":
            raise ConfigError(
                'replay.initial_priority is "collector", but a collector with collector.policy = '
                '"remote" holds no network to estimate priorities with. Set '
                'replay.initial_priority = "max" or collector.policy = "local".'
            )
        if collector.block_transitions < collector.environments:
            raise ConfigError(
                f"collector.block_transitions is {collector.block_transitions}, but one step of "
                f"{collector.environments} environments (collector.environments) makes as many "
                f"transitions, which must fit one block. Set it to {collector.environments} or "
                f"more."
            )

    def _check_algorithm(self) -> None:
        algorithm, network = self.algorithm, self.network
        distribution = algorithm.distribution
        estimated = self.replay.initial_priority == "collector"
        if distribution == "categorical" and algorithm.v_min >= algorithm.v_max:
            raise ConfigError(
                f"algorithm.v_min is {algorithm.v_min:g} and algorithm.v_max {algorithm.v_max:g}, "
                f"but a distribution lies between them. Set algorithm.v_min below the lowest and "
                f"algorithm.v_max above the highest return that is to be told apart."
            )
        if network.noisy and (":" in network.kind or network.function is not None):
            raise ConfigError(
                "network.noisy is true, but the network is one of your own, whose layers are its "
                "own business. Build it of zdqn.rl.noisy.NoisyLinear, whose noise is drawn "
                "likewise, and set network.noisy = false."
            )
        clashes = (
            (
                distribution != "none" and algorithm.value_rescaling,
                f'algorithm.distribution is "{distribution}" and algorithm.value_rescaling is true',
                "the mean of rescaled returns is not the rescaled mean, so that actions would be "
                "chosen for something else than their return",
                'algorithm.distribution = "none" or algorithm.value_rescaling = false',
            ),
            (
                distribution != "none" and algorithm.munchausen,
                f'algorithm.distribution is "{distribution}" and algorithm.munchausen is true',
                "Munchausen is built for action values alone",
                'algorithm.distribution = "none" or algorithm.munchausen = false',
            ),
            (
                distribution != "none" and algorithm.loss == "squared",
                f'algorithm.distribution is "{distribution}" and algorithm.loss is "squared"',
                "a distribution has a loss of its own",
                'algorithm.loss = "huber", which leaves the choice to the distribution',
            ),
            (
                algorithm.munchausen and algorithm.value_rescaling,
                "algorithm.munchausen and algorithm.value_rescaling are true",
                "a softmax of rescaled values is another policy",
                "one of them to false",
            ),
            (
                algorithm.munchausen and algorithm.double,
                "algorithm.munchausen and algorithm.double are true",
                "Munchausen bootstraps from the mean over its policy, in which no action is chosen",
                "one of them to false",
            ),
            (
                algorithm.munchausen and algorithm.n_step > 1,
                f"algorithm.munchausen is true and algorithm.n_step is {algorithm.n_step}",
                "each step of a return would bring its own log-probability, and those between "
                "its ends are not stored",
                "algorithm.n_step = 1 or algorithm.munchausen = false",
            ),
            (
                distribution != "none" and estimated,
                f'algorithm.distribution is "{distribution}" and replay.initial_priority is '
                f'"collector"',
                "collectors estimate TD errors, and priorities are losses of distributions then",
                'replay.initial_priority = "max"',
            ),
            (
                algorithm.value_rescaling and estimated,
                'algorithm.value_rescaling is true and replay.initial_priority is "collector"',
                "collectors estimate TD errors of returns that are not rescaled",
                'replay.initial_priority = "max"',
            ),
        )
        for clashing, what, why, way_out in clashes:
            if clashing:
                raise ConfigError(f"{what}, but {why}. Set {way_out}.")

    @overload
    def replace(self, changes: str, value: Any) -> Config: ...

    @overload
    def replace(self, changes: Mapping[str, Any]) -> Config: ...

    def replace(self, changes: str | Mapping[str, Any], value: Any = None) -> Config:
        """Give this configuration with other values; this one stays as it is.

        Args:
            changes: one key, such as ``"algorithm.double"``; or several, each with its value, for
                those that only work together.
            value: of the one key. None makes a value absent that may be.

        Returns:
            The changed configuration, checked as a whole.

        Raises:
            ConfigError: for an unknown key (with the nearest known one), a wrong type, a value out
                of range, or values that cannot work together.
        """
        source = "zdqn.Config.replace"
        values = to_dict(self)
        for name, changed in ({changes: value} if isinstance(changes, str) else changes).items():
            section, dot, key = name.partition(".")
            if not (section and dot and key):
                raise ConfigError(
                    f'{source}: "{name}" is not of the form section.key, such as replay.capacity.'
                )
            check_key(Config, section, key, source=source)
            values[section][key] = changed
        return convert(values, Config, source=source)

    @property
    def transition_high_water_mark(self) -> int:
        """Blocks that may wait at an end of a link, with ``memory.high_water_mark = 0`` chosen."""
        return self.memory.high_water_mark or (2 if self.replay.samples_per_insert else 64)

    @property
    def transition_buffer_bytes(self) -> int:
        """Kernel buffer of a transitions link, with ``memory.socket_buffer_bytes = 0`` chosen."""
        chosen = 16 * 1024 if self.replay.samples_per_insert else 1024 * 1024
        return self.memory.socket_buffer_bytes or chosen

    @property
    def publish_period_updates(self) -> int:
        """Updates between two broadcasts, with ``learner.publish_period_updates = 0`` chosen."""
        ratio = self.replay.samples_per_insert / self.algorithm.batch_size
        chosen = max(round(_FRESH_ENVIRONMENT_STEPS * ratio), 1) if ratio else _FRESH_UPDATES
        return self.learner.publish_period_updates or chosen

    @property
    def samples_per_insert_window(self) -> float:
        """Samples of room for either side, with ``replay.samples_per_insert_window = 0`` chosen.

        The choice is twice the smallest with which the two sides never wait for each other.
        """
        smallest = (
            self.algorithm.batch_size
            + self.replay.samples_per_insert * self.collector.block_transitions
        )
        return self.replay.samples_per_insert_window or 2 * smallest

    @property
    def usual_frames_per_transition(self) -> float:
        """Frames that blocks bring for each transition, if they are full and episodes long.

        Besides a frame for each, a block has for each environment those that its first stack
        reaches back to, and those that its last returns reach forward to.
        """
        beside = self.environment.frame_stack - 1 + self.algorithm.n_step
        collector = self.collector
        return 1 + collector.environments * beside / collector.block_transitions

    @property
    def most_frames_per_transition(self) -> float:
        """Frames kept for each transition; infinite with ``replay.frames_per_transition = 0``."""
        return self.replay.frames_per_transition or math.inf
