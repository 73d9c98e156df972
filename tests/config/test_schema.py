"""The whole configuration: rules between keys, and what "0 chooses" amounts to."""

import math

import pytest

from zdqn.config import Config, flatten, load_config
from zdqn.errors import ConfigError
from zdqn.rl.limiter import SamplesPerInsertLimiter

DEFAULTS = flatten(Config())


def test_the_configuration_cannot_be_changed():
    with pytest.raises(AttributeError):
        Config().replay.capacity = 5  # type: ignore[misc]


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
@pytest.mark.parametrize(
    "key", [key for key, value in DEFAULTS.items() if isinstance(value, float)]
)
def test_no_number_may_be_nan_or_infinite(key, value):
    with pytest.raises(ConfigError, match=f"{key} is {value.lstrip('+')}"):
        load_config(None, [f"{key}={value}"])


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_nor_one_that_is_absent_by_default(value):
    with pytest.raises(ConfigError, match=r"stop.evaluation_return"):
        load_config(None, [f"stop.evaluation_return={value}"])


def test_a_whole_number_that_no_message_could_carry_is_refused():
    assert load_config(None, [f"run.seed={2**63 - 1}"]).run.seed == 2**63 - 1
    with pytest.raises(ConfigError, match=r"run.seed is .*less than 2\^63"):
        load_config(None, [f"run.seed={2**63}"])


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (
            ["replay.capacity=10", "replay.min_size=11"],
            r"replay.min_size is 11, more than replay.capacity \(10\).*Set it to 10 or less",
        ),
        (
            ["replay.initial_priority=collector", "collector.policy=remote"],
            'replay.initial_priority = "max" or collector.policy = "local"',
        ),
        (
            ["collector.environments=33"],
            r"collector.block_transitions is 32.*Set it to 33 or more",
        ),
        (
            ["algorithm.distribution=categorical", "algorithm.v_min=3", "algorithm.v_max=3"],
            r"algorithm.v_min is 3 and algorithm.v_max 3.*Set algorithm.v_min below",
        ),
        (
            ["algorithm.distribution=categorical", "algorithm.value_rescaling=true"],
            r'algorithm.distribution is "categorical" and algorithm.value_rescaling.*Set .*= false',
        ),
        (
            ["algorithm.distribution=quantile", "algorithm.munchausen=true"],
            r'algorithm.distribution is "quantile" and algorithm.munchausen.*Set .*= false',
        ),
        (
            ["algorithm.distribution=quantile", "algorithm.loss=squared"],
            r'algorithm.loss is "squared".*Set algorithm.loss = "huber"',
        ),
        (
            ["algorithm.munchausen=true", "algorithm.value_rescaling=true"],
            "algorithm.munchausen and algorithm.value_rescaling are true.*Set one of them to false",
        ),
        (
            ["algorithm.munchausen=true", "algorithm.double=true"],
            "algorithm.munchausen and algorithm.double are true.*Set one of them to false",
        ),
        (
            ["algorithm.munchausen=true", "algorithm.n_step=2"],
            "algorithm.munchausen is true and algorithm.n_step is 2.*Set algorithm.n_step = 1",
        ),
        (
            ["algorithm.distribution=categorical", "replay.initial_priority=collector"],
            r'algorithm.distribution is "categorical".*Set replay.initial_priority = "max"',
        ),
        (
            ["algorithm.value_rescaling=true", "replay.initial_priority=collector"],
            r'algorithm.value_rescaling is true.*Set replay.initial_priority = "max"',
        ),
        (
            ["network.noisy=true", "network.kind=my_networks:build"],
            "network.noisy is true, but the network is one of your own.*set network.noisy = false",
        ),
        (
            ["network.noisy=true", "network.function=m:f"],
            "network.noisy is true, but the network is one of your own.*set network.noisy = false",
        ),
    ],
)
def test_values_that_cannot_work_together_are_refused_with_the_way_out(overrides, words):
    with pytest.raises(ConfigError, match=words):
        load_config(None, overrides)


@pytest.mark.parametrize(
    "values",
    [
        {"replay.capacity": 10, "replay.min_size": 10},
        {"replay.capacity": 1, "replay.min_size": 1},
        {"replay.initial_priority": "collector"},
        {"collector.policy": "remote"},
        {"collector.environments": 32},
        {"algorithm.v_min": 3.0, "algorithm.v_max": 2.0},
        {"algorithm.munchausen": True, "replay.initial_priority": "collector"},
        {"algorithm.value_rescaling": True, "algorithm.double": True, "algorithm.n_step": 3},
        {
            "algorithm.distribution": "categorical",
            "algorithm.double": True,
            "algorithm.n_step": 3,
            "network.dueling": True,
            "network.noisy": True,
            "replay.kind": "prioritized",
            "algorithm.reward_clip": 1.0,
        },
        {"algorithm.distribution": "quantile", "network.kind": "my_networks:build"},
    ],
)
def test_values_that_just_work_together_are_taken(values):
    config = load_config(None, [f"{key}={str(value).lower()}" for key, value in values.items()])
    assert flatten(config).items() >= values.items()


