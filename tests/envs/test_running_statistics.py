"""What normalizes by what it has seen is refused, wherever it is, unless no score depends on it."""

from typing import Any, cast

import gymnasium
import numpy as np
import pytest
from gymnasium import wrappers
from gymnasium.envs.classic_control.cartpole import CartPoleVectorEnv

from tests.envs.shaped import Shaped, build
from zdqn.envs.guarding import layers
from zdqn.errors import ConfigError


class RunningMeanStd:
    """As other libraries have it."""

    def __init__(self, shape):
        self.mean, self.var = np.zeros(shape), np.ones(shape)


class Own(gymnasium.Wrapper):
    def __init__(self, environment, shape=(3,), **more):
        super().__init__(environment)
        self.statistics = RunningMeanStd(shape)
        self.__dict__.update(more)


def frozen(environment):
    normalized = wrappers.NormalizeObservation(environment)
    normalized.update_running_mean = False
    return normalized


@pytest.mark.parametrize("vectorization", ["sync", "async"])
@pytest.mark.parametrize(
    "wrap",
    [
        wrappers.NormalizeObservation,
        lambda made: wrappers.ClipReward(wrappers.NormalizeObservation(made), 0, 1),
        type("Subclass", (wrappers.NormalizeObservation,), {}),
        Own,
    ],
    ids=["it", "within another", "a subclass", "of another library"],
)
def test_observations_normalized_by_what_was_seen_are_refused_with_the_ways_out(
    monkeypatch, own_module, wrap, vectorization
):
    own_module.wrap = wrap
    said = r"normalizes observations.*RescaleObservation.*update_running_mean = False"
    listed = [{"name": "own_environments:wrap"}]
    with pytest.raises(ConfigError, match=said):
        build(Shaped, wrappers=listed, vectorization=vectorization)
    with pytest.raises(ConfigError, match=said):
        build(lambda: wrap(Shaped()), vectorization=vectorization)


def test_so_are_those_of_a_vectorized_form_of_its_own():
    def make(num_envs, **_):
        return wrappers.vector.NormalizeObservation(CartPoleVectorEnv(num_envs))

    gymnasium.register("test/Normalized-v0", vector_entry_point=cast("Any", make))
    try:
        with pytest.raises(ConfigError, match=r"NormalizeObservation normalizes observations"):
            build("test/Normalized-v0", vectorization="native")
    finally:
        gymnasium.registry.pop("test/Normalized-v0")


@pytest.mark.parametrize("wrap", [wrappers.NormalizeReward, lambda made: Own(made, ())])
def test_rewards_may_be_normalized_where_returns_are_taken_under_it_and_nowhere_else(
    own_module, wrap
):
    own_module.wrap = wrap
    build(Shaped, wrappers=[{"name": "own_environments:wrap"}])
    with pytest.raises(ConfigError, match=r"is made with the wrapper .*environment\.wrappers"):
        build(lambda: wrap(Shaped()))


@pytest.mark.parametrize(
    "wrap",
    [frozen, lambda made: Own(made, training=False), lambda made: wrappers.ClipReward(made, 0, 1)],
)
def test_what_does_not_change_is_taken(wrap):
    made = build(lambda: wrap(Shaped()))
    kind = type(wrap(Shaped()))
    assert any(isinstance(layer, kind) for layer in layers(made.envs[0]))
