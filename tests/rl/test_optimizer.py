import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from zdqn.data import EnvironmentSpec
from zdqn.errors import ConfigError, MismatchError, UsageError
from zdqn.rl.adam import AdamSettings
from zdqn.rl.networks import build_network
from zdqn.rl.noisy import noisy_layers
from zdqn.rl.objectives import Assessment, Forward, QLearning
from zdqn.rl.optimizer import GradientHook, Optimizer
from zdqn.rl.training_batch import TrainingBatch
from zdqn.rl.update_rule import Update

# PyTorch's own: its compiler calls what it deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
DQN = QLearning(double=True, loss="huber", huber_delta=1.0)


def make_network() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 4))


def make_batch(seed: int) -> TrainingBatch:
    generator = torch.Generator().manual_seed(seed)
    return TrainingBatch(
        observations=torch.randn(6, 3, generator=generator),
        actions=torch.randint(4, (6,), generator=generator),
        rewards=torch.randn(6, generator=generator),
        discounts=torch.full((6,), 0.9),
        next_observations=torch.randn(6, 3, generator=generator),
        importance_weights=None,
    )


def make_optimizer(network: nn.Module, **options: Any) -> Optimizer:
    settings: dict[str, Any] = {"max_gradient_norm": 0.5, "compile": False, **options}
    adam = AdamSettings(learning_rate=0.05, beta1=0.9, beta2=0.999, eps=1e-8)
    return Optimizer(settings.pop("objective", DQN), network, network, adam, **settings)


def train(**options: Any) -> tuple[list[Update], list[Tensor]]:
    """Make five updates; give what was seen, and the parameters then."""
    network = make_network()
    seen = make_optimizer(network, **options).step([make_batch(seed) for seed in range(5)], 0)
    return list(seen), [parameter.detach() for parameter in network.parameters()]


@pytest.mark.parametrize("compile", [False, True])
def test_a_hook_is_given_the_gradients_and_gives_those_to_step_with(compile: bool) -> None:  # noqa: A002
    calls = []

    def identity(gradients: dict[str, Tensor]) -> dict[str, Tensor]:
        calls.append({name: gradient.clone() for name, gradient in gradients.items()})
        return gradients

    def first_weight_only(gradients: dict[str, Tensor]) -> dict[str, Tensor]:
        return {
            name: gradient if name == "0.weight" else torch.zeros_like(gradient)
            for name, gradient in gradients.items()
        }

    plain, expected = train(compile=compile)
    hooked, found = train(compile=compile, gradient_hook=identity)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6 if compile else 0)
    for before, after in zip(plain, hooked, strict=True):
        torch.testing.assert_close(before, after, rtol=1e-4, atol=1e-6)
    assert [list(call) for call in calls] == [["0.weight", "0.bias", "2.weight", "2.bias"]] * 5
    norms = [torch.cat([g.ravel() for g in call.values()]).norm() for call in calls]
    torch.testing.assert_close(norms, [update.gradient_norm for update in hooked])

    _, changed = train(compile=compile, gradient_hook=first_weight_only)
    initial = list(make_network().parameters())
    assert [torch.equal(a, b) for a, b in zip(changed, initial, strict=True)] == [
        False, True, True, True,
    ]  # fmt: skip


