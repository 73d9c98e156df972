"""Writes a trained network as a file for other programs, once it acts as the checkpoint does."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from zdqn.errors import FileError, MismatchError, UsageError, did_you_mean, what_went_wrong
from zdqn.experiments.exported_policies import (
    FORMATS,
    INPUT,
    ONNX,
    OUTPUT,
    SAFETENSORS,
    TORCHSCRIPT,
    about,
    package_of,
)
from zdqn.experiments.trained_policy import TrainedPolicy, checkpoint_of, load_policy
from zdqn.records.run_result import RunResult
from zdqn.rl.action_masks import allowed_values
from zdqn.rl.exploration import epsilon_greedy
from zdqn.roles.building import (
    EnvironmentFactory,
    NetworkFactory,
    build_evaluation_environments,
    build_network,
    one_thread,
)

if TYPE_CHECKING:
    from torch import nn

_EPSILON = 0.1
"""Share of random actions on the way, so that not one episode is seen again and again."""
_TOLERANCE = 1e-4
"""Two values so close, of the larger one's size, are equal but for rounding."""


class Exported(NamedTuple):
    """A file that was written.

    Attributes:
        path: of the file.
        observations: of the environment for which its actions were compared with the checkpoint's.
        largest_difference: of an action value.
    """

    path: Path
    observations: int
    largest_difference: float


def export(
    run: RunResult | str | Path,
    file: str | Path,
    *,
    observations: int = 1_000,
    seed: int = 0,
    environment: EnvironmentFactory | None = None,
    network: NetworkFactory | None = None,
    on_observation: Callable[[int], object] | None = None,
) -> Exported:
    """Write a network to a file, if it gives the same actions there on real observations.

    `zdqn.load_policy` reads the file again, without PyTorch: ONNX with ONNX Runtime, and
    safetensors of a small fully connected network in NumPy. TorchScript, which PyTorch deprecates,
    it reads with PyTorch. Where actions are masked a file knows nothing of it, and gives the values
    of all.

    Args:
        run: as for `zdqn.load_policy`.
        file: to write, replaced if it exists; its ending says how: ``.onnx`` (input "observations",
            output "q_values", any number of rows), ``.safetensors`` (weights by name) or
            ``.torchscript`` (from observations to action values).
        observations: on which actions are compared, >= 1.
        seed: of the environments that give them, >= 0.
        environment: makes an environment; the one that the run was given, if it was.
        network: makes the network; the one that the run was given, if it was.
        on_observation: told now and then on how many observations actions were compared.

    Returns:
        The file, and what was compared.

    Raises:
        UsageError: for another ending, a number that is too small, or a network that PyTorch
            cannot write so.
        ConfigError: when the ``export`` extra is missing.
        FileError: when a file cannot be read or written.
        MismatchError: when the exported network acts differently; nothing is written then.
    """
    file = Path(file)
    write = {
        ONNX: _write_onnx,
        SAFETENSORS: _write_safetensors,
        TORCHSCRIPT: _write_torchscript,
    }.get(file.suffix)
    if write is None:
        known = did_you_mean(file.suffix, FORMATS)
        raise UsageError(f"{file} ends in {file.suffix!r}, which says no format. {known}")
    if observations < 1 or seed < 0:
        raise UsageError(
            f"observations is {observations} and seed {seed}; the one must be 1 or more, the other "
            f"0 or more."
        )
    if not file.parent.is_dir():
        raise FileError(f"Cannot write {file}: there is no folder {file.parent}.")
    with one_thread():
        policy = load_policy(run, network=network)
        unfinished = file.with_name(f".{file.stem}.{os.getpid()}{file.suffix}")
        try:
            write(unfinished, policy, checkpoint_of(run), network)
            other = load_policy(unfinished, network=network)
            difference = _compare(policy, other, environment, observations, seed, on_observation)
            unfinished.replace(file)
        except OSError as error:
            raise FileError(f"Cannot write {file}: {error.strerror or error}.") from error
        finally:
            unfinished.unlink(missing_ok=True)
    return Exported(file, observations, difference)


def _write_safetensors(
    path: Path, policy: TrainedPolicy, checkpoint: Path, network: NetworkFactory | None
) -> None:
    del network
    from zdqn.records.checkpoints import load_checkpoint

    with package_of("safetensors"):
        from safetensors.numpy import save_file
    tensors = load_checkpoint(checkpoint).online
    arrays = {name: np.ascontiguousarray(tensor.cpu().numpy()) for name, tensor in tensors.items()}
    try:
        save_file(arrays, path, about(policy.config, policy.spec))
    except Exception as error:  # its own, of a full disk too
        raise FileError(f"Cannot write {path}: {what_went_wrong(error)}.") from error


