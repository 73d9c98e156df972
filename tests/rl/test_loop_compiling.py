"""The real compiler, beside updates that are made one by one."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.core.test_trainer import (
    check_alike,
    check_seen_alike,
    make_network,
    make_trainer,
    normalizing,
    prepare_all,
)
from tests.rl.sampled import make_batch
from zdqn.core.trainer import Trainer
from zdqn.data import EnvironmentSpec
from zdqn.rl.loop_compiling import compile_loop
from zdqn.rl.networks import build_network

pytestmark = [
    # PyTorch's own: its compiler calls what it deprecates.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
    pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler"),
    pytest.mark.timeout(400),
]


def check_compiled(eager: Trainer, looped: Trainer, path: Path, weighted: bool) -> None:
    batches = prepare_all(eager, 20, weighted)
    expected = [eager.update(batch) for batch in batches]
    compile_loop(looped.trace(batches[0]), str(path))
    found = [*looped.update_all(batches[:3])]
    looped.adopt(str(path))
    assert looped.loops_over(batches)
    found += [*looped.update_all(batches[3:4]), *looped.update_all(batches[4:6])]
    found += looped.update_all(batches[6:])
    check_seen_alike(found, expected)
    check_alike(looped, eager, atol=2e-5)


def test_compiled_updates_are_as_many_single_ones(tmp_path: Path) -> None:
    """Double, dueling, clipped, weighted; targets move every 4 updates."""
    options: dict[str, Any] = {"double": True, "max_gradient_norm": 0.5}
    eager, looped = (make_trainer(make_network(dueling=True), **options) for _ in range(2))
    check_compiled(eager, looped, tmp_path / "a.pt2", weighted=True)


@pytest.mark.slow
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {"max_gradient_norm": 0.0, "loss": "squared"},
        {"target_network": "soft", "target_update_period_updates": 1},
        {"target_network": "none"},
        {"target_update_period_updates": 1, "huber_delta": 0.3},
    ],
    ids=str,
)
def test_compiled_updates_know_every_switch(
    options: dict[str, Any], weighted: bool, tmp_path: Path
) -> None:
    eager, looped = make_trainer(**options), make_trainer(**options)
    check_compiled(eager, looped, tmp_path / "a.pt2", weighted)


@pytest.mark.slow
def test_a_compiled_loop_has_the_noise_of_each_update(tmp_path: Path) -> None:
    eager, looped = (
        make_trainer(make_network(dueling=True, noisy_sigma=0.5), double=True) for _ in range(2)
    )
    check_compiled(eager, looped, tmp_path / "a.pt2", weighted=True)


@pytest.mark.slow
@pytest.mark.parametrize("target_network", ["none", "hard"])
def test_compiled_updates_gather_statistics(target_network: str, tmp_path: Path) -> None:
    options = {"target_network": target_network}
    eager, looped = make_trainer(normalizing(), **options), make_trainer(normalizing(), **options)
    check_compiled(eager, looped, tmp_path / "a.pt2", weighted=True)


@pytest.mark.slow
def test_images_are_learned_from_in_a_loop_too(tmp_path: Path) -> None:
    spec = EnvironmentSpec((10, 10), "uint8", 4, frame_stack=2)

    def build() -> Trainer:
        network = build_network(
            spec,
            kind="cnn",
            hidden=(16,),
            activation="relu",
            initialization="default",
            dueling=False,
            seed=0,
        )
        return make_trainer(network, learning_rate=1e-3, adam_eps=0.1)

    eager, looped = build(), build()
    rng = np.random.default_rng(0)

    sampled = make_batch(48)
    images = rng.integers(0, 255, (2, 48, *spec.stacked_shape)).astype(np.uint8)

    sampled = replace(sampled, observations=images[0], next_observations=images[1])
    batches = eager.prepare(sampled, 8, None)
    compile_loop(looped.trace(batches[0]), str(tmp_path / "a.pt2"))
    looped.adopt(str(tmp_path / "a.pt2"))
    expected = [eager.update(batch) for batch in batches]
    found = looped.update_all(batches)
    check_seen_alike(found, expected)
    check_alike(looped, eager)
