"""A trained network as a function from observations to actions, for programs of any kind."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zdqn.config import Config, check_code_allowed
from zdqn.core.mask_arguments import as_masks
from zdqn.data import EnvironmentSpec
from zdqn.errors import ConfigError, FileError, UsageError
from zdqn.experiments.exported_policies import (
    FORMATS,
    SAFETENSORS,
    TORCHSCRIPT,
    OnnxPolicy,
    read_about,
    read_safetensors,
)
from zdqn.records.run_files import RunFiles
from zdqn.records.run_result import RunResult, run_directory_of
from zdqn.rl.greedy import Greedy
from zdqn.roles.building import NetworkFactory, build_network, build_policy

if TYPE_CHECKING:
    from zdqn.experiments.torchscript import ScriptPolicy

_LOOK = "look first at what it names"


class TrainedPolicy:
    """Acts greedily with a stored network: NumPy in, NumPy out, on the CPU.

    Called with one observation it gives one action::

        policy = zdqn.load_policy("runs/first")
        action = policy(observation)

    Observations are those that the environment gave in training, under all wrappers of
    ``[environment]``: dictionaries, tuples and discrete ones as `gymnasium.spaces.utils.flatten`
    makes them, images as integers. With ``environment.frame_stack`` an observation is the stack of
    the last frames, the newest last, as `gymnasium.wrappers.FrameStackObservation` gives it. A
    policy keeps nothing from one call to the next.

    A small fully connected network is evaluated in NumPy, a few observations at a time; any other
    in PyTorch.

    Args:
        network: knows action values; shared, not copied.
        config: of the run.
        spec: of its environment.
        checkpoint: where the network was read.

    Attributes:
        config: of the run.
        spec: of its environment: what an observation looks like, and how many actions there are.
        checkpoint: where the network was read.
    """

    def __init__(
        self, network: Greedy, *, config: Config, spec: EnvironmentSpec, checkpoint: Path
    ) -> None:
        self._network = network
        self.config = config
        self.spec = spec
        self.checkpoint = checkpoint

    def __call__(self, observation: ArrayLike, mask: ArrayLike | None = None) -> int:
        """Choose the action of the highest value, the first of equals.

        Args:
            observation: one, shape spec.stacked_shape; of the environment's dtype, or one that
                casts to it within its kind, such as float64 to float32.
            mask: which actions may be taken, shape (spec.num_actions,), bool or 0 and 1; where the
                spec has masks there must be one.

        Returns:
            The action, in [0, spec.num_actions).

        Raises:
            UsageError: for another shape or kind of dtype, a value that is not finite, or a mask
                that is missing or allows nothing.
        """
        batch = self._one(self._array(observation))
        return int(self._network.greedy_actions(batch, self._allowed(mask, ()))[0])

    def actions(self, observations: ArrayLike, masks: ArrayLike | None = None) -> NDArray[np.int64]:
        """Choose actions for many observations at once.

        Args:
            observations: shape (N, *spec.stacked_shape), N >= 0, dtype as for a call.
            masks: shape (N, spec.num_actions), as for a call.

        Returns:
            Actions, shape (N,), int64.

        Raises:
            UsageError: as for a call.
        """
        batch = self._many(self._array(observations))
        allowed = self._allowed(masks, (len(batch),))
        if not len(batch):
            return np.zeros(0, np.int64)
        return self._network.greedy_actions(batch, allowed)

    def q_values(self, observations: ArrayLike) -> NDArray[np.float32]:
        """Evaluate the actions in one observation, or in many; those that are not allowed too.

        Args:
            observations: shape spec.stacked_shape or (N, *spec.stacked_shape), dtype as for a call.

        Returns:
            Action values, shape (spec.num_actions,) or (N, spec.num_actions), float32.

        Raises:
            UsageError: as for a call.
        """
        array = self._array(observations)
        if array.shape == self.spec.stacked_shape:
            values: NDArray[np.float32] = self._network.q_values(self._one(array))[0]
            return values
        batch = self._many(array)
        if not len(batch):
            return np.zeros((0, self.spec.num_actions), np.float32)
        return self._network.q_values(batch)

    def _allowed(
        self, masks: ArrayLike | None, several: tuple[int, ...]
    ) -> NDArray[np.bool_] | None:
        """Read masks; those of a network that was trained without any narrow its choice too."""
        if masks is None:
            if self.spec.action_masks:
                raise UsageError(
                    "The network was trained with masks of the actions that are allowed, and knows "
                    "nothing of the others: give the mask of the observation too, such as "
                    '`info["action_mask"]`, or one that is all true.'
                )
            return None
        allowed = as_masks(masks, self.spec.num_actions, several, "mask")
        if not allowed.any(axis=1).all():
            raise UsageError("The mask allows nothing: there is no action to choose.")
        return allowed

    def _one(self, array: NDArray[Any]) -> NDArray[Any]:
        if array.shape != self.spec.stacked_shape:
            raise self._refuse_shape(array, "a call takes one observation")
        return array[None]

    def _many(self, array: NDArray[Any]) -> NDArray[Any]:
        if array.shape[1:] != self.spec.stacked_shape or array.ndim == 0:
            raise self._refuse_shape(array, "many observations have one axis more")
        return array

    def _array(self, given: ArrayLike) -> NDArray[Any]:
        """Give observations in the environment's dtype."""
        spec = self.spec
        try:
            array = np.asarray(given)
        except ValueError as error:
            raise UsageError(f"The observation is no array: {error}. {self._wanted()}") from error
        if array.dtype != spec.dtype:
            if not np.can_cast(array.dtype, spec.dtype, "same_kind"):
                raise UsageError(
                    f"The observation is of dtype {array.dtype}, which does not turn into "
                    f"{spec.dtype} without loss. {self._wanted()} Give it as the environment does: "
                    f"unscaled, and flattened if it is no array."
                )
            with np.errstate(over="ignore"):  # what is too large is infinite, and refused below
                array = array.astype(spec.dtype)
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            count = int(np.count_nonzero(~np.isfinite(array)))
            raise UsageError(
                f"The observation holds {count} values that are not finite; no action could be "
                f"chosen by it. Mend what gives the observation."
            )
        return array

    def _refuse_shape(self, array: NDArray[Any], rule: str) -> UsageError:
        return UsageError(
            f"The observation is of shape {array.shape}, but {rule}. {self._wanted()} "
            f"policy(observation) takes one, policy.actions many, policy.q_values either."
        )

    def _wanted(self) -> str:
        shape = self.spec.stacked_shape
        many = ", ".join(("N", *map(str, shape)))
        stack = self.spec.frame_stack
        how = (
            f" of {stack} frames, the newest last (gymnasium.wrappers.FrameStackObservation gives "
            f"them)"
            if stack > 1
            else ""
        )
        return f"One observation is {self.spec.dtype} {shape}{how}; many are ({many})."

    def __repr__(self) -> str:
        return f"TrainedPolicy({str(self.checkpoint)!r}, {self.spec.describe()})"


