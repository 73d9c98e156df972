"""One DQN update: targets, loss, backward, clipping, Adam, target network; eager or compiled."""

from __future__ import annotations

import copy
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value
from torch.optim.adam import adam

from zdqn.data import Batch
from zdqn.errors import ConfigError, MismatchError
from zdqn.rl.arrays import load_arrays, weights_to_arrays
from zdqn.rl.losses import (
    double_q_targets,
    huber,
    q_learning_targets,
    squared,
    td_errors,
    weighted_mean,
)
from zdqn.rl.options import check_choice
from zdqn.rl.training_batch import TrainingBatch, prepare_batches
from zdqn.rl.weight_checks import check_schema

Forward = Callable[[Tensor], Tensor]
"""Observations in, action values out."""


class Update(NamedTuple):
    """What one update saw, on the trainer's device; reading a number out of it may wait.

    Attributes:
        td_errors: target - Q(s, a) of each transition before the update, shape (B,).
        loss: shape ().
        q_mean: mean over the batch of max_a Q(s, a), shape ().
        gradient_norm: L2 norm of all gradients before clipping, shape ().
    """

    td_errors: Tensor
    loss: Tensor
    q_mean: Tensor
    gradient_norm: Tensor


class Trainer:
    """The online network, its target network and its optimizer.

    The trained tensors are the online module's own parameters, changed in place.

    Args:
        online: the network to train, all trainable parameters float32; moved to the device.
        double: double Q-learning targets in place of plain ones.
        loss: ``"huber"`` or ``"squared"``.
        huber_delta: error above which the Huber loss is linear, > 0.
        learning_rate: Adam's step size, >= 0.
        adam_beta1: decay of the first moment, in [0, 1).
        adam_beta2: decay of the second moment, in [0, 1).
        adam_eps: added to the root of the second moment, > 0.
        max_gradient_norm: gradients of a larger L2 norm are scaled down to it; 0 for no limit.
        target_network: ``"hard"`` copies the online network, ``"soft"`` moves towards it, and
            ``"none"`` computes targets with the online network itself.
        target_update_period_updates: updates between two target updates, >= 1.
        target_update_rate: share of the online network in a soft target update, in (0, 1].
        device: ``"cpu"``, ``"cuda"``, or ``"auto"`` for CUDA where there is one.
        compile: run each update as one graph made by ``torch.compile``. The first update then
            takes many seconds, the later ones less than half of the time.

    Attributes:
        online: the live online network.
        target: the target network; `online` itself with ``target_network="none"``.
        device: where both are.
        updates: updates done so far, those of a loaded state included.

    Raises:
        ConfigError: if an option is out of range or cannot work on this machine.

    Reference:
        Mnih et al. 2015, Nature 518, algorithm 1; Kingma & Ba 2015, arXiv:1412.6980, algorithm 1;
        Lillicrap et al. 2016, arXiv:1509.02971, algorithm 1 for soft target updates.
    """

    def __init__(
        self,
        online: nn.Module,
        *,
        double: bool,
        loss: str,
        huber_delta: float,
        learning_rate: float,
        adam_beta1: float,
        adam_beta2: float,
        adam_eps: float,
        max_gradient_norm: float,
        target_network: str,
        target_update_period_updates: int,
        target_update_rate: float,
        device: str,
        compile: bool,  # noqa: A002 - the name that the configuration has
    ) -> None:
        check_choice("loss", loss, ("huber", "squared"))
        check_choice("target_network", target_network, ("none", "hard", "soft"))
        _check_range("huber_delta", huber_delta, huber_delta > 0, "above 0")
        _check_range("learning_rate", learning_rate, learning_rate >= 0, "0 or more")
        _check_range("adam_beta1", adam_beta1, 0 <= adam_beta1 < 1, "in [0, 1)")
        _check_range("adam_beta2", adam_beta2, 0 <= adam_beta2 < 1, "in [0, 1)")
        _check_range("adam_eps", adam_eps, adam_eps > 0, "above 0")
        _check_range("max_gradient_norm", max_gradient_norm, max_gradient_norm >= 0, "0 or more")
        period, rate = target_update_period_updates, target_update_rate
        _check_range("target_update_period_updates", period, period >= 1, "1 or more")
        _check_range("target_update_rate", rate, 0 < rate <= 1, "in (0, 1]")

        self._double = double
        self._loss = loss
        self._huber_delta = huber_delta
        self._learning_rate = learning_rate
        self._beta1, self._beta2, self._eps = adam_beta1, adam_beta2, adam_eps
        self._max_norm = max_gradient_norm
        self._target_period_updates = period
        self._target_rate = rate if target_network == "soft" else 1.0

        self.device = _find_device(device)
        self.online = online.to(self.device)
        self.target = self.online
        if target_network != "none":
            # In evaluation mode: a batch normalization must not gather statistics of its own.
            self.target = copy.deepcopy(self.online).requires_grad_(False).eval()
        self.updates = 0
        trainable = _trainable(self.online)
        self._trainable = list(trainable.values())
        # Detached tensors share the memory of the parameters and may be written in place.
        self._parameters = {name: tensor.detach() for name, tensor in trainable.items()}
        self._convolves = any(tensor.ndim > 2 for tensor in trainable.values())
        self._first_moments = [torch.zeros_like(tensor) for tensor in self._parameters.values()]
        self._second_moments = [torch.zeros_like(tensor) for tensor in self._parameters.values()]
        # How many steps Adam has made, one tensor a parameter as the fused kernel wants it.
        self._adam_steps = [torch.zeros((), device=self.device) for _ in self._parameters]
        self._step = self._compile_step() if compile else self._eager_step

    def prepare(
        self, batch: Batch, batch_size: int, importance_weights: NDArray[Any] | None
    ) -> list[TrainingBatch]:
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
        result = self._step(batch)
        self.updates += 1
        if self.target is not self.online and self.updates % self._target_period_updates == 0:
            self._update_target(self._target_rate)
        return result

    def weights(self) -> dict[str, NDArray[Any]]:
        """Copy the online network's weights, safe to keep while training goes on."""
        return weights_to_arrays(self.online)

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
            "first_moments": self._copy_moments(self._first_moments),
            "second_moments": self._copy_moments(self._second_moments),
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
        for name in ("first_moments", "second_moments"):
            check_schema(f"the state's {name}", self._parameters, state[name])
        load_arrays(self.online, _arrays_of(state["online"]))
        if self.target is not self.online:
            load_arrays(self.target, _arrays_of(state["target"]))
        for name, first, second in zip(
            self._parameters, self._first_moments, self._second_moments, strict=True
        ):
            first.copy_(state["first_moments"][name])
            second.copy_(state["second_moments"][name])
        self.updates = int(state["updates"])
        for steps in self._adam_steps:
            steps.fill_(self.updates)

    def _eager_step(self, batch: TrainingBatch) -> Update:
        """Update with autograd and the fused Adam kernel."""
        with torch.no_grad():
            targets = self._compute_targets(batch, self.online, self.target)
        loss, (errors, q_mean) = self._compute_loss(batch, self.online, targets)
        gradients = torch.autograd.grad(
            loss, self._trainable, allow_unused=True, materialize_grads=True
        )
        norm = _total_norm(gradients)
        adam(
            list(self._parameters.values()),
            self._laid_out_like_parameters(gradients),
            self._first_moments,
            self._second_moments,
            [],
            self._adam_steps,
            fused=True,
            grad_scale=self._gradient_divisor(norm),
            amsgrad=False,
            maximize=False,
            weight_decay=0.0,
            beta1=self._beta1,
            beta2=self._beta2,
            lr=self._learning_rate,
            eps=self._eps,
        )
        return Update(errors, loss.detach(), q_mean, norm)

    def _laid_out_like_parameters(self, gradients: Sequence[Tensor]) -> list[Tensor]:
        """Lay gradients out in memory as their parameters: fused Adam goes through both in order.

        Those of a convolution lie as its images do, whatever its weights do.
        """
        if not self._convolves:
            return list(gradients)
        return [
            gradient
            if gradient.stride() == parameter.stride()
            else torch.empty_like(parameter).copy_(gradient)
            for gradient, parameter in zip(gradients, self._parameters.values(), strict=True)
        ]

    def _compile_step(self) -> Callable[[TrainingBatch], Update]:
        """Make an update that runs as one compiled graph."""
        # Code of its own: Dynamo keeps graphs with the code object, no more than 8 of them, and
        # with few guards it would not tell those of two trainers apart.
        function = type(self)._functional_step
        own = types.FunctionType(function.__code__.replace(), function.__globals__)
        options: dict[str, Any] = {"guard_filter_fn": _guards_of_arguments}
        graph = torch.compile(types.MethodType(own, self), fullgraph=True, options=options)
        target = self._parameters
        if self.target is not self.online:
            target = {name: tensor.detach() for name, tensor in self.target.named_parameters()}
        state = (self._parameters, target, self._first_moments, self._second_moments)
        compiled = False

        def step(batch: TrainingBatch) -> Update:
            nonlocal compiled
            try:
                result: Update = graph(batch, *state, *self._corrections())
            except Exception as error:
                if compiled:
                    raise
                reason = " ".join(f"{type(error).__name__}: {error}".split()).partition(
                    " Set TORCH"
                )[0][:300]
                raise ConfigError(
                    "learner.compile = true does not work with this network on this machine "
                    f"({reason}). On a CPU torch.compile needs a C++ compiler, such as g++. "
                    "Install one, or set learner.compile = false."
                ) from error
            compiled = True
            return result

        return step

    def _functional_step(
        self,
        batch: TrainingBatch,
        parameters: dict[str, Tensor],
        target_parameters: dict[str, Tensor],
        first_moments: list[Tensor],
        second_moments: list[Tensor],
        correction1: Tensor,
        correction2: Tensor,
    ) -> Update:
        """Update without autograd's tape: parameters and moments are inputs, changed in place."""

        def target(observations: Tensor) -> Tensor:
            return cast(Tensor, functional_call(self.target, target_parameters, (observations,)))

        def compute_loss(weights: dict[str, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
            return self._compute_loss(batch, online_with(weights), targets)

        def online_with(weights: dict[str, Tensor]) -> Forward:
            return lambda observations: functional_call(self.online, weights, (observations,))

        targets = self._compute_targets(batch, online_with(parameters), target)
        gradients, (loss, (errors, q_mean)) = grad_and_value(compute_loss, has_aux=True)(parameters)
        norm = _total_norm(gradients.values())
        divisor = self._gradient_divisor(norm)
        for name, first, second in zip(parameters, first_moments, second_moments, strict=True):
            gradient = gradients[name] if divisor is None else gradients[name] / divisor
            first.lerp_(gradient, 1 - self._beta1)
            second.mul_(self._beta2).addcmul_(gradient, gradient, value=1 - self._beta2)
            denominator = second.sqrt() / correction2.sqrt() + self._eps
            parameters[name].sub_(self._learning_rate / correction1 * first / denominator)
        return Update(errors, loss, q_mean, norm)

    def _corrections(self) -> tuple[Tensor, Tensor]:
        """Give Adam's bias corrections `1 - beta^t` of the next update, shape ().

        Outside of the graph, which would compute the powers again for each few weights; and in
        Python, since in single precision 1 - 0.999^t has but four good digits when t is small.
        """
        corrections = [1 - beta ** (self.updates + 1) for beta in (self._beta1, self._beta2)]
        first, second = (torch.full((), value, device=self.device) for value in corrections)
        return first, second

    def _compute_targets(self, batch: TrainingBatch, online: Forward, target: Forward) -> Tensor:
        """Give the targets, shape (B,)."""
        next_q_target = target(batch.next_observations)
        if not self._double:
            return q_learning_targets(batch.rewards, batch.discounts, next_q_target)
        next_q_online = online(batch.next_observations)
        return double_q_targets(batch.rewards, batch.discounts, next_q_online, next_q_target)

    def _compute_loss(
        self, batch: TrainingBatch, online: Forward, targets: Tensor
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Give the loss and, detached, the TD errors (B,) and the mean of the largest values."""
        q_values = online(batch.observations)
        errors = td_errors(q_values, batch.actions, targets)
        losses = huber(errors, self._huber_delta) if self._loss == "huber" else squared(errors)
        loss = weighted_mean(losses, batch.importance_weights)
        return loss, (errors.detach(), q_values.detach().amax(1).mean())

    def _gradient_divisor(self, norm: Tensor) -> Tensor | None:
        """Give what gradients are divided by to be no longer than the limit."""
        if self._max_norm == 0:
            return None
        return ((norm + 1e-6) / self._max_norm).clamp(min=1.0)

    def _update_target(self, rate: float) -> None:
        """Move the target network towards the online network; all the way with rate 1."""
        online, target = self.online.state_dict(), self.target.state_dict()
        for name, tensor in target.items():
            if rate < 1 and tensor.is_floating_point():
                tensor.lerp_(online[name], rate)
            else:
                tensor.copy_(online[name])

    def _copy_moments(self, moments: list[Tensor]) -> dict[str, Tensor]:
        copies = [moment.to("cpu", copy=True) for moment in moments]
        return dict(zip(self._parameters, copies, strict=True))


def _total_norm(gradients: Iterable[Tensor]) -> Tensor:
    """Give the L2 norm of all gradients taken together, shape ()."""
    norm: Callable[[Tensor], Tensor] = torch.linalg.vector_norm
    return norm(torch.stack([norm(gradient) for gradient in gradients]))


def _guards_of_arguments(guards: Sequence[Any]) -> list[bool]:
    """Choose what a compiled update checks on every call: its arguments.

    Of 650 guards 600 ask whether the trainer's settings, its networks or the source code have
    changed. They never do, and asking takes a fifth of the time of a small update.
    """
    return [not (guard.is_global or "self" in guard.name) for guard in guards]


def _trainable(network: nn.Module) -> dict[str, nn.Parameter]:
    """Give the parameters to train, by name."""
    found = {name: p for name, p in network.named_parameters() if p.requires_grad}
    others = [f"{name} is {p.dtype}" for name, p in found.items() if p.dtype != torch.float32]
    if others or not found:
        reason = "; ".join(others) or "there are none"
        raise ConfigError(f"the network's trainable parameters must be float32: {reason}.")
    return found


def _find_device(name: str) -> torch.device:
    check_choice("device", name, ("cpu", "cuda", "auto"))
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            'device = "cuda": PyTorch finds no GPU here. Set it to "auto" or "cpu", or install a '
            "PyTorch with CUDA and a driver."
        )
    use_gpu = name != "cpu" and torch.cuda.is_available()
    return torch.device("cuda" if use_gpu else "cpu")


def _check_range(parameter: str, value: float, fits: bool, rule: str) -> None:
    if not fits:
        raise ConfigError(f"{parameter} = {value} must be {rule}.")


def _copy_weights(network: nn.Module) -> dict[str, Tensor]:
    return {name: torch.from_numpy(array) for name, array in weights_to_arrays(network).items()}


def _arrays_of(tensors: Mapping[str, Tensor]) -> dict[str, NDArray[Any]]:
    return {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}
