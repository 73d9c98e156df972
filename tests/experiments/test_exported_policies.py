"""Files of other programs, and what they carry of zdqn's."""

import numpy as np
import pytest

from tests.roles.conftest import quick_config
from zdqn.data import EnvironmentSpec
from zdqn.errors import FileError, MismatchError
from zdqn.experiments.exported_policies import (
    FORMATS,
    ONNX,
    SAFETENSORS,
    TORCHSCRIPT,
    about,
    read_about,
    read_safetensors,
)
from zdqn.experiments.trained_policy import load_policy

SPEC = EnvironmentSpec((4, 2), "uint8", 3, frame_stack=2)


def test_configuration_and_spec_come_back(tmp_path):
    config = quick_config("network.hidden=[5]")
    assert read_about(tmp_path, about(config, SPEC)) == (config, SPEC)


@pytest.mark.parametrize("metadata", [None, {}, {"zdqn": "no json"}, {"zdqn": "{}"}])
def test_a_file_of_another_program_is_refused(tmp_path, metadata):
    with pytest.raises(MismatchError, match="zdqn export"):
        read_about(tmp_path / "other.onnx", metadata)


def test_arrays_and_metadata_come_back(tmp_path):
    numpy_files = pytest.importorskip("safetensors.numpy", reason='pip install "zdqn[export]"')
    path = tmp_path / "weights.safetensors"
    numpy_files.save_file({"one": np.arange(3, dtype=np.float32)}, path, {"zdqn": "{}"})
    arrays, metadata = read_safetensors(path)
    assert arrays.keys() == {"one"}
    assert (arrays["one"] == [0, 1, 2]).all()
    assert metadata == {"zdqn": "{}"}


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("content", [None, b"", b"something else"])
def test_what_cannot_be_read_is_named(tmp_path, suffix, content):
    pytest.importorskip(
        {ONNX: "onnxruntime", SAFETENSORS: "safetensors", TORCHSCRIPT: "torch"}[suffix]
    )
    path = tmp_path / f"file{suffix}"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FileError, match=f"Cannot read .*file{suffix}"):
        load_policy(path)
