"""What options must be; for those that are names and those that are numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from zdqn.errors import ConfigError, did_you_mean


def check_choice(parameter: str, value: str, known: Sequence[str] | Mapping[str, object]) -> None:
    """Require a known name.

    Args:
        parameter: what the value is for.
        value: the name.
        known: the names there are.

    Raises:
        ConfigError: if it is another.
    """
    if value not in known:
        raise ConfigError(f'{parameter} = "{value}" is unknown. {did_you_mean(value, known)}')


def check_range(parameter: str, value: float, fits: bool, rule: str) -> None:
    """Require a number in its range.

    Args:
        parameter: what the number is for.
        value: the number.
        fits: whether it is in its range; false for NaN, as every comparison with it is.
        rule: the range in words, such as ``"above 0"``.

    Raises:
        ConfigError: if it does not fit.
    """
    if not fits:
        raise ConfigError(f"{parameter} = {value} must be {rule}.")
