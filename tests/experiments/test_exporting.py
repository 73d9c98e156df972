"""An exported network acts as the one that was trained, or there is none."""

import subprocess
import sys

import gymnasium
import numpy as np
import pytest
import torch

from tests.roles.conftest import Corridor, quick_config
from zdqn.core.agenda import Counters
from zdqn.data import EnvironmentSpec
from zdqn.errors import ConfigError, FileError, MismatchError, UsageError
from zdqn.experiments import exporting
from zdqn.experiments.exporting import export
from zdqn.experiments.trained_policy import load_policy
from zdqn.records.checkpoints import Checkpoint, save_checkpoint
from zdqn.roles.building import build_network

CARTPOLE = EnvironmentSpec((4,), "float32", 2)
NEEDED = {"safetensors": ("safetensors",), "onnx": ("onnx", "onnxscript", "onnxruntime"),
          "torchscript": ()}  # fmt: skip


@pytest.fixture(params=NEEDED)
def suffix(request):
    for package in NEEDED[request.param]:
        pytest.importorskip(package, reason='pip install "zdqn[export]"')
    return f".{request.param}"


def stored(tmp_path, *overrides, spec=CARTPOLE, factory=None):
    config = quick_config("network.hidden=[16, 8]", "run.seed=3", *overrides)
    network = build_network(config, factory, spec)
    path = tmp_path / "best.pt"
    save_checkpoint(path, Checkpoint(config, spec, network.state_dict(), Counters()))
    return path


DISTRIBUTION = "algorithm.distribution"
CATEGORICAL = (f"{DISTRIBUTION}=categorical", "algorithm.v_min=-2", "algorithm.v_max=3")


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("network.dueling=true",),
        ("network.activation=elu",),
        ("network.noisy=true",),
        CATEGORICAL,
        (f"{DISTRIBUTION}=quantile", "algorithm.quantiles=5"),
        (*CATEGORICAL, "network.dueling=true", "network.noisy=true"),
    ],
)
def test_what_is_read_again_acts_as_the_checkpoint(tmp_path, suffix, overrides):
    path = stored(tmp_path, *overrides)
    file = tmp_path / f"network{suffix}"
    compared: list[int] = []
    exported = export(path, file, observations=150, on_observation=compared.append)
    assert (exported.path, exported.observations) == (file, 150)
    assert compared == sorted(compared)
    assert compared[-1] == 150
    assert exported.largest_difference < 1e-5
    policy, other = load_policy(path), load_policy(file)
    observations = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
    assert (other.actions(observations) == policy.actions(observations)).all()
    assert np.allclose(other.q_values(observations), policy.q_values(observations), atol=1e-5)
    assert other(observations[0]) == policy(observations[0])
    assert (other.spec, other.config, other.checkpoint) == (policy.spec, policy.config, file)
    assert {entry.name for entry in tmp_path.iterdir()} == {"best.pt", file.name}


class Pictures(gymnasium.Env):
    """Draws at random; its actions do nothing."""

    observation_space = gymnasium.spaces.Box(0, 255, (8, 9, 3), np.uint8)
    action_space = gymnasium.spaces.Discrete(4)

    def draw(self):
        return self.np_random.integers(0, 256, (8, 9, 3), np.uint8)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.draw(), {}

    def step(self, action):
        return self.draw(), 0.0, False, False, {}


@pytest.mark.parametrize(
    "overrides", [(), (f"{DISTRIBUTION}=quantile", "network.noisy=true", "network.dueling=true")]
)
def test_images_in_a_stack_go_as_they_come(tmp_path, suffix, overrides):
    spec = EnvironmentSpec((8, 9, 3), "uint8", 4, frame_stack=2)
    path = stored(tmp_path, "network.kind=cnn", "environment.frame_stack=2", *overrides, spec=spec)
    file = tmp_path / f"network{suffix}"
    assert export(path, file, observations=50, environment=Pictures).largest_difference < 1e-5
    images = np.random.default_rng(0).integers(0, 256, (3, 2, 8, 9, 3)).astype(np.uint8)
    policy, other = load_policy(path), load_policy(file)
    assert np.allclose(other.q_values(images), policy.q_values(images), atol=1e-5)
    assert other(images[0]) == policy(images[0])