def _write_onnx(
    path: Path, policy: TrainedPolicy, checkpoint: Path, network: NetworkFactory | None
) -> None:
    import torch

    with package_of("onnx and onnxscript"):
        import onnx
        import onnxscript  # noqa: F401 - PyTorch's exporter imports it, and says less if it cannot

    values = _values_of(policy, checkpoint, network)
    try:
        with _quietly():
            program = torch.onnx.export(
                values.eval(),
                (torch.from_numpy(_example(policy)),),
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes={INPUT: {0: torch.export.Dim("rows")}},
                dynamo=True,
                verbose=False,
            )
            assert program is not None
            model = program.model_proto
    except Exception as error:
        raise UsageError(
            f"PyTorch's exporter cannot write this network as ONNX: {type(error).__name__}: "
            f"{error} `--safetensors` writes its weights alone."
        ) from error
    onnx.helper.set_model_props(model, about(policy.config, policy.spec))
    onnx.save(model, path)


def _write_torchscript(
    path: Path, policy: TrainedPolicy, checkpoint: Path, network: NetworkFactory | None
) -> None:
    from zdqn.experiments.torchscript import torchscript_of

    values = _values_of(policy, checkpoint, network)
    about_it = about(policy.config, policy.spec)
    path.write_bytes(torchscript_of(values, _example(policy), about_it))


def _values_of(
    policy: TrainedPolicy, checkpoint: Path, network: NetworkFactory | None
) -> nn.Module:
    """Give a network with the weights of a checkpoint whose forward pass gives action values."""
    from torch import Tensor, nn

    from zdqn.records.checkpoints import load_checkpoint
    from zdqn.rl.networks import q_values

    module = build_network(policy.config, network, policy.spec)
    module.load_state_dict(dict(load_checkpoint(checkpoint).online))

    class Values(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = module

        def forward(self, observations: Tensor) -> Tensor:
            return q_values(self.network, observations)

    return Values()


def _example(policy: TrainedPolicy) -> NDArray[Any]:
    """Give two observations, of zeros, by which an exporter follows a network."""
    return np.zeros((2, *policy.spec.stacked_shape), policy.spec.dtype)


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep to itself what PyTorch's exporter says of packages that nobody asked for."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)


def _compare(
    policy: TrainedPolicy,
    other: TrainedPolicy,
    environment: EnvironmentFactory | None,
    most: int,
    seed: int,
    tell: Callable[[int], object] | None,
) -> float:
    """Compare actions on observations of the environment; gives the largest difference of a value.

    Raises:
        MismatchError: when an action is another, and no equal of the first but for rounding.
    """
    largest, seen = 0.0, 0
    for observations, allowed in _real_observations(policy, environment, seed):
        observations, allowed = observations[: most - seen], allowed[: most - seen]
        # one alone, as most programs ask, and the others together
        theirs = np.concatenate(
            [other.q_values(observations[:1]), other.q_values(observations[1:])]
        )
        ours = policy.q_values(observations)
        largest = max(largest, float(np.abs(ours - theirs).max()))
        rows = np.arange(len(ours))
        chosen, best = (allowed_values(each, allowed).argmax(1) for each in (theirs, ours))
        lost = ours[rows, best] - ours[rows, chosen]
        size = np.where(allowed, np.abs(ours), 1.0).max(1)
        wrong = np.count_nonzero(lost > _TOLERANCE * np.maximum(size, 1.0))
        seen += len(ours)
        if wrong:
            raise MismatchError(
                f"The exported network chose another action for {wrong} of {seen} observations "
                f"of the environment (action values differ by up to {largest:.3g}), so nothing "
                f"was written. This is a fault of the exporter, or of a network of your own that "
                f"computes otherwise when it is traced."
            )
        if tell is not None:
            tell(seen)
        if seen >= most:
            return largest
    raise AssertionError("unreachable")


def _real_observations(
    policy: TrainedPolicy, environment: EnvironmentFactory | None, seed: int
) -> Iterator[tuple[NDArray[Any], NDArray[np.bool_]]]:
    """Give observations for ever, and what is allowed at each: without masks everything."""
    from zdqn.envs import close_environments
    from zdqn.envs.stepping import EnvironmentStepper

    environments, found = build_evaluation_environments(policy.config, environment, episodes=10)
    try:
        if found != policy.spec:
            raise MismatchError(
                f"{policy.checkpoint} was trained on {policy.spec.describe()}, but its environment "
                f"now gives {found.describe()}."
            )
        stepper = EnvironmentStepper(environments, found, seed=seed, label="export")
        generator = np.random.default_rng(seed)
        while True:
            observations, allowed = stepper.observations.copy(), stepper.allowed
            everything = np.ones((stepper.count, found.num_actions), np.bool_)
            yield observations, everything if allowed is None else allowed
            greedy = policy.actions(observations, allowed)
            stepper.step(epsilon_greedy(greedy, found.num_actions, _EPSILON, generator, allowed))
    finally:
        close_environments(environments)
