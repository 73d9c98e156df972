"""Reading the file that says which host runs what."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from zdqn.config import Config, from_dict, load_config, parse_override
from zdqn.config.cluster_sections import Cluster
from zdqn.config.explaining import convert
from zdqn.config.loading import read_toml


def load_cluster(path: Path) -> Cluster:
    """Read a cluster's file.

    Raises:
        ConfigError: for an unknown key, a wrong type, or a value out of range.
        FileError: when it cannot be read.
    """
    return convert(read_toml(path), Cluster, source=str(path), top="the file's top level")


def load_cluster_config(cluster: Cluster, path: Path, overrides: Iterable[str] = ()) -> Config:
    """Read the configuration of the run that a cluster's file names, or holds.

    Args:
        cluster: what the file holds.
        path: of the file.
        overrides: ``section.key=value``, as for `zdqn.load_config`.

    Raises:
        ConfigError: when it cannot work.
        FileError: when it cannot be read.
    """
    if isinstance(cluster.config, str):
        return load_config(path.parent / Path(cluster.config).expanduser(), overrides)
    config = from_dict(cluster.config, source=f"{path}, [config]")
    parsed = [parse_override(override) for override in overrides]
    return config.replace({f"{section}.{key}": value for section, key, value in parsed})
