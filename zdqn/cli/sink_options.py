"""Shorthands of ``[sinks]``, for the commands that write a run's files."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any

import click

_PLACE = "127.0.0.1:{}"

_OPTIONS = (
    click.option("--tensorboard", is_flag=True, help="Write event files; sets sinks.tensorboard."),
    click.option("--csv", is_flag=True, help="Write metrics.csv too; sets sinks.csv."),
    click.option("--wandb", is_flag=True, help="Keep a run of W&B, offline; sets sinks.wandb."),
    click.option("--mlflow", metavar="DIR", help="Keep a run of MLflow there; sets sinks.mlflow."),
    click.option(
        "--metrics-port",
        type=click.IntRange(0, 65_535),
        help="Tell a Prometheus of this machine; sets sinks.prometheus.",
    ),
)


def sink_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command these options; what they say comes to it in ``overrides``, behind --set."""

    @functools.wraps(command)
    def with_sinks(
        *,
        overrides: tuple[str, ...],
        tensorboard: bool,
        csv: bool,
        wandb: bool,
        mlflow: str | None,
        metrics_port: int | None,
        **given: Any,
    ) -> None:
        place = None if metrics_port is None else _PLACE.format(metrics_port)
        chosen = {
            "tensorboard": tensorboard or None,
            "csv": csv or None,
            "wandb": wandb or None,
            "mlflow": mlflow,
            "prometheus": place,
        }
        short = (
            f"sinks.{key}={json.dumps(value, ensure_ascii=False)}"
            for key, value in chosen.items()
            if value is not None
        )
        command(overrides=(*overrides, *short), **given)

    for option in reversed(_OPTIONS):
        with_sinks = option(with_sinks)
    return with_sinks
