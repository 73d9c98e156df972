"""The order of acting, storing and learning, with parts that only take notes."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import nn

from zdqn.core.lockstep import Lockstep
from zdqn.data import Batch, EnvironmentSpec, WeightVersion
from zdqn.rl.importance import importance_weights
from zdqn.rl.staleness import Staleness
from zdqn.rl.torch_policy import TorchPolicy
from zdqn.rl.update_means import UpdateMeans

SPEC = EnvironmentSpec((3,), "float32", 3)
OBSERVATIONS = np.eye(3, dtype=np.float32)[[2, 0]]


class Rollout:
    """Two environments; a block is complete after three steps, or is none."""

    def __init__(self, blocks=()):
        self.observations = OBSERVATIONS
        self.allowed: Any = None
        self.environment_steps = 0
        self.blocks = list(blocks)
        self.steps: list[tuple[Any, ...]] = []
        self.left = 3

    @property
    def full(self):
        return self.left == 0

    def step(self, actions, version, chosen_q=None, best_q=None):
        assert not self.full
        self.steps.append((actions.tolist(), version, chosen_q, best_q))
        self.environment_steps += 2
        self.left -= 1

    def take_block(self):
        self.left = 3
        return self.blocks.pop(0)


class Store:
    """Allows some draws, and gives transitions of the versions 1, 3 and of another epoch."""

    def __init__(self, draws=0):
        self.draws = draws
        self.inserted: list[Any] = []
        self.priorities: list[tuple[list[int], list[float]]] = []

    def insert(self, block):
        self.inserted.append(block)

    def allowed_batches(self, batch_size, batches):
        assert batch_size == 3
        return min(self.draws, batches)

    def draw(self, batch_size, batches):
        assert batch_size == 3
        assert 1 <= batches <= self.draws
        self.draws -= batches
        zeros = np.zeros(3 * batches, np.float32)
        versions = [WeightVersion(1, 1).pack(), WeightVersion(1, 3).pack(), 4] * batches
        observations = OBSERVATIONS[[0, 0, 0] * batches]
        return Batch(
            observations, np.zeros(3 * batches, np.int64), zeros, zeros, observations,
            np.array([7, 8, 9] * batches), np.array([0.5, 0.25, 0.125] * batches),
            np.array(versions),
        )  # fmt: skip

    def update_priorities(self, keys, priorities):
        self.priorities.append((keys.tolist(), priorities.tolist()))


class Trainer:
    """Values of an action are its column of a matrix; an update is a number."""

    def __init__(self, updates=0, several=False):
        self.several = several
        self.calls: list[int] = []
        self.online = nn.Linear(3, 3, bias=False)
        with torch.no_grad():
            self.online.weight.copy_(torch.tensor([[0.0, 9, 1], [5, 0, 3], [2, 0, 0]]))
        self.updates = updates
        self.weights: list[Any] = []

    def prepare(self, batch, batch_size, weights):
        assert batch_size == 3
        self.weights.append(weights)
        return list(range(self.updates, self.updates + len(batch) // 3))

    def loops_over(self, prepared):
        return self.several

    def update_all(self, prepared):
        self.calls.append(len(prepared))
        return [self._update(number) for number in prepared]

    def _update(self, number):
        assert number == self.updates
        self.updates += 1
        priorities = torch.tensor([0.5, 2.0, number])
        return SimpleNamespace(number=number, priorities=priorities, loss=torch.tensor(0.5))


class Divergence:
    """Notes what it is told of."""

    def __init__(self):
        self.rewards: list[float] = []
        self.checked: list[int] = []

    def saw(self, rewards):
        self.rewards += rewards.tolist()

    def check_priorities(self, priorities, updates):
        assert np.isfinite(priorities).all()
        self.checked.append(updates)


def block(reward):
    return SimpleNamespace(records={"reward": np.array([reward])})


def make(rollout=None, store=None, trainer=None, **options):
    trainer = trainer or Trainer()
    settings: dict[str, Any] = {
        "batch_size": 3, "prioritized": False, "estimate": False,
        "epsilon": lambda steps: 0.0, "importance_exponent": lambda updates: 1.0,
        "rng": np.random.default_rng(0), "staleness": Staleness(),
        "divergence": Divergence(), "means": UpdateMeans(), **options,
    }  # fmt: skip
    policy = TorchPolicy(trainer.online)
    parts = rollout or Rollout([None]), SPEC, store or Store(), trainer, policy
    return Lockstep(*cast("Any", parts), **settings)


# --- acting ---------------------------------------------------------------------------------------


def test_it_steps_until_a_block_is_complete_and_stores_it():
    blocks = [block(2.5), block(-1)]
    rollout, store, divergence = Rollout(blocks), Store(), Divergence()
    lockstep = make(rollout, store, divergence=divergence)
    lockstep.collect()
    assert (len(rollout.steps), store.inserted) == (3, blocks[:1])
    lockstep.collect()
    assert (len(rollout.steps), store.inserted) == (6, blocks)
    assert divergence.rewards == [2.5, -1], "what returns there are decides what values may be"


def test_who_is_interrupted_stores_what_there_is():
    rollout, store = Rollout([block(1)]), Store()
    make(rollout, store).collect(lambda: len(rollout.steps) == 2)
    assert (len(rollout.steps), len(store.inserted)) == (2, 1)


def test_no_update_is_made_any_more_once_it_is_interrupted():
    trainer = Trainer()
    made = make(store=Store(draws=9), trainer=trainer).learn(stop=lambda: trainer.updates == 4)
    assert made == trainer.updates == 4


def test_where_no_transition_is_complete_nothing_is_stored():
    store = Store()
    make(Rollout([None]), store).collect()
    assert store.inserted == []


def test_it_acts_greedily_with_the_networks_of_now():
    rollout = Rollout([None])
    make(rollout, trainer=Trainer(updates=5)).collect()
    version = WeightVersion(1, 5).pack()
    assert rollout.steps == [([1, 1], version, None, None)] * 3


def test_estimates_go_with_the_steps():
    rollout = Rollout([None])
    make(rollout, estimate=True).collect()
    actions, _, chosen_q, best_q = rollout.steps[0]
    assert actions == [1, 1]
    assert chosen_q.tolist() == best_q.tolist() == [3, 5]


def test_epsilon_follows_the_environment_steps():
    asked = []

    def epsilon(steps):
        asked.append(steps)
        return 0.0

    make(Rollout([None, None]), epsilon=epsilon).collect()
    assert asked == [0, 2, 4]


def test_each_environment_may_explore_with_its_own_epsilon():
    rollout = Rollout([None] * 50)
    lockstep = make(rollout, epsilon=lambda steps: np.array([0.0, 1.0]))
    for _ in range(50):
        lockstep.collect()
    first, second = zip(*(actions for actions, *_ in rollout.steps), strict=True)
    assert set(first) == {1}
    assert set(second) == {0, 1, 2}


@pytest.mark.parametrize("estimate", [False, True])
def test_what_is_not_allowed_is_neither_explored_nor_chosen(estimate):
    rollout = Rollout([None] * 30)
    rollout.allowed = np.array([[True, False, True], [False, True, True]])
    lockstep = make(rollout, epsilon=lambda steps: np.array([0.0, 1.0]), estimate=estimate)
    for _ in range(30):
        lockstep.collect()
    first, second = zip(*(actions for actions, *_ in rollout.steps), strict=True)
    assert len(set(first)) == 1
    assert set(first) <= {0, 2}
    assert set(second) == {1, 2}


# --- learning -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("allowed", "most", "made"), [(0, 9, 0), (3, 9, 3), (3, 2, 2), (3, 0, 0), (3, None, 3)]
)
def test_it_makes_the_updates_that_are_due_but_no_more_than_it_was_told(allowed, most, made):
    store, trainer = Store(draws=allowed), Trainer()
    lockstep = make(store=store, trainer=trainer)
    assert lockstep.update is None
    assert (lockstep.learn() if most is None else lockstep.learn(most)) == made
    assert (trainer.updates, store.draws) == (made, allowed - made)
    update = cast("Any", lockstep.update)
    assert (update.number if update is not None else -1) == made - 1


def test_without_priorities_nothing_is_weighted_or_written_back():
    store, trainer = Store(draws=2), Trainer()
    make(store=store, trainer=trainer).learn()
    assert (trainer.weights, store.priorities) == ([None], [])


@pytest.mark.parametrize(("several", "calls"), [(False, [1] * 40), (True, [16, 16, 8])])
def test_batches_are_drawn_together_and_compiled_updates_made_in_one_call(several, calls):
    store, trainer, staleness = Store(draws=40), Trainer(several=several), Staleness()
    made = make(store=store, trainer=trainer, staleness=staleness).learn()
    assert made == trainer.updates == 40
    assert (trainer.calls, len(trainer.weights)) == (calls, 3)
    assert staleness.mean == np.mean([[now - 1, now - 3] for now in range(40)])


def test_with_priorities_each_batch_is_drawn_after_the_update_before_it():
    store, trainer = Store(draws=3), Trainer(several=True)
    make(store=store, trainer=trainer, prioritized=True).learn()
    assert (trainer.calls, len(trainer.weights)) == ([1, 1, 1], 3)


def test_with_priorities_rare_draws_weigh_more_and_what_was_learned_is_written_back():
    store, trainer = Store(draws=2), Trainer(updates=4)
    exponents, divergence = {4: 0.5, 5: 1.0}, Divergence()
    make(
        store=store, trainer=trainer, prioritized=True, importance_exponent=exponents.__getitem__,
        divergence=divergence,
    ).learn()  # fmt: skip
    assert divergence.checked == [5, 6], "no priority is written back unseen"
    probabilities = np.array([0.5, 0.25, 0.125])
    for given, exponent in zip(trainer.weights, (0.5, 1.0), strict=True):
        assert np.array_equal(given, importance_weights(probabilities, exponent))
    assert store.priorities == [([7, 8, 9], [0.5, 2, 4]), ([7, 8, 9], [0.5, 2, 5])]


def test_the_age_of_what_is_learned_from_is_counted_in_updates():
    staleness = Staleness()
    make(store=Store(draws=2), trainer=Trainer(updates=5), staleness=staleness).learn()
    assert staleness.mean == ((5 - 1) + (5 - 3) + (6 - 1) + (6 - 3)) / 4
