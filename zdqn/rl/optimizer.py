"""One optimizer for every objective: from a batch to changed weights, eager or compiled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from zdqn.errors import ConfigError, UsageError
from zdqn.rl.adam import AdamSettings, FusedAdam, Moments, WrittenAdam
from zdqn.rl.compiling import compile_method
from zdqn.rl.gradients import Functional, Surroundings, Taped
from zdqn.rl.layered_gradients import Layered
from zdqn.rl.noisy import Noise, noisy_layers
from zdqn.rl.objectives import Objective
from zdqn.rl.option_checks import check_range
from zdqn.rl.training_batch import TrainingBatch, TrainingBatches
from zdqn.rl.update_graph import UpdateGraph, state_of, trace_update
from zdqn.rl.update_loop import UpdateLoop
from zdqn.rl.update_rule import Trained, Update, UpdateRule
from zdqn.rl.weight_checks import check_schema

GradientHook: TypeAlias = Callable[[dict[str, Tensor]], dict[str, Tensor]]
"""Gradients by parameter in, those to step with out."""

_LEARNING = 2
"""Tells the noise of learning from whatever else a run draws by its seed."""


class Optimizer:
    """Makes the updates of one network for one objective.

    Args:
        objective: what to train for.
        online: the network to train, all trainable parameters float32, on its device.
        target: the network for targets, without gradients; `online` itself for none.
        adam: how to step.
        max_gradient_norm: gradients of a larger L2 norm are scaled down to it; 0 for no limit.
        compile: run each update as one graph made by ``torch.compile``. The first update then
            takes many seconds, the later ones less than half of the time.
        gradient_hook: is given the gradients of each update and gives those to step with, such as
            their mean over several learners; by the same names, of the same shapes. They may be
            written to. It is never compiled, so that it may wait for others: with ``compile`` what
            comes before it is one graph and what comes after it another.
        noise_seed: decides the noise of noisy layers, of which each update has its own.

    Raises:
        ConfigError: if an option is out of range, or the network cannot be trained.
    """

    def __init__(
        self,
        objective: Objective,
        online: nn.Module,
        target: nn.Module,
        adam: AdamSettings,
        *,
        max_gradient_norm: float,
        compile: bool,  # noqa: A002 - the name that the configuration has
        gradient_hook: GradientHook | None = None,
        noise_seed: int = 0,
    ) -> None:
        norm = max_gradient_norm
        check_range("max_gradient_norm", norm, norm >= 0, "0 or more")
        trainable = _trainable(online)
        # Detached tensors share the memory of the parameters and may be written in place.
        parameters = {name: tensor.detach() for name, tensor in trainable.items()}
        target_parameters = parameters
        if target is not online:
            target_parameters = {name: p.detach() for name, p in target.named_parameters()}
        self._trained = Trained(parameters, target_parameters, Moments.zeros(parameters))
        self._online, self._target = online, target
        networks = (online,) if target is online else (online, target)
        self._noises = [
            Noise(network, (noise_seed, _LEARNING, place))
            for place, network in enumerate(networks)
            if noisy_layers(network)
        ]
        self._hook = gradient_hook
        self._loop: UpdateLoop | None = None
        self._miscounts = False  # whether Adam knows nothing of updates that a loop made
        device = next(iter(parameters.values())).device
        self._written = WrittenAdam(adam, device)
        self._for_graphs = UpdateRule(objective, Functional(online, target), self._written, norm)
        layered = Layered.of(online, parameters, target_parameters)
        differentiate = layered or Taped(online, target, trainable)
        self._use(UpdateRule(objective, differentiate, FusedAdam(adam, parameters), norm))
        if compile:
            self.compile_each()

    def _use(self, rule: UpdateRule) -> None:
        self._adam = rule.adam
        self._descend, self._apply = rule.find_descent, rule.clip_and_step
        self._update = rule.update if self._hook is None else self._update_hooked

    def compile_each(self) -> None:
        """Make each later update as one graph made by ``torch.compile``, on any device.

        The next update takes many seconds. Compiled already or not, no number changes but for
        rounding.
        """
        self._use(self._for_graphs)
        if self._hook is None:
            self._update = compile_method(self._for_graphs.update)
        else:
            self._descend = compile_method(self._for_graphs.find_descent)
            self._apply = compile_method(self._for_graphs.clip_and_step)

    def trace(self, batch: TrainingBatch, target_rate: float | None) -> UpdateGraph:
        """Write down what an update does; see `zdqn.rl.update_graph`.

        Args:
            batch: such as those that are to come.
            target_rate: see `trace_update`.

        Raises:
            ConfigError: if it cannot be written down.
        """
        if self._hook is not None:
            raise ConfigError("what is between gradients and step cannot be part of a graph.")
        surroundings = Surroundings.of(self._online, self._target)
        return trace_update(
            lambda given: UpdateRule(
                self._for_graphs.objective,
                Functional(self._online, self._target, given),
                self._written,
                self._for_graphs.max_gradient_norm,
            ),
            self._trained,
            surroundings,
            batch,
            self._written.corrections(0),
            target_rate,
        )

    def adopt(self, path: str) -> None:
        """Make later updates with compiled code, several in one call.

        Args:
            path: of what `zdqn.rl.loop_compiling.compile_loop` has made of `trace`.

        Raises:
            ConfigError: if it cannot be used here.
        """
        surroundings = Surroundings.of(self._online, self._target)
        self._loop = UpdateLoop(path, state_of(self._trained, surroundings))

    @property
    def compiled(self) -> bool:
        """Whether compiled code was adopted."""
        return self._loop is not None

    @property
    def moves_target(self) -> bool:
        """Whether batches that `loops_over` says yes to move the target network too."""
        return self._loop is not None and self._loop.moves_target

    def loops_over(self, batches: Sequence[TrainingBatch]) -> bool:
        """Whether `step` makes updates with these in one call of compiled code."""
        return self._loop is not None and self._loop.takes(batches)

    def step(self, batches: Sequence[TrainingBatch], updates: int) -> Sequence[Update]:
        """Make one update with each batch, in order, all with the same target network.

        Args:
            batches: one or more, of the online network's device.
            updates: made so far, >= 0.

        Returns:
            What was seen, one a batch, as tensors that were not waited for.

        Raises:
            ConfigError: if ``torch.compile`` does not work here.
            UsageError: if the hook gives gradients of other parameters or shapes.
            ValueError: if the objective gives losses or priorities of another shape than (B,).
        """
        if self._loop is not None and self._loop.takes(batches):
            self._miscounts = True
            count = len(batches)
            each = [*self._written.corrections_of(updates, count)]
            for noise in self._noises:
                each += noise.of_numbers(updates, count)
            return self._loop.run(TrainingBatches.of(batches).stacked, tuple(each))
        if self._miscounts:
            self._adam.resume(updates)
            self._miscounts = False
        return [self._make(batch, updates + done) for done, batch in enumerate(batches)]

    def _make(self, batch: TrainingBatch, updates: int) -> Update:
        """Make the update that follows so many."""
        for noise in self._noises:
            noise.use(updates)
        return self._update(batch, self._trained, self._adam.corrections(updates))

    def _update_hooked(
        self, batch: TrainingBatch, trained: Trained, corrections: tuple[Tensor, ...]
    ) -> Update:
        """Do as `UpdateRule.update`, with the hook."""
        assert self._hook is not None
        gradients, loss, (priorities, metrics) = self._descend(batch, trained)
        gradients = _check_hooked(self._hook(gradients), trained.parameters)
        norm = self._apply(gradients, trained, corrections)
        return Update(priorities, loss, metrics, norm)

    def state_dict(self) -> dict[str, dict[str, Tensor]]:
        """Copy what the next updates depend on beside the networks: Adam's moments, on the CPU."""
        first, second = (
            {name: moment.to("cpu", copy=True) for name, moment in moments.items()}
            for moments in self._trained.moments
        )
        return {"first_moments": first, "second_moments": second}

    def check_state(self, state: Mapping[str, Any]) -> None:
        """Require the state of such an optimizer.

        Args:
            state: with the entries of `state_dict`, others beside them.

        Raises:
            MismatchError: if it is of another network.
        """
        for name in ("first_moments", "second_moments"):
            check_schema(f"the state's {name}", self._trained.parameters, state[name])

    def load_state_dict(self, state: Mapping[str, Any], updates: int) -> None:
        """Go on from where another optimizer was.

        Args:
            state: with the entries of `state_dict`, others beside them.
            updates: that were made, >= 0.

        Raises:
            MismatchError: if it is of another network; nothing has changed then.
        """
        self.check_state(state)
        moments = self._trained.moments
        for name in moments.first:
            moments.first[name].copy_(state["first_moments"][name])
            moments.second[name].copy_(state["second_moments"][name])
        self._adam.resume(updates)


def _trainable(network: nn.Module) -> dict[str, nn.Parameter]:
    """Give the parameters to train, by name."""
    found = {name: p for name, p in network.named_parameters() if p.requires_grad}
    others = [f"{name} is {p.dtype}" for name, p in found.items() if p.dtype != torch.float32]
    if others or not found:
        reason = "; ".join(others) or "there are none"
        raise ConfigError(f"the network's trainable parameters must be float32: {reason}.")
    return found


def _check_hooked(gradients: dict[str, Tensor], parameters: dict[str, Tensor]) -> dict[str, Tensor]:
    """Require a gradient of each parameter: one of another shape would be broadcast."""
    for name, parameter in parameters.items():
        if name not in gradients or gradients[name].shape != parameter.shape:
            found = tuple(gradients[name].shape) if name in gradients else "none"
            raise UsageError(
                f"the gradient hook gave for {name} a gradient of shape {found}; it must give one "
                f"of shape {tuple(parameter.shape)}, for each parameter that it was given."
            )
    return gradients
