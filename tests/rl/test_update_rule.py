import pytest
import torch
from torch import Tensor

from tests.rl.test_optimizer import DQN, make_batch, make_network
from zdqn.rl.adam import Adam, AdamSettings, FusedAdam, Moments, WrittenAdam
from zdqn.rl.gradients import Functional, Taped
from zdqn.rl.update_rule import Trained, Update, UpdateRule, Updates, priorities_of

SETTINGS = AdamSettings(learning_rate=0.05, beta1=0.9, beta2=0.999, eps=1e-8)


def update(*, functional: bool, limit: float = 0.5) -> tuple[list[Update], dict[str, Tensor]]:
    """Make three updates; give what was seen, and the parameters then."""
    network = make_network()
    trainable = dict(network.named_parameters())
    parameters = {name: p.detach() for name, p in trainable.items()}
    trained = Trained(parameters, parameters, Moments.zeros(parameters))
    adam: Adam = FusedAdam(SETTINGS, parameters)
    rule = UpdateRule(DQN, Taped(network, network, trainable), adam, limit)
    if functional:
        adam = WrittenAdam(SETTINGS, torch.device("cpu"))
        rule = UpdateRule(DQN, Functional(network, network), adam, limit)
    seen = [rule.update(make_batch(k), trained, adam.corrections(k)) for k in range(3)]
    return seen, parameters


def test_it_is_one_rule_however_its_parts_are_computed() -> None:
    taped, functional = update(functional=False), update(functional=True)
    torch.testing.assert_close(functional, taped, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("functional", [False, True])
def test_no_gradient_is_longer_than_the_limit(functional: bool) -> None:
    (free, *_), unlimited = update(functional=functional, limit=0.0)
    (same, *_), loose = update(functional=functional, limit=1e6)
    torch.testing.assert_close(same.gradient_norm, free.gradient_norm)
    torch.testing.assert_close(loose, unlimited)
    (short, *_), tight = update(functional=functional, limit=1e-8)
    torch.testing.assert_close(short.gradient_norm, free.gradient_norm)
    assert not torch.allclose(tight["0.weight"], unlimited["0.weight"])


def seen_in_a_call(count: int, first: int) -> Updates:
    numbers = torch.arange(first, first + count, dtype=torch.float32)
    stacked = Update(numbers[:, None].expand(count, 2), numbers, {"q_mean": -numbers}, 10 * numbers)
    return Updates([stacked])


def test_updates_of_several_calls_are_one_after_the_other() -> None:
    joined = Updates.join([seen_in_a_call(2, 0), seen_in_a_call(3, 2)])
    assert isinstance(joined, Updates)
    assert [float(update.loss) for update in joined] == [0, 1, 2, 3, 4]
    assert [float(update.gradient_norm) for update in joined[1:3]] == [10, 20]
    assert float(joined[-1].metrics["q_mean"]) == -4
    assert joined[-5].priorities.tolist() == [0, 0]
    for index in (5, -6):
        with pytest.raises(IndexError):
            joined[index]
    assert priorities_of(joined).tolist() == [[k, k] for k in range(5)]


def test_updates_that_were_made_one_by_one_are_a_list() -> None:
    several = list(seen_in_a_call(2, 0))
    assert Updates.join([several]) is several
    mixed = Updates.join([several, seen_in_a_call(1, 2)])
    assert [float(update.loss) for update in mixed] == [0, 1, 2]
    assert priorities_of(mixed).tolist() == [[0, 0], [1, 1], [2, 2]]
    assert priorities_of(mixed[:1]).tolist() == [[0, 0]]
    assert Updates.join([]) == []
