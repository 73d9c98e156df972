"""What servers tell their clients of the configuration."""

from __future__ import annotations

import msgspec

from zdqn.config import Config
from zdqn.wire.client_config import LARGEST, ClientConfig, Epsilon
from zdqn.wire.field_types import Label


def tell_clients(config: Config) -> ClientConfig:
    """Give what a client must know, with the numbers that the configuration leaves open chosen.

    Args:
        config: of the server.
    """
    exploration, prioritized = config.exploration, config.replay.kind == "prioritized"
    return ClientConfig(
        environment=_as_label(config.environment.id),
        ping_period_s=min(config.links.ping_period_s, LARGEST),
        dead_after_s=min(config.links.dead_after_s, LARGEST),
        discount=config.algorithm.discount,
        n_step=config.algorithm.n_step,
        reward_clip=min(config.algorithm.reward_clip, LARGEST),
        block_transitions=config.collector.block_transitions,
        block_age_s=min(config.collector.block_age_s, LARGEST),
        high_water_mark=config.transition_high_water_mark,
        buffer_bytes=config.transition_buffer_bytes,
        paced=bool(config.replay.samples_per_insert),
        priorities=prioritized and config.replay.initial_priority == "collector",
        epsilon=Epsilon(
            kind=exploration.kind,
            initial=exploration.epsilon_initial,
            final=exploration.epsilon_final,
            decay_environment_steps=exploration.epsilon_decay_environment_steps,
            base=exploration.ladder_base,
            exponent=min(exploration.ladder_exponent, LARGEST),
            collectors=config.launch.collectors,
            environments=config.collector.environments,
        ),
    )


def _as_label(name: str) -> str:
    """Give a name if it may travel as one line, and else none."""
    try:
        return msgspec.convert(name, Label)
    except msgspec.ValidationError:
        return ""
