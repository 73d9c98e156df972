"""Networks in training: the online network, its target network, and when the one follows."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from zdqn.data import Batch
from zdqn.errors import ConfigError, MismatchError
from zdqn.rl.adam import AdamSettings
from zdqn.rl.layer_descriptions import LayerDescription, describe_layers
from zdqn.rl.noisy import noise_of
from zdqn.rl.objectives import Objective
from zdqn.rl.optimizer import GradientHook, Optimizer
from zdqn.rl.option_checks import check_choice, check_range
from zdqn.rl.training_batch import TrainingBatch, TrainingBatches, prepare_batches
from zdqn.rl.update_graph import UpdateGraph
from zdqn.rl.update_rule import Update, Updates
from zdqn.rl.weight_arrays import load_arrays, weights_to_arrays


class Trainer:
    """The online network, its target network and their optimizer.

    The trained tensors are the online module's own parameters, changed in place.

    Args:
        online: the network to train, all trainable parameters float32; moved to the device.
        objective: what to train it for; its output must be what the objective reads.
        adam: how to step.
        max_gradient_norm: gradients of a larger L2 norm are scaled down to it; 0 for no limit.
        target_network: ``"hard"`` copies the online network, ``"soft"`` moves towards it, and
            ``"none"`` computes targets with the online network itself.
        target_update_period_updates: updates between two target updates, >= 1.
        target_update_rate: share of the online network in a soft target update, in (0, 1].
        device: ``"cpu"``, ``"cuda"``, or ``"auto"`` for CUDA where there is one.
        compile: whether updates run as compiled graphs; see `Optimizer`.
        gradient_hook: what happens between gradients and step; see `Optimizer`.
        noise_seed: decides the noise of noisy layers, for each update anew.

    Attributes:
        online: the live online network.
        target: the target network; `online` itself with ``target_network="none"``.
        device: where both are.
        updates: updates done so far, those of a loaded state included.

    Raises:
        ConfigError: if an option is out of range or cannot work on this machine.

    Reference:
        Mnih et al. 2015, Nature 518, algorithm 1; Lillicrap et al. 2016, arXiv:1509.02971,
        algorithm 1 for soft target updates.
    """

    def __init__(
        self,
        online: nn.Module,
        objective: Objective,
        adam: AdamSettings,
        *,
        max_gradient_norm: float,
        target_network: str,
        target_update_period_updates: int,
        target_update_rate: float,
        device: str,
        compile: bool,  # noqa: A002 - the name that the configuration has
        gradient_hook: GradientHook | None = None,
        noise_seed: int = 0,
    ) -> None:
        check_choice("target_network", target_network, ("none", "hard", "soft"))
        period, rate = target_update_period_updates, target_update_rate
        check_range("target_update_period_updates", period, period >= 1, "1 or more")
        check_range("target_update_rate", rate, 0 < rate <= 1, "in (0, 1]")
        self._target_period_updates = period
        self._target_rate = rate if target_network == "soft" else 1.0

        self.device = _find_device(device)
        self.online = online.to(self.device)
        self.target = self.online
        if target_network != "none":
            # In evaluation mode: a batch normalization must not gather statistics of its own.
            self.target = copy.deepcopy(self.online).requires_grad_(False).eval()
        self.updates = 0
        self._optimizer = Optimizer(
            objective,
            self.online,
            self.target,
            adam,
            max_gradient_norm=max_gradient_norm,
            compile=compile,
            gradient_hook=gradient_hook,
            noise_seed=noise_seed,
        )

    def prepare(
        self, batch: Batch, batch_size: int, importance_weights: NDArray[Any] | None
    ) -> TrainingBatches:
        """Turn sampled arrays into batches on the trainer's device; see `prepare_batches`."""
        return prepare_batches(batch, batch_size, importance_weights, self.device)

    def update(self, batch: TrainingBatch) -> Update:
        """Do one gradient step and, when it is due, one target update.

        Args:
            batch: from `prepare`.

        Returns:
            What was seen, as tensors that were not waited for.

        Raises:
            ConfigError: if ``torch.compile`` does not work here.
        """
        (result,) = self.update_all((batch,))
        return result

    def update_all(self, batches: Sequence[TrainingBatch]) -> Sequence[Update]:
        """Do as `update` with one batch after the other.

        Args:
            batches: from `prepare`.

        Returns:
            What each of them saw.

        Raises:
            ConfigError: if ``torch.compile`` does not work here.
        """
        made: list[Sequence[Update]] = []
        done = 0
        while done < len(batches):
            # The optimizer may do at once what lies before the next target update.
            left = self._target_period_updates - self.updates % self._target_period_updates
            follows = self._optimizer.moves_target and self._optimizer.loops_over(batches)
            part = batches[done:] if follows else batches[done : done + left]
            made.append(self._optimizer.step(part, self.updates))
            done += len(part)
            self.updates += len(part)
            if self.target is not self.online and len(part) == left and not follows:
                self._update_target(self._target_rate)
        return Updates.join(made)

    @property
    def layers(self) -> tuple[LayerDescription, ...]:
        """Give the layers of the online network, if it is none of the user's own."""
        return describe_layers(self.online)

    @property
    def compiled(self) -> bool:
        """Whether compiled code was adopted."""
        return self._optimizer.compiled

    def loops_over(self, batches: Sequence[TrainingBatch]) -> bool:
        """Whether `update_all` makes several updates with these in one call of compiled code."""
        return self._optimizer.loops_over(batches)

    def trace(self, batch: TrainingBatch) -> UpdateGraph:
        """Write down what an update does, for `zdqn.rl.loop_compiling.compile_loop`.

        Args:
            batch: such as those that are to come.

        Raises:
            ConfigError: if an update is nothing that can be compiled in this way.
        """
        if self.device.type != "cpu":
            raise ConfigError("only a CPU's updates are compiled several in one call.")
        # Where the target network follows in every update, it does so within the graph.
        follows = self.target is not self.online and self._target_period_updates == 1
        lasting_buffers = len([*self.online.buffers()]) - len(noise_of(self.online))
        follows = follows and not lasting_buffers
        return self._optimizer.trace(batch, self._target_rate if follows else None)

    def adopt(self, path: str) -> None:
        """Make later updates with compiled code, several in one call; see `Optimizer.adopt`."""
        self._optimizer.adopt(path)

    def compile_each(self) -> None:
        """Compile later updates one by one; see `Optimizer.compile_each`."""
        self._optimizer.compile_each()

    def weights(self, *, copy: bool = True) -> dict[str, NDArray[Any]]:
        """Give the online network's weights; without a copy they are good until the next update."""
        return weights_to_arrays(self.online, copy=copy)

    def state_dict(self) -> dict[str, Any]:
        """Copy everything that the next updates depend on.

        Returns:
            Tensors on the CPU, by name, in plain dictionaries, and the count of updates. The same
            for eager and compiled trainers, whatever the device.
        """
        return {
            "updates": self.updates,
            "online": _copy_weights(self.online),
            "target": _copy_weights(self.target),
            **self._optimizer.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where another trainer was.

        Args:
            state: from `state_dict` of a trainer of the same network. Other settings may differ.

        Raises:
            MismatchError: if the state is not of such a trainer.
        """
        missing = {"updates", "online", "target", "first_moments", "second_moments"} - set(state)
        if missing:
            raise MismatchError(f"this is no state of a trainer: it lacks {sorted(missing)}.")
        self._optimizer.check_state(state)
        load_arrays(self.online, _arrays_of(state["online"]))
        if self.target is not self.online:
            load_arrays(self.target, _arrays_of(state["target"]))
        self.updates = int(state["updates"])
        self._optimizer.load_state_dict(state, self.updates)

    def _update_target(self, rate: float) -> None:
        """Move the target network towards the online network; all the way with rate 1."""
        online, target = self.online.state_dict(), self.target.state_dict()
        for name, tensor in target.items():
            if rate < 1 and tensor.is_floating_point():
                tensor.lerp_(online[name], rate)
            else:
                tensor.copy_(online[name])


def _find_device(name: str) -> torch.device:
    check_choice("device", name, ("cpu", "cuda", "auto"))
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            'device = "cuda": PyTorch finds no GPU here. Set it to "auto" or "cpu", or install a '
            "PyTorch with CUDA and a driver."
        )
    use_gpu = name != "cpu" and torch.cuda.is_available()
    return torch.device("cuda" if use_gpu else "cpu")


def _copy_weights(network: nn.Module) -> dict[str, Tensor]:
    return {name: torch.from_numpy(array) for name, array in weights_to_arrays(network).items()}


def _arrays_of(tensors: Mapping[str, Tensor]) -> dict[str, NDArray[Any]]:
    return {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}
