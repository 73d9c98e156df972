"""One update written down: a graph of tensor operations, as text.

Network, objective, clipping and Adam's settings are all in it. What it computes with
are its arguments.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
from torch import Tensor, fx
from torch.fx.experimental.proxy_tensor import make_fx

from zdqn.errors import ConfigError
from zdqn.rl.adam import Moments
from zdqn.rl.gradients import Surroundings
from zdqn.rl.training_batch import TrainingBatch
from zdqn.rl.update_rule import Trained, UpdateRule


class TensorKind(NamedTuple):
    """What a tensor is like.

    Attributes:
        shape: its sizes.
        stride: its strides, in items.
        dtype: its name, such as ``"float32"``.
    """

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: str

    @classmethod
    def of(cls, tensor: Tensor) -> TensorKind:
        """Describe a tensor."""
        name = str(tensor.dtype).removeprefix("torch.")
        return cls(tuple(tensor.shape), tuple(tensor.stride()), name)

    def empty(self) -> Tensor:
        """Make such a tensor, on the CPU, with anything in it."""
        return torch.empty_strided(self.shape, self.stride, dtype=self.torch_dtype)

    @property
    def torch_dtype(self) -> torch.dtype:
        """PyTorch's own."""
        return cast(torch.dtype, getattr(torch, self.dtype))


class Interface(NamedTuple):
    """What goes into an update and what comes out.

    Attributes:
        state: tensors that stay from update to update, in the order of `state_of`.
        batch: columns of one batch; without importance weights, if there are none.
        corrections: of Adam, for one step; and the noise of noisy layers.
        seen: priorities, loss, norm and the objective's metrics.
        metrics: their names.
        moves_target: whether the target network follows within the update.
    """

    state: tuple[TensorKind, ...]
    batch: tuple[TensorKind, ...]
    corrections: tuple[TensorKind, ...]
    seen: tuple[TensorKind, ...]
    metrics: tuple[str, ...]
    moves_target: bool


@dataclass(frozen=True)
class UpdateGraph:
    """An update as a compiler takes it.

    Attributes:
        code: Python, a function ``forward`` over operations of PyTorch: state, columns of a batch
            and corrections in, what was seen out; the state is written to.
        interface: what its arguments and results are.
    """

    code: str
    interface: Interface

    @property
    def digest(self) -> str:
        """A hash of all of it, hexadecimal."""
        return hashlib.sha256(repr(self).encode()).hexdigest()


def state_of(trained: Trained, surroundings: Surroundings) -> list[Tensor]:
    """Give all tensors that stay from update to update, in a graph's order.

    Args:
        trained: parameters and moments.
        surroundings: the networks' other tensors, of which noise does not stay.
    """
    target = trained.target_parameters
    groups = (
        trained.parameters,
        {} if target is trained.parameters else target,
        *trained.moments,
        *surroundings.lasting,
    )
    return [tensor for group in groups for tensor in group.values()]


def trace_update(
    make_rule: Callable[[Surroundings], UpdateRule],
    trained: Trained,
    surroundings: Surroundings,
    batch: TrainingBatch,
    corrections: Sequence[Tensor],
    target_rate: float | None,
) -> UpdateGraph:
    """Write an update down; nothing is trained.

    Args:
        make_rule: makes the rule for the tensors that take the place of `surroundings`.
        trained: the tensors of the update.
        surroundings: the networks' other tensors.
        batch: one such as those that are to come.
        corrections: of Adam, for one step.
        target_rate: if the target network is to follow in every update, how far.

    Returns:
        The graph.

    Raises:
        ConfigError: if it cannot be written down: what it does depends on the data, or on chance.
    """
    columns = [column for column in batch if column is not None]
    state = state_of(trained, surroundings)
    metrics: tuple[str, ...] = ()

    def update(*tensors: Tensor) -> list[Tensor]:
        nonlocal metrics
        left = iter(tensors)
        given, lasting = _regroup(left, trained, surroundings)
        row = TrainingBatch.of_columns(None if each is None else next(left) for each in batch)
        corrected = tuple(next(left) for _ in corrections)
        drawn = (_like(group, left) for group in surroundings.drawn)
        seen = make_rule(Surroundings(*lasting, *drawn)).update(row, given, corrected)
        if target_rate is not None:
            _follow(given, target_rate)
        metrics = tuple(seen.metrics)
        return [seen.priorities, seen.loss, seen.gradient_norm, *seen.metrics.values()]

    noise = [tensor for group in surroundings.drawn for tensor in group.values()]
    arguments = [*state, *columns, *corrections, *noise]
    try:
        with torch.no_grad():
            module = make_fx(update, tracing_mode="fake", _allow_non_fake_inputs=True)(*arguments)
    except Exception as error:
        text = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigError(f"the update is no graph of tensor operations ({text[:300]}).") from error
    _check(module.graph)
    (output,) = (node for node in module.graph.nodes if node.op == "output")
    interface = Interface(
        state=_kinds(state),
        batch=_kinds(columns),
        corrections=_kinds([*corrections, *noise]),
        seen=_kinds([node.meta["val"] for node in output.args[0]]),
        metrics=metrics,
        moves_target=target_rate is not None,
    )
    return UpdateGraph(module.code, interface)


def _kinds(tensors: Sequence[Tensor]) -> tuple[TensorKind, ...]:
    return tuple(TensorKind.of(tensor) for tensor in tensors)


def _follow(trained: Trained, rate: float) -> None:
    """Move the target network towards the online network; all the way with rate 1."""
    for name, tensor in trained.parameters.items():
        if rate < 1:
            trained.target_parameters[name].lerp_(tensor, rate)
        else:
            trained.target_parameters[name].copy_(tensor)


def _regroup(
    tensors: Iterator[Tensor], trained: Trained, surroundings: Surroundings
) -> tuple[Trained, list[dict[str, Tensor]]]:
    """Take tensors in the order of `state_of`."""
    parameters = _like(trained.parameters, tensors)
    target = parameters
    if trained.target_parameters is not trained.parameters:
        target = _like(trained.target_parameters, tensors)
    first, second = (_like(moments, tensors) for moments in trained.moments)
    lasting = [_like(group, tensors) for group in surroundings.lasting]
    return Trained(parameters, target, Moments(first, second)), lasting


def _like(group: dict[str, Tensor], tensors: Iterator[Tensor]) -> dict[str, Tensor]:
    """Take as many tensors as a group has, by its names."""
    return {name: next(tensors) for name in group}


def _check(graph: fx.Graph) -> None:
    """Refuse what is not the same in each update."""
    for node in graph.nodes:
        if torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ()):
            raise ConfigError(
                f"the network draws random numbers ({node.target}), which would be the same in all "
                f"updates of one call."
            )
        if node.op == "get_attr":
            raise ConfigError(
                "network or objective hold tensors that are neither parameters nor buffers; "
                "register them as buffers."
            )
