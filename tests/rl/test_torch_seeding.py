import pytest
import torch

from zdqn.rl.torch_seeding import seeded


def draw(seed: int, device: torch.device) -> list[float]:
    with seeded(seed, device):
        return torch.rand(3, device=device).tolist()


DEVICES = [
    torch.device("cpu"),
    pytest.param(
        torch.device("cuda", 0),
        marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")],
    ),
]


@pytest.mark.parametrize("device", DEVICES)
def test_the_same_seed_draws_the_same_and_leaves_the_generators_alone(device: torch.device) -> None:
    torch.rand(1, device=device)
    before = torch.get_rng_state()
    assert draw(3, device) == draw(3, device) != draw(4, device)
    assert torch.equal(torch.get_rng_state(), before)


def test_generators_are_left_alone_by_an_error_too() -> None:
    before = torch.get_rng_state()
    with pytest.raises(RuntimeError), seeded(1, torch.device("cpu")):
        torch.rand(1) @ torch.rand(2)
    assert torch.equal(torch.get_rng_state(), before)
