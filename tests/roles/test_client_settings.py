"""What servers tell of the configuration: chosen numbers, under names that stay."""

import msgspec
import pytest

from zdqn.config import Config, load_config
from zdqn.roles.client_settings import tell_clients
from zdqn.wire.client_config import ClientConfig


@pytest.mark.parametrize(
    ("overrides", "high_water_mark", "buffer_bytes"),
    [
        ((), 64, 1024**2),
        (("replay.samples_per_insert=8",), 2, 16 * 1024),
        (("memory.high_water_mark=7", "memory.socket_buffer_bytes=5000"), 7, 5000),
    ],
)
def test_what_a_configuration_leaves_open_is_told_as_chosen(
    overrides, high_water_mark, buffer_bytes
):
    told = tell_clients(load_config(None, overrides))
    assert (told.high_water_mark, told.buffer_bytes) == (high_water_mark, buffer_bytes)
    assert told.paced == (overrides == ("replay.samples_per_insert=8",))


@pytest.mark.parametrize(
    ("key", "value", "field", "told"),
    [
        ("environment.id", "Acrobot-v1", "environment", "Acrobot-v1"),
        ("links.ping_period_s", 0.25, "ping_period_s", 0.25),
        ("links.dead_after_s", 77.0, "dead_after_s", 77.0),
        ("algorithm.discount", 0.75, "discount", 0.75),
        ("algorithm.n_step", 3, "n_step", 3),
        ("algorithm.reward_clip", 1.5, "reward_clip", 1.5),
        ("collector.block_transitions", 17, "block_transitions", 17),
        ("collector.block_age_s", 0.125, "block_age_s", 0.125),
        ("exploration.kind", "ladder", "epsilon.kind", "ladder"),
        ("exploration.epsilon_initial", 0.875, "epsilon.initial", 0.875),
        ("exploration.epsilon_final", 0.0625, "epsilon.final", 0.0625),
        ("exploration.epsilon_decay_environment_steps", 77, "epsilon.decay_environment_steps", 77),
        ("exploration.ladder_base", 0.25, "epsilon.base", 0.25),
        ("exploration.ladder_exponent", 3.0, "epsilon.exponent", 3.0),
        ("launch.collectors", 9, "epsilon.collectors", 9),
        ("collector.environments", 5, "epsilon.environments", 5),
    ],
)
def test_each_value_comes_from_its_key(key, value, field, told):
    def look_up(config):
        found = tell_clients(config)
        for name in field.split("."):
            found = getattr(found, name)
        return found

    assert look_up(Config().replace(key, value)) == told
    assert look_up(Config()) != told


@pytest.mark.parametrize(
    ("kind", "initial", "told"),
    [("prioritized", "collector", True), ("prioritized", "max", False),
     ("uniform", "collector", False)],
)  # fmt: skip
def test_priorities_are_wanted_where_they_are_what_items_begin_with(kind, initial, told):
    config = Config().replace("replay.kind", kind).replace("replay.initial_priority", initial)
    assert tell_clients(config).priorities is told


def test_a_name_that_is_no_single_line_is_left_out():
    assert tell_clients(Config().replace("environment.id", "a" * 300)).environment == ""


@pytest.mark.parametrize(
    "key", ["links.dead_after_s", "collector.block_age_s", "algorithm.reward_clip"]
)
def test_a_time_without_an_end_can_be_told_too(key):
    told = tell_clients(Config().replace(key, 1e300))
    assert getattr(told, key.split(".")[1]) == 1e9
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(told), type=ClientConfig) == told
