import copy
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tests.rl.interpreted import adopt_interpreted
from tests.rl.sampled import make_batch, make_masked_batch, make_weights
from zdqn.core.trainer import Trainer
from zdqn.data import EnvironmentSpec
from zdqn.errors import ConfigError, MismatchError
from zdqn.records.checkpoint_files import read_state, write_state
from zdqn.rl.adam import AdamSettings
from zdqn.rl.networks import build_network
from zdqn.rl.objectives import QLearning
from zdqn.rl.training_batch import TrainingBatch, TrainingBatches
from zdqn.rl.update_rule import Update
from zdqn.rl.weight_arrays import weights_to_arrays

SPEC = EnvironmentSpec((3,), "float32", 4)
OPTIONS: dict[str, Any] = {
    "double": False,
    "loss": "huber",
    "huber_delta": 1.0,
    "learning_rate": 0.05,
    "adam_beta1": 0.9,
    "adam_beta2": 0.999,
    "adam_eps": 1e-8,
    "max_gradient_norm": 10.0,
    "target_network": "hard",
    "target_update_period_updates": 4,
    "target_update_rate": 0.25,
    "device": "cpu",
    "compile": False,
}


# PyTorch's own: its compiler calls what it deprecates.
ignore_deprecations = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")


def make_network(
    dueling: bool = False, seed: int = 0, noisy_sigma: float | None = None
) -> nn.Module:
    return build_network(
        SPEC,
        kind="mlp",
        hidden=(8, 6),
        activation="tanh",
        initialization="xavier",
        dueling=dueling,
        noisy_sigma=noisy_sigma,
        seed=seed,
    )


def make_trainer(network: nn.Module | None = None, **options: Any) -> Trainer:
    options = {**OPTIONS, **options}
    objective = QLearning(**{name: options.pop(name) for name in ("double", "loss", "huber_delta")})
    names = ("learning_rate", "adam_beta1", "adam_beta2", "adam_eps")
    adam = AdamSettings(*(options.pop(name) for name in names))
    return Trainer(network or make_network(), objective, adam, **options)


WEIGHTS = make_weights(6)


def train(
    trainer: Trainer, updates: int = 5, weighted: bool = True, first_seed: int = 0
) -> list[Update]:
    results = []
    for seed in range(first_seed, first_seed + updates):
        weights = make_weights(6) if weighted else None
        (batch,) = trainer.prepare(make_batch(6, seed), 6, weights)
        results.append(trainer.update(batch))
    return results


