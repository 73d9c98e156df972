import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from zdqn.data import EnvironmentSpec
from zdqn.errors import ConfigError
from zdqn.rl.networks import build_network
from zdqn.rl.user_networks import NetworkFactory
from zdqn.rl.weight_arrays import weights_to_arrays


def build(kind: str | NetworkFactory) -> nn.Module:
    return build_network(
        EnvironmentSpec((4,), "float32", 2),
        kind=kind,
        hidden=(8, 5),
        activation="tanh",
        initialization="xavier",
        dueling=False,
        seed=3,
    )


@pytest.fixture
def user_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two modules of a user's, one of which cannot be imported."""
    (tmp_path / "zdqn_test_networks.py").write_text(
        "import torch\n"
        "from torch import nn\n"
        "NUMBER = 3\n"
        "def build(spec): return nn.Linear(4, spec.num_actions)\n"
        "def text(spec): return 'network'\n"
        "def fails(spec): return 1 / 0\n"
        "def wrong(spec): return nn.Linear(4, 7)\n"
        "def narrow(spec): return nn.Linear(3, 2)\n"
        "class Double(nn.Module):\n"
        "    def forward(self, x): return torch.zeros(len(x), 2, dtype=torch.float64)\n"
        "class Pair(nn.Module):\n"
        "    def forward(self, x): return x, x\n"
        "def double(spec): return Double()\n"
        "def pair(spec): return Pair()\n"
    )
    (tmp_path / "zdqn_test_broken.py").write_text("undefined\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("zdqn_test_networks", None)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("mpl", 'kind = "mpl" is no network.*"mlp".*module:factory'),
        (":build", "is no network"),
        ("no_such_module_here:build", 'no module "no_such_module_here".*PYTHONPATH'),
        ("zdqn_test_networks:biuld", 'has no "biuld".*"build"'),
        ("zdqn_test_networks:NUMBER", "int cannot be called"),
        ("zdqn_test_networks:text", "returned a str.*torch.nn.Module"),
        ("zdqn_test_networks:fails", "ZeroDivisionError"),
        ("zdqn_test_networks:wrong", r"gave float32 \(2, 7\).*float32 \(2, 2\)"),
        ("zdqn_test_networks:double", "gave float64"),
        ("zdqn_test_networks:narrow", r"shape \(2, 4\), float32.*RuntimeError"),
        ("zdqn_test_networks:pair", "gave a tuple"),
        ("zdqn_test_broken:build", "importing zdqn_test_broken raised NameError"),
        (lambda spec: None, "returned a NoneType"),
        (lambda spec: NoValues(), r"gave float32 \(2, 3\).*\(2, 2\).*method q_values"),
        (lambda spec: WrongValues(), r"gave float32 \(2, 3\)"),
    ],
)
def test_what_cannot_be_built_is_named(
    kind: str | NetworkFactory, message: str, user_modules: None
) -> None:
    with pytest.raises(ConfigError, match=message):
        build(kind)


class NoValues(nn.Linear):
    """Gives three numbers an observation, and does not say what an action is worth."""

    def __init__(self) -> None:
        super().__init__(4, 3)


class WrongValues(nn.Linear):
    """Says what three actions are worth, where there are two."""

    def __init__(self) -> None:
        super().__init__(4, 2)

    def q_values(self, observations: Tensor) -> Tensor:
        return torch.zeros(len(observations), 3)


class Values(NoValues):
    """Gives three numbers an observation, and says what an action is worth."""

    def q_values(self, observations: Tensor) -> Tensor:
        numbers: Tensor = self(observations)
        return numbers[:, :2] + numbers[:, 2:]


def test_a_network_may_give_what_it_likes_if_it_knows_action_values() -> None:
    network = build(lambda spec: Values())
    assert network(torch.zeros(2, 4)).shape == (2, 3)


def test_a_factory_may_be_named_or_given(user_modules: None) -> None:
    named = build("zdqn_test_networks:build")
    given = build(lambda spec: nn.Linear(4, spec.num_actions))
    assert np.array_equal(weights_to_arrays(named)["weight"], weights_to_arrays(given)["weight"])


def test_checking_a_users_network_leaves_its_mode_and_statistics_alone() -> None:
    def factory(spec: EnvironmentSpec) -> nn.Module:
        return nn.Sequential(nn.BatchNorm1d(4), nn.Dropout(0.5).eval(), nn.LazyLinear(2))

    network = build(factory)
    assert isinstance(network, nn.Sequential)
    assert [module.training for module in network] == [True, False, True]
    assert network[0].num_batches_tracked == 0
    assert network(torch.zeros(3, 4)).shape == (3, 2)