def test_the_norm_and_the_limit_are_those_of_the_hooks_gradients() -> None:
    """So learners that average their gradients clip and step alike."""

    def hundredfold(gradients: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: 100 * gradient for name, gradient in gradients.items()}

    (plain, *_), _ = train()
    (hooked, *_), _ = train(gradient_hook=hundredfold)
    torch.testing.assert_close(hooked.gradient_norm, 100 * plain.gradient_norm)
    limit = 0.25 * float(plain.gradient_norm)
    # Clipped to the same length, a longer gradient makes the same step.
    _, short = train(max_gradient_norm=limit)
    _, long = train(max_gradient_norm=limit, gradient_hook=hundredfold)
    for ours, theirs in zip(long, short, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("hook", "message"),
    [
        (lambda gradients: {}, r"0\.weight a gradient of shape none.*\(8, 3\)"),
        (lambda gradients: {**gradients, "2.bias": torch.ones(1)}, r"2\.bias.*\(1,\).*\(4,\)"),
    ],
)
def test_a_hook_that_gives_other_gradients_is_refused(hook: GradientHook, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        train(gradient_hook=hook)


@pytest.mark.parametrize("wrong", ["losses", "priorities"])
def test_an_objective_gives_one_loss_and_one_priority_a_transition(wrong: str) -> None:
    def objective(batch: TrainingBatch, online: Forward, target: Forward) -> Assessment:
        assessment = DQN(batch, online, target)
        return assessment._replace(**{wrong: getattr(assessment, wrong)[:, None]})

    with pytest.raises(ValueError, match=r"\(6, 1\).* for 6 transitions"):
        train(objective=objective)


@pytest.mark.parametrize("compile", [False, True])
def test_several_batches_are_several_updates(compile: bool) -> None:  # noqa: A002
    together, expected = train(compile=compile)
    network = make_network()
    optimizer = make_optimizer(network, compile=compile)
    for seed in range(5):
        (update,) = optimizer.step([make_batch(seed)], seed)
        assert torch.equal(update.priorities, together[seed].priorities)
    for ours, theirs in zip(network.parameters(), expected, strict=True):
        assert torch.equal(ours, theirs)


def test_what_an_objective_sees_is_passed_on() -> None:
    (update, *_), _ = train()
    network, batch = make_network(), make_batch(0)
    assessment = DQN(batch, network, network)
    assert torch.equal(update.priorities, assessment.priorities)
    assert update.loss.item() == pytest.approx(assessment.losses.mean().item())
    assert update.metrics == assessment.metrics
    assert not update.loss.requires_grad


@pytest.mark.parametrize("value", [-1.0, float("nan")])
def test_a_limit_that_is_none_is_named(value: float) -> None:
    with pytest.raises(ConfigError, match="max_gradient_norm"):
        make_optimizer(make_network(), max_gradient_norm=value)


def test_a_state_goes_on_and_that_of_another_network_is_refused() -> None:
    network = make_network()
    optimizer = make_optimizer(network)
    optimizer.step([make_batch(0), make_batch(1)], 0)
    state, weights = optimizer.state_dict(), network.state_dict()
    copy = make_network()
    copy.load_state_dict(weights)
    resumed = make_optimizer(copy)
    resumed.load_state_dict(state, 2)
    for each in (optimizer, resumed):
        each.step([make_batch(2)], 2)
    for ours, theirs in zip(copy.parameters(), network.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    moments = np.concatenate([m.ravel() for m in state["second_moments"].values()])
    assert (moments > 0).any()
    del state["second_moments"]["2.bias"]
    with pytest.raises(MismatchError, match=r"second_moments.*2\.bias is missing"):
        resumed.load_state_dict(state, 2)


def make_noisy() -> nn.Module:
    return build_network(
        EnvironmentSpec((3,), "float32", 4),
        kind="mlp",
        hidden=[8],
        activation="tanh",
        initialization="default",
        dueling=False,
        noisy_sigma=0.5,
        seed=0,
    )


def train_noisy(updates: list[int], *, target: bool = True, **options: Any) -> list[Update]:
    """Make updates of these numbers, each of a new network, with one batch."""
    seen: list[Update] = []
    for number in updates:
        online = make_noisy()
        other = copy.deepcopy(online).requires_grad_(False) if target else online
        adam = AdamSettings(learning_rate=0.05, beta1=0.9, beta2=0.999, eps=1e-8)
        optimizer = Optimizer(
            DQN, online, other, adam, max_gradient_norm=0.5, compile=False, **options
        )
        seen += optimizer.step([make_batch(0)], number)
    return seen


@pytest.mark.parametrize("target", [True, False])
def test_each_update_of_a_noisy_network_has_its_own_noise_which_its_number_decides(
    target: bool,
) -> None:
    losses = [float(update.loss) for update in train_noisy([0, 1, 64, 0, 64], target=target)]
    assert len(set(losses)) == 3
    assert losses[:1] + losses[2:3] == losses[3:]
    other = train_noisy([0], target=target, noise_seed=1)
    assert float(other[0].loss) != losses[0]


def test_online_and_target_network_have_noise_of_their_own() -> None:
    online = make_noisy()
    target = copy.deepcopy(online).requires_grad_(False)
    adam = AdamSettings(learning_rate=0.05, beta1=0.9, beta2=0.999, eps=1e-8)
    Optimizer(DQN, online, target, adam, max_gradient_norm=0.0, compile=False).step(
        [make_batch(0)], 0
    )
    one, other = noisy_layers(online)[0].noise_in, noisy_layers(target)[0].noise_in
    assert one is not None
    assert other is not None
    assert not torch.equal(one, other)


def test_the_sigmas_learn_too() -> None:
    network = make_noisy()
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    make_optimizer(network).step([make_batch(seed) for seed in range(3)], 0)
    for name, parameter in network.named_parameters():
        assert not torch.equal(parameter.detach(), before[name]), name


@pytest.mark.slow
def test_compiled_one_by_one_a_noisy_network_has_the_same_noise() -> None:
    networks = [make_noisy(), make_noisy()]
    batches = [make_batch(seed) for seed in range(4)]
    seen = [
        make_optimizer(network, compile=compiled).step(batches, 0)
        for network, compiled in zip(networks, (False, True), strict=True)
    ]
    for ours, theirs in zip(*seen, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