def load_policy(
    run: RunResult | str | Path,
    *,
    network: NetworkFactory | None = None,
    allow_code: Collection[str] | None = None,
) -> TrainedPolicy:
    """Load a trained network to act with.

    Reading a checkpoint takes PyTorch, which is loaded for it; nothing in it is executed. But a
    configuration may name code (``network.kind = "module:factory"``), which is run here as it was
    in training: of a file that is not your own say with `allow_code` what may be. PyTorch's
    threads and random numbers are left as they are. What `zdqn.export` wrote is read without it, if
    it is ONNX, or a small fully connected network. TorchScript is a program by itself, which no
    list of modules bounds: with `allow_code` it is refused.

    Args:
        run: what a run gave back, or its folder, for its best network (``best.pt``); a file of
            ``checkpoints/``; or a file that was exported.
        network: makes the network; the one that the run was given, if it was.
        allow_code: modules of which the run's configuration may name code, for its network or its
            environment; None trusts it with any.

    Returns:
        The policy, which no later training changes.

    Raises:
        FileError: when there is no such file, or it cannot be read.
        MismatchError: when it is no checkpoint of this zdqn, or does not fit the network.
        ConfigError: when a function made the network that is not given, or it names code that is
            not allowed, or is such itself.
    """

    def trust(config: Config) -> None:
        if allow_code is not None:
            given = () if network is None else ("network.kind",)
            whose = f"The configuration in {path}"
            check_code_allowed(config, allow_code, given=given, whose=whose, instead=_LOOK)

    path = checkpoint_of(run)
    if path.suffix == TORCHSCRIPT and allow_code is not None:
        raise ConfigError(
            f"{path} is TorchScript, a program that is run when it is loaded, and allow_code "
            f"cannot say what it may do. Load it without allow_code if you trust it; an ONNX file "
            f"is no program."
        )
    if path.suffix in FORMATS:
        return _load_exported(path, network, trust)
    from zdqn.records.checkpoints import load_checkpoint
    from zdqn.rl.torch_policy import TorchPolicy

    checkpoint = load_checkpoint(path)
    config, spec = checkpoint.config, checkpoint.spec
    trust(config)
    policy = TorchPolicy(build_network(config, network, spec))
    policy.load({name: tensor.cpu().numpy() for name, tensor in checkpoint.online.items()})
    return TrainedPolicy(policy, config=config, spec=spec, checkpoint=path)


def _load_exported(
    path: Path, network: NetworkFactory | None, trust: Callable[[Config], None]
) -> TrainedPolicy:
    """Load what `zdqn.export` wrote."""
    if path.suffix != SAFETENSORS:
        exported = _program(path)
        config, spec = read_about(path, exported.metadata)
        trust(config)
        return TrainedPolicy(exported, config=config, spec=spec, checkpoint=path)
    arrays, metadata = read_safetensors(path)
    config, spec = read_about(path, metadata)
    trust(config)
    policy = build_policy(config, network, spec, 1)
    policy.load(arrays)
    return TrainedPolicy(policy, config=config, spec=spec, checkpoint=path)


def _program(path: Path) -> OnnxPolicy | ScriptPolicy:
    if path.suffix != TORCHSCRIPT:
        return OnnxPolicy(path)
    from zdqn.experiments.torchscript import ScriptPolicy

    return ScriptPolicy(path)


def checkpoint_of(run: RunResult | str | Path) -> Path:
    """Give the file of the network that is meant.

    Args:
        run: what a run gave back, or its folder, for its ``best.pt``; or the file itself.

    Raises:
        FileError: when the run has no best network.
        UsageError: when it is none of these.
    """
    path = run_directory_of(run)
    files = RunFiles(path)
    if not path.is_dir() or files.best.exists():
        return files.best if path.is_dir() else path
    others = sorted(files.checkpoints.glob("update-*.pt"))
    instead = f"Give another checkpoint, such as {others[-1]}." if others else "It holds no other."
    raise FileError(
        f"{path} has no {files.best.name}: no evaluation has chosen a best network there. {instead}"
    )
