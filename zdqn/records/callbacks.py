"""Functions of the user's that are told what happens; what one raises is named as theirs."""

from __future__ import annotations

from collections.abc import Callable

from zdqn.errors import CallbackFailedError


def call(name: str, callback: Callable[..., object] | None, *arguments: object) -> None:
    """Call a function of the user's, if there is one.

    Args:
        name: of the parameter that it was given as.
        callback: the function, or None.
        arguments: what it is told.

    Raises:
        CallbackFailedError: when it raises.
    """
    if callback is None:
        return
    try:
        callback(*arguments)
    except Exception as error:
        raise CallbackFailedError(
            f"The function that was given as {name} raised {type(error).__name__}: {error}. It is "
            f"part of your program: mend it, or let it catch what need not end this."
        ) from error
