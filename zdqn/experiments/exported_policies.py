"""Exported networks to act with: ONNX files, and safetensors in NumPy where they are small.

A file carries the configuration and the environment's spec, so that it is enough by itself. Those
of TorchScript, which take PyTorch, are read in `zdqn.experiments.torchscript`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zdqn.config import Config, from_dict, to_dict
from zdqn.data import EnvironmentSpec
from zdqn.errors import ConfigError, FileError, MismatchError, UsageError, what_went_wrong
from zdqn.rl.greedy import Greedy

ONNX, SAFETENSORS, TORCHSCRIPT = FORMATS = ".onnx", ".safetensors", ".torchscript"
INPUT, OUTPUT = "observations", "q_values"
ABOUT = "zdqn"
"""What a file calls that which it carries besides the network."""


def about(config: Config, spec: EnvironmentSpec) -> dict[str, str]:
    """Give what a file carries besides the network."""
    return {ABOUT: json.dumps({"config": to_dict(config), "spec": asdict(spec)})}


def read_about(path: Path, metadata: Mapping[str, str] | None) -> tuple[Config, EnvironmentSpec]:
    """Read what `about` gave.

    Raises:
        MismatchError: when there is none, or it is another version's.
    """
    try:
        values = json.loads((metadata or {})[ABOUT])
        shape = tuple(values["spec"]["observation_shape"])
        spec = EnvironmentSpec(**{**values["spec"], "observation_shape": shape})
        return from_dict(values["config"], source=str(path)), spec
    except (KeyError, TypeError, ValueError, ConfigError) as error:
        raise MismatchError(
            f"{path} was not exported by this version of zdqn: {error}. Export the checkpoint "
            f"again with `zdqn export`."
        ) from error


class OnnxPolicy(Greedy):
    """A network in an ONNX file, evaluated by ONNX Runtime on one thread of the CPU.

    Args:
        path: of the file.

    Attributes:
        metadata: that the file carries.

    Raises:
        ConfigError: when the ``export`` extra is missing.
        FileError: when the file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        with package_of("onnxruntime"):
            import onnxruntime
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        with readable(path):
            self._session = onnxruntime.InferenceSession(
                path.read_bytes(), options, providers=["CPUExecutionProvider"]
            )
        self.metadata: dict[str, str] = self._session.get_modelmeta().custom_metadata_map

    def q_values(self, observations: NDArray[Any]) -> NDArray[np.float32]:
        """Evaluate observations."""
        (values,) = self._session.run([OUTPUT], {INPUT: observations})
        found: NDArray[np.float32] = values
        return found

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Refuse: an exported network keeps its weights."""
        raise UsageError("An ONNX file keeps its weights. Load a checkpoint instead.")


def read_safetensors(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Read the arrays and the metadata of a file.

    Raises:
        ConfigError: when the package is missing.
        FileError: when the file cannot be read.
    """
    with package_of("safetensors"):
        from safetensors import safe_open
    with readable(path), safe_open(path, "numpy") as file:
        names = file.keys()
        return {name: file.get_tensor(name) for name in names}, file.metadata() or {}


@contextmanager
def package_of(name: str) -> Iterator[None]:
    """Say which extra is missing, where an import fails.

    Raises:
        ConfigError: naming the package and the extra.
    """
    try:
        yield
    except ImportError as error:
        raise ConfigError(
            f'This needs {name}, which is not installed here: pip install "zdqn[export]" ({error}).'
        ) from error


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Name the file that cannot be read.

    Raises:
        FileError: naming it, and what its package says.
    """
    try:
        yield
    except Exception as error:  # each of the packages has its own
        raise FileError(f"Cannot read {path}: {what_went_wrong(error)}.") from error
