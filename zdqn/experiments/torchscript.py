"""TorchScript: a network as a program of PyTorch's own, written and acted with.

PyTorch deprecates it, and warns at each of its functions. Here that stands in the documentation and
in the command's help, and is not heard: this is for programs that have it already.
"""

from __future__ import annotations

import io
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from zdqn.errors import UsageError
from zdqn.experiments.exported_policies import ABOUT, readable
from zdqn.rl.greedy import Greedy
from zdqn.rl.weight_arrays import tensor_view

_LEAST_UNSUPPORTED = (3, 14)
"""The first Python with which PyTorch 2.13 says that TorchScript may break."""


def torchscript_of(network: nn.Module, example: NDArray[Any], about: Mapping[str, str]) -> bytes:
    """Give what a file of a network is made of.

    Args:
        network: from observations to action values, on the CPU; put into evaluation mode, and its
            parameters into one without gradients.
        example: observations, shape (2, *stacked_shape): the network is run with them, and what
            it does is written down.
        about: what the file carries besides.

    Raises:
        UsageError: when PyTorch cannot do so with this network, or on this Python.
    """
    file = io.BytesIO()
    try:
        with _undeprecated():
            traced = torch.jit.trace(  # type: ignore[no-untyped-call]
                network.eval().requires_grad_(False),
                (torch.from_numpy(example),),
                check_trace=False,
            )
            torch.jit.save(traced, file, _extra_files=dict(about))
    except Exception as error:
        raise UsageError(
            f"PyTorch {torch.__version__} cannot write this network as TorchScript: "
            f"{_last_line(error)} {_way_out()}"
        ) from error
    return file.getvalue()


class ScriptPolicy(Greedy):
    """A network in a TorchScript file, on the CPU.

    Args:
        path: of the file, which is a program: it is run.

    Attributes:
        metadata: that the file carries.

    Raises:
        FileError: when the file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        carried: dict[str, Any] = {ABOUT: b""}
        with readable(path), _undeprecated():
            content = io.BytesIO(path.read_bytes())
            self._script = torch.jit.load(  # type: ignore[no-untyped-call]
                content, map_location="cpu", _extra_files=carried
            )
            self.metadata = {ABOUT: carried[ABOUT].decode()}

    def q_values(self, observations: NDArray[Any]) -> NDArray[np.float32]:
        """Evaluate observations.

        Raises:
            UsageError: when it cannot, as it has grown fast to the observations that it was traced
                with.
        """
        count = len(observations)
        try:
            with torch.inference_mode():
                values = cast(
                    "NDArray[np.float32]", self._script(tensor_view(observations)).numpy()
                )
        except RuntimeError as error:
            raise _grown_fast(count, _last_line(error)) from error
        if len(values) != count:
            raise _grown_fast(count, f"it gives {len(values)} rows of values.")
        return values

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Refuse: an exported network keeps its weights."""
        raise UsageError("A TorchScript file keeps its weights. Load a checkpoint instead.")


@contextmanager
def _undeprecated() -> Iterator[None]:
    """Keep to itself that TorchScript is deprecated, and what its tracer thinks of shapes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _grown_fast(count: int, why: str) -> UsageError:
    return UsageError(
        f"The network as TorchScript was traced with 2 observations and cannot evaluate {count}: "
        f"{why} A network of your own must count them by observations.shape[0], as "
        f"len(observations) becomes a number. {_way_out()}"
    )


def _last_line(error: Exception) -> str:
    """Give what is wrong, without the trace of a script that stands before it."""
    kind = type(error).__name__
    line = (str(error).strip().splitlines() or ["no more is known"])[-1]
    return f"{kind}: {line.strip().removeprefix(f'{kind}: ').rstrip('.')}."


def _way_out() -> str:
    where = ""
    if sys.version_info >= _LEAST_UNSUPPORTED:
        where = f", and does not support it on Python {sys.version_info[0]}.{sys.version_info[1]}"
    return (
        f"PyTorch deprecates TorchScript{where}: `--onnx` writes a file that lasts, and "
        f"`--safetensors` the weights alone."
    )