def flat(arrays: dict[str, NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate([array.ravel() for array in arrays.values()])


class SlowTrainer:
    """The same algorithm in double precision, one number at a time."""

    def __init__(self, network: nn.Module, **options: Any) -> None:
        self.options = {**OPTIONS, **options}
        self.online = copy.deepcopy(network).double()
        self.target = copy.deepcopy(self.online)
        self.first = [np.zeros(p.shape) for p in self.online.parameters()]
        self.second = [np.zeros(p.shape) for p in self.online.parameters()]
        self.updates = 0

    def update(self, batch: TrainingBatch) -> tuple[list[float], float, float, float]:
        options = self.options
        online, target = self._values(self.online, batch.observations), self.target
        if options["target_network"] == "none":
            target = self.online
        with torch.no_grad():
            next_target = self._values(target, batch.next_observations)
            next_online = self._values(self.online, batch.next_observations)
        errors: list[Tensor] = []
        loss = torch.zeros((), dtype=torch.float64)
        size = len(batch.actions)
        for j in range(size):
            judge = next_online if options["double"] else next_target
            best = max(range(4), key=lambda a: float(judge[j, a]))
            bootstrap = float(batch.discounts[j]) * float(next_target[j, best])
            error = float(batch.rewards[j]) + bootstrap - online[j, int(batch.actions[j])]
            errors.append(error)
            weights = batch.importance_weights
            weight = 1.0 if weights is None else float(weights[j])
            loss = loss + weight * self._loss(error) / size
        parameters = list(self.online.parameters())
        gradients = [gradient.numpy() for gradient in torch.autograd.grad(loss, parameters)]
        norm = math.sqrt(sum(float((gradient**2).sum()) for gradient in gradients))
        limit = options["max_gradient_norm"]
        if limit and norm > limit:
            gradients = [gradient * (limit / norm) for gradient in gradients]
        self._adam(parameters, gradients)
        self._move_target()
        q_mean = sum(online[j].max().item() for j in range(size)) / size
        return [abs(error.item()) for error in errors], loss.item(), q_mean, norm

    @staticmethod
    def _values(network: nn.Module, observations: Tensor) -> Tensor:
        # Around the input stage, which casts to single precision.
        assert isinstance(network, nn.Sequential)
        values: Tensor = network[1:](observations.double())
        return values

    def _loss(self, error: Tensor) -> Tensor:
        delta = self.options["huber_delta"]
        if self.options["loss"] == "squared" or abs(error.item()) <= delta:
            return 0.5 * error * error
        linear: Tensor = delta * (abs(error) - 0.5 * delta)
        return linear

    def _adam(self, parameters: list[nn.Parameter], gradients: list[NDArray[Any]]) -> None:
        """Kingma & Ba 2015, algorithm 1."""
        self.updates += 1
        beta1, beta2 = self.options["adam_beta1"], self.options["adam_beta2"]
        for i, (parameter, gradient) in enumerate(zip(parameters, gradients, strict=True)):
            self.first[i] = beta1 * self.first[i] + (1 - beta1) * gradient
            self.second[i] = beta2 * self.second[i] + (1 - beta2) * gradient**2
            first = self.first[i] / (1 - beta1**self.updates)
            second = self.second[i] / (1 - beta2**self.updates)
            step = first / (np.sqrt(second) + self.options["adam_eps"])
            parameter.data -= self.options["learning_rate"] * torch.from_numpy(step)

    def _move_target(self) -> None:
        if self.updates % self.options["target_update_period_updates"]:
            return
        rate = 1.0
        if self.options["target_network"] == "soft":
            rate = self.options["target_update_rate"]
        for old, new in zip(self.target.parameters(), self.online.parameters(), strict=True):
            old.data = (1 - rate) * old.data + rate * new.data


SWITCHES: list[dict[str, Any]] = [
    {"double": True},
    {"loss": "squared"},
    {"huber_delta": 0.3},
    {"learning_rate": 0.002},
    {"adam_beta1": 0.5},
    {"adam_beta2": 0.9},
    {"adam_eps": 0.1},
    {"max_gradient_norm": 0.05},
    {"target_network": "none"},
    {"target_network": "soft"},
    {"target_network": "soft", "target_update_rate": 0.9},
    {"target_update_period_updates": 1},
]


def check_against_slow(trainer: Trainer, slow: SlowTrainer, weighted: bool = True) -> None:
    for seed in range(5):
        weights = make_weights(6) if weighted else None
        (batch,) = trainer.prepare(make_batch(6, seed), 6, weights)
        found = trainer.update(batch)
        errors, loss, q_mean, norm = slow.update(batch)
        assert found.priorities.tolist() == pytest.approx(errors, rel=1e-4, abs=1e-5)
        assert found.loss.item() == pytest.approx(loss, rel=1e-4)
        assert found.metrics["q_mean"].item() == pytest.approx(q_mean, rel=1e-4, abs=1e-5)
        assert found.gradient_norm.item() == pytest.approx(norm, rel=1e-4)
    for found_network, expected in ((trainer.online, slow.online), (trainer.target, slow.target)):
        if trainer.target is trainer.online and found_network is trainer.target:
            expected = slow.online
        for ours, theirs in zip(found_network.parameters(), expected.parameters(), strict=True):
            np.testing.assert_allclose(
                ours.detach().numpy(), theirs.detach().numpy(), rtol=1e-4, atol=1e-5
            )


@pytest.mark.parametrize("options", [{}, *SWITCHES, {"max_gradient_norm": 0.0}], ids=str)
def test_updates_are_those_of_the_slow_obvious_algorithm(options: dict[str, Any]) -> None:
    network = make_network()
    slow = SlowTrainer(network, **options)
    check_against_slow(make_trainer(network, **options), slow)


@pytest.mark.parametrize("weighted", [False, True])
def test_a_dueling_network_is_trained_alike(weighted: bool) -> None:
    network = make_network(dueling=True)
    slow = SlowTrainer(network, double=True)
    check_against_slow(make_trainer(network, double=True), slow, weighted)


@pytest.mark.parametrize("options", SWITCHES, ids=str)
def test_every_switch_changes_the_training(options: dict[str, Any]) -> None:
    # Against a soft target where the rate is in question, which a hard one does not have.
    kind = "soft" if "target_update_rate" in options else "hard"
    plain, switched = make_trainer(target_network=kind), make_trainer(**options)
    train(plain, 30)
    train(switched, 30)
    assert not np.allclose(flat(plain.weights()), flat(switched.weights()), rtol=1e-4, atol=0)


def test_importance_weights_change_the_training() -> None:
    plain, weighted = make_trainer(), make_trainer()
    train(plain, weighted=False)
    train(weighted)
    assert not np.allclose(flat(plain.weights()), flat(weighted.weights()), rtol=1e-4, atol=0)


@pytest.mark.parametrize("double", [False, True])
def test_masks_change_the_training_also_where_updates_are_compiled(
    double: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, masked, looped = (make_trainer(double=double) for _ in range(3))
    sampled = make_masked_batch(6 * 11)
    batches = masked.prepare(sampled, 6, None)
    unmasked = plain.prepare(replace(sampled, allowed=None, next_allowed=None), 6, None)
    adopt_interpreted(looped, batches[0], monkeypatch)
    assert looped.loops_over(batches)
    assert not looped.loops_over(unmasked)
    check_seen_alike(looped.update_all(batches), masked.update_all(batches))
    check_alike(looped, masked)
    plain.update_all(unmasked)
    assert not np.allclose(flat(plain.weights()), flat(masked.weights()), rtol=1e-4, atol=0)


def test_without_a_limit_gradients_are_as_with_a_limit_that_is_never_reached() -> None:
    unlimited, lax = make_trainer(max_gradient_norm=0.0), make_trainer(max_gradient_norm=1e9)
    train(unlimited)
    train(lax)
    np.testing.assert_array_equal(flat(unlimited.weights()), flat(lax.weights()))


def test_a_learning_rate_of_0_changes_nothing() -> None:
    trainer = make_trainer(learning_rate=0.0)
    before = flat(trainer.weights())
    train(trainer)
    np.testing.assert_array_equal(flat(trainer.weights()), before)


def test_a_hard_target_is_the_online_network_of_the_last_copy() -> None:
    trainer = make_trainer(target_update_period_updates=3)
    seen = [flat(trainer.weights())]
    for update in range(7):
        train(trainer, 1, first_seed=update)
        seen.append(flat(trainer.weights()))
        target = np.concatenate([p.numpy().ravel() for p in trainer.target.parameters()])
        np.testing.assert_array_equal(target, seen[(update + 1) // 3 * 3])
    assert trainer.updates == 7


def test_without_a_target_network_the_online_network_gives_the_targets() -> None:
    trainer = make_trainer(target_network="none")
    assert trainer.target is trainer.online
    train(trainer)


@pytest.mark.parametrize("target_network", ["none", "hard", "soft"])
def test_updates_together_are_those_one_by_one(target_network: str) -> None:
    options: dict[str, Any] = {"target_network": target_network, "target_update_period_updates": 3}
    single, together = make_trainer(**options), make_trainer(**options)
    expected = train(single, 11)
    batches = [b for seed in range(11) for b in together.prepare(make_batch(6, seed), 6, WEIGHTS)]
    found = [*together.update_all(batches[:2]), *together.update_all(batches[2:])]
    assert together.updates == single.updates == 11
    assert together.update_all([]) == []
    for update, other in zip(found, expected, strict=True):
        assert torch.equal(update.priorities, other.priorities)
    for ours, theirs in (
        (together.online, single.online),
        (together.target, single.target),
    ):
        for parameter, other_parameter in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert torch.equal(parameter, other_parameter)


# --- several updates in one call ------------------------------------------------------------------


def prepare_all(trainer: Trainer, updates: int, weighted: bool = True) -> TrainingBatches:
    weights = np.concatenate([make_weights(6)] * updates) if weighted else None
    return trainer.prepare(make_batch(6 * updates), 6, weights)


def check_alike(ours: Trainer, theirs: Trainer, atol: float = 1e-5) -> None:
    assert ours.updates == theirs.updates
    for one, other in ((ours.online, theirs.online), (ours.target, theirs.target)):
        np.testing.assert_allclose(
            flat(weights_to_arrays(one)), flat(weights_to_arrays(other)), atol=atol
        )
    states = (trainer.state_dict() for trainer in (ours, theirs))
    for mine, other_state in zip(*((s["first_moments"], s["second_moments"]) for s in states),
                                 strict=True):  # fmt: skip
        for name in mine:
            torch.testing.assert_close(mine[name], other_state[name], atol=atol, rtol=1e-4)


def check_seen_alike(ours: Sequence[Update], theirs: Sequence[Update]) -> None:
    for update, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(update, other, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dueling", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {},
        *SWITCHES,
        {"max_gradient_norm": 0.0},
        {"target_network": "soft", "target_update_period_updates": 1},
        {"target_network": "none", "target_update_period_updates": 1},
    ],
    ids=str,
)
def test_several_updates_in_a_call_are_as_many_single_ones(
    options: dict[str, Any], dueling: bool, weighted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Targets move in the middle of them, every 4 updates, or in each."""
    eager, looped = (make_trainer(make_network(dueling), **options) for _ in range(2))
    batches = prepare_all(eager, 11, weighted)
    expected = [eager.update(batch) for batch in batches]

    found = [*looped.update_all(batches[:2])]  # eager too: it may be in the middle of anything
    interpreted = adopt_interpreted(looped, batches[0], monkeypatch)
    assert looped.loops_over(batches)
    found += [*looped.update_all(batches[2:3]), *looped.update_all(batches[3:])]
    assert sum(interpreted.calls) == 9
    within = looped.target is looped.online or options.get("target_update_period_updates") == 1
    if options.get("target_network") != "none":
        assert interpreted.calls == ([1, 8] if within else [1, 1, 4, 3])
    check_seen_alike(found, expected)
    check_alike(looped, eager)


@pytest.mark.parametrize(
    "options",
    [{"double": True}, {"target_network": "none"}, {"target_update_period_updates": 1}],
    ids=str,
)
def test_a_loop_over_a_noisy_network_has_the_noise_of_each_update(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    network = make_network(dueling=True, noisy_sigma=0.5)
    eager, looped = (make_trainer(copy.deepcopy(network), **options) for _ in range(2))
    state = {**eager.state_dict(), "updates": 60}  # noise is drawn for 64 updates at once
    for trainer in (eager, looped):
        trainer.load_state_dict(state)
    batches = prepare_all(eager, 9)
    expected = [eager.update(batch) for batch in batches]
    adopt_interpreted(looped, batches[0], monkeypatch)
    found = [*looped.update_all(batches[:2]), *looped.update_all(batches[2:])]
    check_seen_alike(found, expected)
    check_alike(looped, eager)
    other = make_trainer(copy.deepcopy(network), **options, noise_seed=1)
    other.load_state_dict(state)
    assert float(other.update(batches[0]).loss) != float(expected[0].loss)


def test_a_batch_of_another_kind_is_learned_from_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    options: dict[str, Any] = {"target_network": "soft", "target_update_period_updates": 1}
    eager, looped = make_trainer(**options), make_trainer(**options)
    interpreted = adopt_interpreted(looped, prepare_all(looped, 1)[0], monkeypatch)
    for trainer in (eager, looped):
        train(trainer, 2)
        train(trainer, 2, weighted=False)
        for batch in trainer.prepare(make_batch(20), 10, np.concatenate([make_weights(10)] * 2)):
            trainer.update(batch)
    assert interpreted.calls == [1, 1]
    check_alike(looped, eager)


def test_a_loop_goes_on_from_a_state_and_leaves_one(monkeypatch: pytest.MonkeyPatch) -> None:
    eager, looped = make_trainer(), make_trainer(make_network(seed=3))
    train(eager, 5)
    batches = prepare_all(eager, 6)
    adopt_interpreted(looped, batches[0], monkeypatch)
    looped.load_state_dict(eager.state_dict())
    eager.update_all(batches[:6])
    looped.update_all(batches)
    check_alike(looped, eager)
    resumed = make_trainer()
    resumed.load_state_dict(looped.state_dict())
    for trainer in (eager, resumed):
        train(trainer, 3, first_seed=20)
    check_alike(resumed, eager)


def normalizing() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8, bias=False), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 4))


@pytest.mark.parametrize("target_network", ["none", "hard", "soft"])
@pytest.mark.parametrize("period", [1, 3])
def test_statistics_are_gathered_within_a_call(
    target_network: str, period: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {
        "target_network": target_network,
        "target_update_period_updates": period,
    }
    eager, looped = make_trainer(normalizing(), **options), make_trainer(normalizing(), **options)
    batches = prepare_all(eager, 5)
    adopt_interpreted(looped, batches[0], monkeypatch)
    check_seen_alike(looped.update_all(batches), [eager.update(batch) for batch in batches])
    check_alike(looped, eager)
    assert abs(looped.weights()["1.running_mean"]).max() > 0.01


def test_a_frozen_layer_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def build() -> nn.Module:
        network = make_network()
        next(network.parameters()).requires_grad_(False)
        return network

    eager, looped = make_trainer(build()), make_trainer(build())
    batches = prepare_all(eager, 5)
    adopt_interpreted(looped, batches[0], monkeypatch)
    looped.update_all(batches)
    for batch in batches:
        eager.update(batch)
    check_alike(looped, eager)


class Held(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 4)
        self.scale = torch.full((4,), 2.0)

    def forward(self, observations: Tensor) -> Tensor:
        return cast(Tensor, self.layer(observations) * self.scale)


class Looking(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 4)

    def forward(self, observations: Tensor) -> Tensor:
        values: Tensor = self.layer(observations)
        return values if bool(values.sum() > 0) else -values


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (nn.Sequential(nn.Linear(3, 4), nn.Dropout()), "random numbers"),
        (Held(), "register them as buffers"),
        (Looking(), "no graph of tensor operations"),
    ],
    ids=["chance", "held", "looking"],
)
def test_what_is_not_the_same_in_every_update_is_no_loop(network: nn.Module, message: str) -> None:
    trainer = make_trainer(network)
    with pytest.raises(ConfigError, match=message):
        trainer.trace(prepare_all(trainer, 1)[0])
    train(trainer, 2)  # and can still be trained


def test_what_is_between_gradients_and_step_is_no_part_of_a_loop() -> None:
    trainer = make_trainer(gradient_hook=lambda gradients: gradients)
    with pytest.raises(ConfigError, match="between gradients and step"):
        trainer.trace(prepare_all(trainer, 1)[0])


def test_the_target_network_is_never_trained() -> None:
    trainer = make_trainer(target_update_period_updates=1000)
    before = [p.clone() for p in trainer.target.parameters()]
    train(trainer)
    for now, then in zip(trainer.target.parameters(), before, strict=True):
        assert torch.equal(now, then)
        assert not now.requires_grad


def test_the_same_seed_and_batches_give_bit_identical_weights() -> None:
    first, second = make_trainer(double=True), make_trainer(double=True)
    train(first, 20)
    train(second, 20)
    np.testing.assert_array_equal(flat(first.weights()), flat(second.weights()))


def test_the_networks_parameters_are_the_live_storage() -> None:
    network = make_network()
    places = [p.data_ptr() for p in network.parameters()]
    trainer = make_trainer(network)
    before = flat(trainer.weights())
    train(trainer, 1)
    assert trainer.online is network
    assert [p.data_ptr() for p in network.parameters()] == places
    live = np.concatenate([p.detach().numpy().ravel() for p in network.parameters()])
    np.testing.assert_array_equal(live, flat(trainer.weights()))
    assert not np.array_equal(live, before)


def test_snapshots_do_not_change_with_later_updates() -> None:
    trainer = make_trainer()
    snapshot, state = trainer.weights(), trainer.state_dict()
    arrays, tensors = copy.deepcopy(snapshot), copy.deepcopy(state)
    train(trainer)
    np.testing.assert_array_equal(flat(snapshot), flat(arrays))
    for part in ("online", "target", "first_moments", "second_moments"):
        for name, tensor in tensors[part].items():
            assert torch.equal(state[part][name], tensor)


@pytest.mark.parametrize("target_network", ["none", "hard", "soft"])
def test_a_loaded_trainer_goes_on_as_if_nothing_had_happened(
    tmp_path: Any, target_network: str
) -> None:
    trainer = make_trainer(target_network=target_network)
    train(trainer, 3)
    write_state(tmp_path / "a.pt", trainer.state_dict())
    resumed = make_trainer(make_network(seed=9), target_network=target_network)
    train(resumed, 1)
    resumed.load_state_dict(read_state(tmp_path / "a.pt"))
    assert resumed.updates == 3
    for update, again in zip(
        train(trainer, 4, first_seed=3), train(resumed, 4, first_seed=3), strict=True
    ):
        assert torch.equal(update.priorities, again.priorities)
        assert torch.equal(update.gradient_norm, again.gradient_norm)
    np.testing.assert_array_equal(flat(trainer.weights()), flat(resumed.weights()))


def test_the_state_of_another_network_is_refused() -> None:
    with pytest.raises(MismatchError, match=r"first_moments.*head\.value\.weight is unknown"):
        make_trainer().load_state_dict(make_trainer(make_network(dueling=True)).state_dict())
    with pytest.raises(MismatchError, match=r"lacks.*online"):
        make_trainer().load_state_dict({"updates": 3})


def test_frozen_and_unused_parameters_are_left_alone() -> None:
    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = make_network()
            self.frozen = nn.Linear(3, 4).requires_grad_(False)
            self.unused = nn.Linear(2, 2)

        def forward(self, observations: Tensor) -> Tensor:
            values: Tensor = self.layers(observations) + self.frozen(observations)
            return values

    network = Network()
    before = copy.deepcopy(network)
    trainer = make_trainer(network, target_network="soft")
    train(trainer)
    assert torch.equal(network.frozen.weight, before.frozen.weight)
    assert torch.equal(network.unused.weight, before.unused.weight)
    trained = {f"layers.{name}": p for name, p in make_network().named_parameters()}
    for name, parameter in trained.items():
        assert not torch.equal(network.get_parameter(name), parameter)


def test_buffers_reach_the_target_network() -> None:
    trainer = make_trainer(nn.Sequential(nn.BatchNorm1d(3), make_network()))
    train(trainer, 4)
    (online,) = [m for m in trainer.online.modules() if isinstance(m, nn.BatchNorm1d)]
    (target,) = [m for m in trainer.target.modules() if isinstance(m, nn.BatchNorm1d)]
    assert online.num_batches_tracked == target.num_batches_tracked == 4
    assert torch.equal(online.running_mean, target.running_mean)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "hubber"}, 'loss = "hubber".*"huber"'),
        ({"target_network": "polyak"}, 'target_network = "polyak".*hard, none, soft'),
        ({"device": "gpu"}, 'device = "gpu"'),
        ({"huber_delta": 0.0}, "huber_delta = 0.0"),
        ({"learning_rate": -1.0}, "learning_rate"),
        ({"learning_rate": math.nan}, "learning_rate"),
        ({"adam_beta1": 1.0}, "adam_beta1"),
        ({"adam_beta2": -0.1}, "adam_beta2"),
        ({"adam_eps": 0.0}, "adam_eps"),
        ({"max_gradient_norm": -1.0}, "max_gradient_norm"),
        ({"target_update_period_updates": 0}, "target_update_period_updates"),
        ({"target_update_rate": 0.0}, "target_update_rate"),
        ({"target_update_rate": 1.1}, "target_update_rate"),
    ],
)
def test_options_that_cannot_work_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_trainer(**options)


def test_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ConfigError, match=r'device = "cuda".*"auto" or "cpu"'):
        make_trainer(device="cuda")
    assert make_trainer(device="auto").device == torch.device("cpu")


@pytest.mark.parametrize(
    "network", [nn.Linear(3, 4).double(), nn.Linear(3, 4).requires_grad_(False), nn.Flatten()]
)
def test_a_network_that_cannot_be_trained_is_refused(network: nn.Module) -> None:
    with pytest.raises(ConfigError, match="float32"):
        make_trainer(network)


def test_where_nothing_can_be_compiled_the_way_out_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        def call(*_: Any) -> Any:
            raise RuntimeError("no compiler\nand pages of other text")

        return call

    monkeypatch.setattr("torch.compile", broken)
    with pytest.raises(ConfigError, match=r"no compiler.*C\+\+.*learner\.compile = false"):
        train(make_trainer(compile=True), 1)


@ignore_deprecations
def test_compiled_updates_are_the_slow_algorithm_and_go_on_from_eager_ones() -> None:
    options: dict[str, Any] = {
        "double": True,
        "max_gradient_norm": 0.5,
        "target_network": "soft",
        "target_update_period_updates": 1,
    }
    network = make_network()
    slow = SlowTrainer(network, **options)
    compiled = make_trainer(network, **options, compile=True)
    check_against_slow(compiled, slow)

    eager = make_trainer(make_network(seed=5), **options)
    eager.load_state_dict(compiled.state_dict())
    train(eager, 3, first_seed=5)
    train(compiled, 3, first_seed=5)
    np.testing.assert_allclose(flat(compiled.weights()), flat(eager.weights()), atol=1e-5)

    compiled.load_state_dict(eager.state_dict())
    assert compiled.updates == eager.updates == 8
    train(eager, 3, first_seed=8)
    train(compiled, 3, first_seed=8)
    np.testing.assert_allclose(flat(compiled.weights()), flat(eager.weights()), atol=1e-5)


@pytest.mark.slow
@ignore_deprecations
@pytest.mark.parametrize("options", [{}, *SWITCHES, {"max_gradient_norm": 0.0}], ids=str)
def test_compiled_updates_know_every_switch(options: dict[str, Any]) -> None:
    # One after the other in one process: no trainer may run what was compiled for another.
    network = make_network()
    slow = SlowTrainer(network, **options)
    check_against_slow(make_trainer(network, **options, compile=True), slow)


@pytest.mark.slow
@ignore_deprecations
def test_a_compiled_trainer_takes_batches_with_and_without_weights_and_of_other_sizes() -> None:
    eager, compiled = make_trainer(), make_trainer(compile=True)
    for trainer in (eager, compiled):
        train(trainer, 2)
        train(trainer, 2, weighted=False)
        train(trainer, 2)
        for batch in trainer.prepare(make_batch(20), 10, None):
            trainer.update(batch)
    np.testing.assert_allclose(flat(compiled.weights()), flat(eager.weights()), atol=1e-5)


@pytest.mark.parametrize(
    "spec",
    [
        EnvironmentSpec((36, 40), "uint8", 4, frame_stack=3),
        EnvironmentSpec((10, 10, 4), "bool", 4),
        EnvironmentSpec((10, 10), "uint8", 4),
    ],
    ids=["large stacks", "small with channels", "small, one channel"],
)
def test_how_images_lie_in_memory_changes_no_update(spec: EnvironmentSpec) -> None:
    """Fused Adam goes through memory in order: weights and gradients must lie alike."""
    network = build_network(
        spec,
        kind="cnn",
        hidden=(16,),
        activation="relu",
        initialization="default",
        dueling=True,
        seed=0,
    )
    plain = copy.deepcopy(network).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    images = np.random.default_rng(0).integers(0, 2, (2, 8, *spec.stacked_shape)).astype(spec.dtype)
    batch = replace(make_batch(8), observations=images[0], next_observations=images[1])
    options = {"learning_rate": 1e-3, "adam_eps": 0.1}  # no leaps where a gradient is nearly 0
    trainers = make_trainer(network, **options), make_trainer(plain, **options)
    for trainer in trainers:
        (prepared,) = trainer.prepare(batch, 8, None)
        for _ in range(3):
            trainer.update(prepared)
    first, second = (trainer.weights() for trainer in trainers)
    for name, array in first.items():
        np.testing.assert_allclose(array, second[name], rtol=1e-3, atol=1e-5, err_msg=name)


@ignore_deprecations
@pytest.mark.parametrize("target_network", ["hard", "none"])
def test_compiled_and_eager_updates_gather_the_same_statistics(target_network: str) -> None:
    def build() -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Linear(3, 8, bias=False), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 4)
        )

    states = []
    for compiled in (False, True):
        trainer = make_trainer(build(), target_network=target_network, compile=compiled)
        train(trainer, 3)
        states.append(trainer.weights())
    eager, graph = states
    passes = 2 if target_network == "none" else 1  # of the network that learns, an update
    assert eager["1.num_batches_tracked"] == graph["1.num_batches_tracked"] == 3 * passes
    assert abs(eager["1.running_mean"]).max() > 0.01
    np.testing.assert_allclose(flat(graph), flat(eager), atol=1e-5)
