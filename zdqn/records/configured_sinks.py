"""The sinks that ``[sinks]`` of a configuration asks for."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from zdqn.config import Config
from zdqn.config.explaining import show_value
from zdqn.errors import ConfigError
from zdqn.records.csv_sink import CsvSink
from zdqn.records.mlflow_sink import MlflowSink
from zdqn.records.sinks import OwnSink
from zdqn.records.tensorboard_sink import TensorBoardSink
from zdqn.records.wandb_sink import WandbSink

_PACKAGES = {"wandb": "wandb", "mlflow": "mlflow", "prometheus": "prometheus_client"}
"""Key of ``[sinks]`` to the module that it needs; the extra has the key's name."""


def check_sinks(config: Config) -> None:
    """Refuse a configuration that asks for a sink whose package is missing.

    Raises:
        ConfigError: naming the key and the extra.
    """
    for key, module in _PACKAGES.items():
        value = getattr(config.sinks, key)
        if value and find_spec(module) is None:
            raise ConfigError(
                f"sinks.{key} is {show_value(value)}, which needs the {key} extra, and that is not "
                f'installed here: pip install "zdqn[{key}]". Or leave sinks.{key} out.'
            )


def make_sinks(config: Config, run_directory: Path) -> list[OwnSink]:
    """Make what a configuration asks for; nothing is written before `Sink.begin`.

    Args:
        config: of the run.
        run_directory: of the run.

    Raises:
        ConfigError: when a package is missing.
    """
    check_sinks(config)
    sinks: list[OwnSink] = []
    if config.sinks.csv:
        sinks.append(CsvSink(run_directory))
    if config.sinks.tensorboard:
        sinks.append(TensorBoardSink(run_directory))
    if config.sinks.wandb:
        sinks.append(WandbSink(run_directory))
    if config.sinks.mlflow:
        sinks.append(MlflowSink(run_directory, Path(config.sinks.mlflow)))
    return sinks