def test_frames_in_a_stack_go_too(tmp_path, suffix):
    spec = EnvironmentSpec((5,), "float32", 2, frame_stack=3)
    path = stored(tmp_path, "environment.frame_stack=3", spec=spec)
    file = tmp_path / f"network{suffix}"
    export(path, file, observations=50, environment=Corridor)
    observation = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    assert np.allclose(load_policy(file).q_values(observation),
                       load_policy(path).q_values(observation), atol=1e-5)  # fmt: skip


class Scaled(torch.nn.Module):
    def __init__(self, spec):
        super().__init__()
        self.layer = torch.nn.Linear(spec.observation_shape[0], spec.num_actions)

    def forward(self, observations):
        return 2 * self.layer(observations)


def test_a_network_of_ones_own_goes_too(tmp_path, suffix):
    path = stored(tmp_path, factory=Scaled)
    file = tmp_path / f"network{suffix}"
    export(path, file, observations=50, network=Scaled)
    network = Scaled if suffix == ".safetensors" else None  # others hold it
    observation = np.ones(4, np.float32)
    assert np.allclose(load_policy(file, network=network).q_values(observation),
                       load_policy(path, network=Scaled).q_values(observation))  # fmt: skip


@pytest.mark.parametrize("suffix", ["safetensors", "onnx"], indirect=True)
def test_reading_it_takes_no_torch(tmp_path, suffix):
    file = tmp_path / f"network{suffix}"
    export(stored(tmp_path), file, observations=20)
    code = (
        f"import sys, numpy, zdqn\npolicy = zdqn.load_policy({str(file)!r})\n"
        "policy(numpy.zeros(4, numpy.float32))\nassert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=100)


def test_one_that_acts_otherwise_is_not_written(tmp_path, monkeypatch):
    pytest.importorskip("safetensors", reason='pip install "zdqn[export]"')
    path, write = stored(tmp_path), exporting._write_safetensors
    (tmp_path / "other").mkdir()
    other = stored(tmp_path / "other", "run.seed=9")

    def write_another(unfinished, policy, checkpoint, network):
        write(unfinished, policy, other, network)

    monkeypatch.setattr(exporting, "_write_safetensors", write_another)
    file = tmp_path / "network.safetensors"
    file.write_text("of before")
    with pytest.raises(MismatchError, match=r"another action for .* nothing was written"):
        export(path, file)
    assert file.read_text() == "of before"
    assert {entry.name for entry in tmp_path.iterdir()} == {"best.pt", file.name, "other"}


@pytest.mark.parametrize("name", ["network.pt", "network"])
def test_another_ending_is_refused(tmp_path, name):
    with pytest.raises(UsageError, match=r"\.onnx.*\.safetensors.*\.torchscript"):
        export(stored(tmp_path), tmp_path / name)


@pytest.mark.parametrize("given", [{"observations": 0}, {"seed": -1}])
def test_numbers_that_are_too_small_are_refused(tmp_path, given):
    with pytest.raises(UsageError, match="must be"):
        export(stored(tmp_path), tmp_path / "network.safetensors", **given)


def test_another_environment_is_refused(tmp_path, suffix):
    with pytest.raises(MismatchError, match="was trained on"):
        export(stored(tmp_path), tmp_path / f"network{suffix}", environment=Corridor)


def test_a_folder_that_is_not_there_is_named(tmp_path, suffix):
    with pytest.raises(FileError, match="nowhere"):
        export(stored(tmp_path), tmp_path / "nowhere" / f"network{suffix}", observations=1)


def test_a_package_that_is_missing_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    with pytest.raises(ConfigError, match=r"zdqn\[export\]"):
        export(stored(tmp_path), tmp_path / "network.safetensors")
