"""Compiles a loop over updates, with PyTorch's Inductor, into a file of machine code.

One update's graph is the body of a loop whose length is an argument: what takes time to compile is
one update, however many a call then makes. Between them the code does not come back to Python.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

import torch
from msgspec import json
from torch import Tensor, nn

from zdqn.rl.update_graph import TensorKind, UpdateGraph
from zdqn.rl.update_loop import METADATA

RECIPE = 1
"""Counts the ways in which this file has compiled; what another way has made is not used."""

_TRACED_UPDATES = 3
_MOST_UPDATES = 2**20
_OPTIONS: dict[str, Any] = {
    # By way of exp, as exact to one rounding of 1 and half as dear as a tanh to the last bit.
    "cpp.use_decompose_tanh": True,
}


class _Loop(nn.Module):
    """K updates, one after the other."""

    def __init__(self, update: Callable[..., list[Tensor]]) -> None:
        super().__init__()
        self._update = update

    def forward(
        self,
        state: tuple[Tensor, ...],
        batches: tuple[Tensor, ...],
        corrections: tuple[Tensor, ...],
        seen: tuple[Tensor, ...],
    ) -> Any:
        """Make the updates.

        Args:
            state: tensors that stay; written to.
            batches: columns of K batches, shape (K, B, ...) each.
            corrections: of Adam, shape (K,) each.
            seen: what the updates saw, shape (K, ...) each; written to.

        Returns:
            How many were made. Inductor drops loops whose results nobody asks for, and what they
            write is none to it.
        """
        count = batches[0].shape[0]  # len() would make a constant of it

        def goes_on(done: Tensor) -> Tensor:
            return done < count

        def update(done: Tensor) -> tuple[Tensor]:
            now = cast(int, done.item())  # a symbol, while this is traced
            torch._check(now >= 0)  # type: ignore[no-untyped-call]
            torch._check(now < count)  # type: ignore[no-untyped-call]
            rows = [column.select(0, now) for column in (*batches, *corrections)]
            found = self._update(None, *state, *rows)
            for place, value in zip(seen, found, strict=True):
                place.select(0, now).copy_(value)
            return (done + 1,)

        none_done = torch.zeros((), dtype=torch.int64)
        return torch.while_loop(goes_on, update, (none_done,))  # type: ignore[no-untyped-call]


def compile_loop(graph: UpdateGraph, path: str) -> None:
    """Compile; takes tens of seconds and a C++ compiler.

    Args:
        graph: of one update. Its code is executed: it must come from nobody else.
        path: of the file to write, ending in ``.pt2``.
    """
    names: dict[str, Any] = {
        "torch": torch,
        "device": torch.device,
        "inf": math.inf,
        "nan": math.nan,
    }
    exec(graph.code, names)  # noqa: S102 - written by this program, see `zdqn.rl.update_graph`
    loop = _Loop(names["forward"])
    interface = graph.interface
    state = tuple(kind.empty() for kind in interface.state)
    columns, corrections, seen = (
        tuple(_rows(kind) for kind in kinds)
        for kinds in (interface.batch, interface.corrections, interface.seen)
    )
    several = {0: torch.export.Dim("updates", min=1, max=_MOST_UPDATES)}
    shapes = (
        tuple(None for _ in state),
        *(tuple(several for _ in each) for each in (columns, corrections, seen)),
    )
    with torch.no_grad():
        exported = torch.export.export(
            loop, (state, columns, corrections, seen), dynamic_shapes=shapes
        )
        torch._inductor.aoti_compile_and_package(
            exported,
            package_path=path,
            inductor_configs={
                **_OPTIONS,
                "aot_inductor.metadata": {METADATA: json.encode(interface).decode()},
            },
        )


def _rows(kind: TensorKind) -> Tensor:
    return torch.zeros((_TRACED_UPDATES, *kind.shape), dtype=kind.torch_dtype)
