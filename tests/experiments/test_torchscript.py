"""TorchScript is written and read without a word of PyTorch's, or it is said why not."""

import io
import sys
import warnings

import numpy as np
import pytest
import torch

from tests.experiments.test_exporting import CARTPOLE, stored
from zdqn.errors import ConfigError, FileError, MismatchError, UsageError
from zdqn.experiments.exporting import export
from zdqn.experiments.torchscript import ScriptPolicy, torchscript_of
from zdqn.experiments.trained_policy import load_policy

ROWS = np.random.default_rng(0).normal(size=(7, 4)).astype(np.float32)


def write(path, network, **about):
    path.write_bytes(torchscript_of(network, ROWS[:2], about))
    return path


def test_any_number_of_observations(tmp_path):
    network = torch.nn.Linear(4, 2)
    policy = ScriptPolicy(write(tmp_path / "a.torchscript", network, zdqn="known"))
    for count in (1, 2, 7, 0):
        with torch.no_grad():
            expected = network(torch.from_numpy(ROWS[:count])).numpy()
        values = policy.q_values(ROWS[:count])
        assert values.dtype == np.float32
        assert np.allclose(values, expected, atol=1e-6)
    assert policy.metadata == {"zdqn": "known"}


def test_observations_may_be_read_only(tmp_path):
    rows = ROWS.copy()
    rows.flags.writeable = False
    ScriptPolicy(write(tmp_path / "a.torchscript", torch.nn.Linear(4, 2))).q_values(rows)


def test_what_pytorch_warns_of_is_not_heard_and_others_are(tmp_path):
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        policy = ScriptPolicy(write(tmp_path / "a.torchscript", torch.nn.Linear(4, 2)))
        policy.q_values(ROWS)
        warnings.warn("of somebody else", stacklevel=1)
    assert [str(warning.message) for warning in heard] == ["of somebody else"]


def test_a_layer_that_drops_does_so_no_more(tmp_path):
    network = torch.nn.Sequential(torch.nn.Linear(4, 2), torch.nn.Dropout(0.5))
    policy = ScriptPolicy(write(tmp_path / "a.torchscript", network.train()))
    assert (policy.q_values(ROWS) == policy.q_values(ROWS)).all()


class Counting(torch.nn.Module):
    def __init__(self, spec):
        super().__init__()
        self.layer = torch.nn.Linear(4, spec.num_actions)

    def forward(self, observations):
        return self.layer(observations).reshape(len(observations), -1)


class Adding(Counting):
    def forward(self, observations):
        return self.layer(observations) + torch.zeros(len(observations), 1)


class Beside(Counting):
    def forward(self, observations):
        beside = torch.zeros(len(observations), 1)
        return torch.cat([self.layer(observations), beside], 1)[:, :-1]


@pytest.mark.parametrize(
    ("network", "why"),
    [(Counting, "it gives 2 rows"), (Adding, "it gives 2 rows"), (Beside, "RuntimeError: ")],
)
def test_a_network_that_counts_observations_is_refused_with_the_way_out(tmp_path, network, why):
    path = stored(tmp_path, factory=Counting)
    file = tmp_path / "a.torchscript"
    words = rf"cannot evaluate 1: .*{why}.*observations\.shape\[0\].*len.*`--onnx`"
    with pytest.raises(UsageError, match=words):
        export(path, file, observations=5, network=network)
    assert [entry.name for entry in tmp_path.iterdir()] == ["best.pt"]


class Branching(torch.nn.Module):
    def __init__(self, spec):
        super().__init__()
        self.layer = torch.nn.Linear(4, spec.num_actions)

    def forward(self, observations):
        values = self.layer(observations)
        return values if float(observations.abs().sum()) == 0 else -values


def test_one_that_branches_is_not_written_as_half_of_it(tmp_path):
    path = stored(tmp_path, factory=Branching)
    with pytest.raises(MismatchError, match="another action"):
        export(path, tmp_path / "a.torchscript", network=Branching)
    assert [entry.name for entry in tmp_path.iterdir()] == ["best.pt"]


@pytest.mark.parametrize(
    ("version", "says"),
    [((3, 13, 1), "deprecates TorchScript: "), ((3, 14, 0), "on Python 3.14: ")],
)
def test_a_pytorch_that_refuses_is_quoted_with_the_way_out(tmp_path, monkeypatch, version, says):
    def refuse(*given, **named):
        raise RuntimeError("a trace\nTorchScript is not supported")

    monkeypatch.setattr(torch.jit, "trace", refuse)
    monkeypatch.setattr(sys, "version_info", version)
    with pytest.raises(UsageError) as caught:
        export(stored(tmp_path), tmp_path / "a.torchscript", observations=5)
    said = str(caught.value)
    assert "RuntimeError: TorchScript is not supported." in said
    assert says in said
    assert "`--onnx` writes a file that lasts" in said
    assert [entry.name for entry in tmp_path.iterdir()] == ["best.pt"]


def test_it_keeps_its_weights(tmp_path):
    policy = ScriptPolicy(write(tmp_path / "a.torchscript", torch.nn.Linear(4, 2)))
    with pytest.raises(UsageError, match="keeps its weights"):
        policy.load({})


def test_one_of_another_program_is_refused(tmp_path):
    path = tmp_path / "a.torchscript"
    with pytest.raises(MismatchError, match="`zdqn export`"):
        load_policy(write(path, torch.nn.Linear(4, 2)))


def test_one_that_carries_no_text_is_named(tmp_path):
    path = tmp_path / "a.torchscript"
    with pytest.raises(FileError, match=r"Cannot read .*a\.torchscript"):
        load_policy(write(path, torch.nn.Linear(4, 2), zdqn=b"\xff"))


def test_where_code_is_to_be_allowed_it_is_none_that_can_be(tmp_path):
    file = tmp_path / "a.torchscript"
    export(stored(tmp_path), file, observations=5)
    for allowed in ([], ["tests"]):
        with pytest.raises(ConfigError, match=r"a\.torchscript is TorchScript, a program"):
            load_policy(file, allow_code=allowed)
    assert load_policy(file).spec == CARTPOLE


def test_a_program_of_pytorch_alone_runs_it(tmp_path):
    """Without zdqn: `torch.jit.load`, and observations as they come."""
    file = tmp_path / "a.torchscript"
    export(stored(tmp_path), file, observations=5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        script = torch.jit.load(io.BytesIO(file.read_bytes()))
    values = script(torch.from_numpy(ROWS))
    assert not values.requires_grad
    assert (values.numpy().argmax(1) == load_policy(file).actions(ROWS)).all()