def test_overrides_are_checked_together_not_one_by_one():
    config = load_config(None, ["replay.min_size=200000", "replay.capacity=300000"])
    assert config.replay.min_size == 200_000


def configured(*overrides):
    return load_config(None, overrides)


@pytest.mark.parametrize(
    ("overrides", "blocks", "buffer_bytes"),
    [
        ((), 64, 1024 * 1024),
        (("replay.samples_per_insert=8",), 2, 16 * 1024),
        (("memory.high_water_mark=7", "memory.socket_buffer_bytes=99"), 7, 99),
        (
            (
                "memory.high_water_mark=7",
                "memory.socket_buffer_bytes=99",
                "replay.samples_per_insert=8",
            ),
            7,
            99,
        ),
    ],
)
def test_little_waits_on_a_link_where_collectors_are_held_back(overrides, blocks, buffer_bytes):
    config = configured(*overrides)
    assert config.transition_high_water_mark == blocks
    assert config.transition_buffer_bytes == buffer_bytes


@pytest.mark.parametrize(("ratio", "window"), [(8.0, 320), (0.0, 64), (0.5, 80)])
def test_the_window_that_is_chosen_is_twice_the_smallest(ratio, window):
    config = configured(
        f"replay.samples_per_insert={ratio}",
        "algorithm.batch_size=32",
        "collector.block_transitions=16",
    )
    assert config.samples_per_insert_window == window
    assert window == 2 * SamplesPerInsertLimiter.smallest_window(ratio, 32, 16)


def test_a_window_that_was_given_is_taken():
    config = configured("replay.samples_per_insert=8", "replay.samples_per_insert_window=400")
    assert config.samples_per_insert_window == 400


@pytest.mark.parametrize(
    ("environments", "stack", "n_step", "block_transitions", "frames"),
    [(1, 1, 1, 32, 1 + 1 / 32), (1, 4, 3, 32, 1.1875), (16, 4, 5, 16, 9.0), (4, 2, 1, 8, 2.0)],
)
def test_a_full_block_has_some_frames_of_its_neighbours(
    environments, stack, n_step, block_transitions, frames
):
    config = configured(
        f"collector.environments={environments}",
        f"environment.frame_stack={stack}",
        f"algorithm.n_step={n_step}",
        f"collector.block_transitions={block_transitions}",
    )
    assert config.usual_frames_per_transition == frames


@pytest.mark.parametrize(("given", "kept"), [(0.0, math.inf), (0.5, 0.5), (3.0, 3.0)])
def test_frames_are_kept_without_limit_or_within_a_given_one(given, kept):
    config = configured(f"replay.frames_per_transition={given}")
    assert config.most_frames_per_transition == kept


# --- replacing ------------------------------------------------------------------------------------


def test_a_value_is_replaced_in_a_copy():
    config = Config()
    changed = config.replace("algorithm.double", True)
    assert flatten(changed) == {**DEFAULTS, "algorithm.double": True}
    assert flatten(config) == DEFAULTS


def test_values_that_only_work_together_are_replaced_together():
    with pytest.raises(ConfigError, match=r"replay.min_size is 1000, more than replay.capacity"):
        Config().replace("replay.capacity", 10)
    config = Config().replace({"replay.capacity": 10, "replay.min_size": 5})
    assert (config.replay.capacity, config.replay.min_size) == (10, 5)


def test_none_makes_a_value_absent():
    config = Config().replace("stop.evaluation_return", 5)
    assert config.stop.evaluation_return == 5.0
    assert config.replace("stop.evaluation_return", None) == Config()


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("replai.capacity", 5, 'no section "replai". Did you mean "replay"'),
        ("replay.capcity", 5, 'section "replay" has no key "capcity". Did you mean "capacity"'),
        ("capacity", 5, '"capacity" is not of the form section.key, such as'),
        ("replay.", 5, '"replay." is not of the form section.key, such as'),
        ("replay.capacity", 0, "replay.capacity is 0. Expected int >= 1. It means: Transitions"),
        ("replay.capacity", None, "replay.capacity is None. Expected int, got None."),
        ("replay.kind", "unifirm", 'Expected one of "uniform", "prioritized"'),
    ],
)
def test_what_cannot_be_replaced_is_refused_as_by_set(key, value, words):
    with pytest.raises(ConfigError) as refusal:
        Config().replace(key, value)
    assert str(refusal.value).startswith("zdqn.Config.replace: ")
    assert words in str(refusal.value)
