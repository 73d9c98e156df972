"""From a configuration to a file of compiled updates."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from zdqn.config import Config
from zdqn.data import EnvironmentSpec
from zdqn.roles.building import build_trainer, use_threads
from zdqn.roles.compiling.loop_cache import LoopCache, key_of
from zdqn.roles.compiling.loop_compiler import Job

if TYPE_CHECKING:
    from zdqn.rl.training_batch import TrainingBatch


def compile_job(job: Job) -> Path:
    """Compile what a job asks for, unless the cache has it.

    Args:
        job: its config's device is taken to be the CPU.

    Returns:
        The file in the cache.

    Raises:
        ConfigError: if the updates are nothing that can be compiled in this way.
    """
    from zdqn.rl.loop_compiling import compile_loop

    learner = msgspec.structs.replace(job.config.learner, device="cpu")
    config = msgspec.structs.replace(job.config, learner=learner)
    use_threads(config.learner.threads)
    trainer = build_trainer(config, job.network, job.spec)
    graph = trainer.trace(example_batch(config, job.spec))
    cache = LoopCache(job.folder)
    key = job.key or key_of(f"{graph.digest} {config.learner.threads}".encode())
    found = cache.find(key)
    if found is not None:
        return found
    made = job.work / "updates.pt2"
    compile_loop(graph, str(made))
    made.chmod(0o600)
    path = cache.path(key)
    os.replace(made, path)  # noqa: PTH105 - whole or not at all; another process may do the same
    cache.prune()
    return path


def example_batch(config: Config, spec: EnvironmentSpec) -> TrainingBatch:
    """Make a batch such as a trainer is given, of zeros.

    Args:
        config: its batch size and kind of replay count.
        spec: of the environment.
    """
    import torch

    from zdqn.rl.training_batch import TrainingBatch
    from zdqn.rl.weight_arrays import tensor_view

    size = config.algorithm.batch_size
    observations = tensor_view(np.zeros((size, *spec.stacked_shape), spec.dtype))
    numbers = torch.zeros(size)
    masks = torch.zeros(size, spec.num_actions, dtype=torch.bool) if spec.action_masks else None
    return TrainingBatch(
        observations=observations,
        actions=torch.zeros(size, dtype=torch.int64),
        rewards=numbers,
        discounts=numbers.clone(),
        next_observations=observations.clone(),
        importance_weights=numbers.clone() if config.replay.kind == "prioritized" else None,
        allowed=masks,
        next_allowed=None if masks is None else masks.clone(),
    )
