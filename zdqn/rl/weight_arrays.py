"""From tensors to NumPy arrays and back: a network's weights, and views of what was received."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from zdqn.rl.weight_checks import check_finite, check_schema


def weights_to_arrays(module: nn.Module, *, copy: bool = True) -> dict[str, NDArray[Any]]:
    """Give a module's parameters and buffers.

    Args:
        module: on any device.
        copy: whether later updates of the module must not change them; else they may share its
            memory.

    Returns:
        Arrays by name, in the module's order. Some may be of shape (), such as the counter of a
        batch normalization.
    """
    tensors = _tensors(module)
    return {name: tensor.to("cpu", copy=copy).numpy() for name, tensor in tensors.items()}


def load_arrays(module: nn.Module, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Overwrite a module's parameters and buffers, in place and outside of autograd.

    Args:
        module: keeps its tensors, so that whatever holds them sees the new weights.
        arrays: as given by `weights_to_arrays`; may be read-only.

    Raises:
        MismatchError: if names, shapes or dtypes differ from the module's, or a value is not
            finite; nothing has been changed then.
    """
    tensors = _tensors(module)
    check_schema("weights", tensors, arrays)
    check_finite(arrays)
    for name, tensor in tensors.items():
        tensor.copy_(tensor_view(arrays[name]))


def tensor_view(array: NDArray[Any]) -> Tensor:
    """Make a tensor that shares the array's memory, even where that is read-only.

    PyTorch has no read-only tensors and warns; whoever calls this promises not to write.

    Args:
        array: any dtype that PyTorch knows; kept alive by the tensor.

    Returns:
        The tensor, on the CPU, to be read only.
    """
    if not array.flags.writeable:
        # The same memory under another flag; the new array's base holds on to the old one.
        interface = dict(array.__array_interface__)
        interface["data"] = (interface["data"][0], False)
        array = np.asarray(SimpleNamespace(__array_interface__=interface, owner=array))
    return torch.from_numpy(array)


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    """Give the module's own tensors, detached, by name."""
    state: dict[str, Any] = module.state_dict()
    return {name: value for name, value in state.items() if isinstance(value, Tensor)}
