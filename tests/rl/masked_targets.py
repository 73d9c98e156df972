"""What masks mean for an objective of distributions."""

import torch


def check_only_allowed_count(objective, batch, pair):
    """With one of three actions allowed, no other can have had a part in a target.

    Args:
        objective: of a distribution.
        batch: of 6 transitions, without masks.
        pair: online and target network, of three actions.
    """
    every = torch.ones((6, 3), dtype=torch.bool)
    free = objective(batch, *pair)
    same = objective(batch._replace(allowed=every, next_allowed=every), *pair)
    assert torch.equal(free.losses, same.losses)
    only = torch.zeros((6, 3), dtype=torch.bool)
    only[:, 1] = True
    found = objective(batch._replace(allowed=every, next_allowed=only), *pair)
    second = [lambda x, network=network: network(x)[:, 1:2].expand(-1, 3, -1) for network in pair]
    expected = objective(batch, lambda x: pair[0](x) if x is batch.observations else second[0](x),
                         second[1])  # fmt: skip
    torch.testing.assert_close(found.losses, expected.losses)
    assert not torch.equal(found.losses, free.losses)
    nothing = torch.zeros((6, 3), dtype=torch.bool)
    over = batch._replace(allowed=only, next_allowed=nothing, discounts=torch.zeros(6))
    assert objective(over, *pair).losses.isfinite().all()
