"""Methods as graphs made by ``torch.compile``."""

from __future__ import annotations

import types
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

import torch

from zdqn.errors import ConfigError

Method = TypeVar("Method", bound=Callable[..., Any])


def compile_method(method: Method) -> Method:
    """Make a bound method run as one compiled graph.

    What hangs on ``self`` is taken to stay as it was in the first call, tensors excepted; tensors
    that are exchanged for others must be arguments.

    Args:
        method: its free names are globals; its first argument is called ``self``.

    Returns:
        The same with the same arguments. The first call takes many seconds; it raises `ConfigError`
        if nothing can be compiled here.
    """
    bound = cast(types.MethodType, method)
    # Code of its own: Dynamo keeps graphs with the code object, no more than 8 of them, and
    # with few guards it would not tell those of two objects apart.
    function = cast(types.FunctionType, bound.__func__)
    own = types.FunctionType(function.__code__.replace(), function.__globals__)
    options: dict[str, Any] = {"guard_filter_fn": _guards_of_arguments}
    graph = torch.compile(types.MethodType(own, bound.__self__), fullgraph=True, options=options)
    compiled = False

    def call(*arguments: Any) -> Any:
        nonlocal compiled
        try:
            result = graph(*arguments)
        except Exception as error:
            if compiled:
                raise
            text = " ".join(f"{type(error).__name__}: {error}".split())
            reason = text.partition(" Set TORCH")[0][:300]
            raise ConfigError(
                "learner.compile = true does not work with this network on this machine "
                f"({reason}). On a CPU torch.compile needs a C++ compiler, such as g++. "
                "Install one, or set learner.compile = false."
            ) from error
        compiled = True
        return result

    return cast(Method, call)


def _guards_of_arguments(guards: Sequence[Any]) -> list[bool]:
    """Choose what a compiled method checks on every call: its arguments.

    Of 650 guards of an update 600 ask whether settings, networks or the source code have changed.
    They never do, and asking takes a fifth of the time of a small update.
    """
    return [not (guard.is_global or "self" in guard.name) for guard in guards]
