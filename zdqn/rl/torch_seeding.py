"""PyTorch's own random numbers, of which Dropout draws, the same for a seed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed PyTorch's generators for a while, and leave them as they were.

    Args:
        seed: decides what is drawn.
        device: where networks compute; its generator is seeded beside the CPU's.
    """
    gpus = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=gpus):
        # Not torch.manual_seed: that would also seed the generators of every other GPU.
        torch.default_generator.manual_seed(seed)
        if gpus:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield
