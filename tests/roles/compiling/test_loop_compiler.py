"""The process that compiles, with a real compiler and with none."""

import shutil
import subprocess
import time

import numpy as np
import pytest
from torch import nn

from tests.conftest import DEADLINE_S
from zdqn.config import load_config
from zdqn.data import EnvironmentSpec
from zdqn.roles.building import build_trainer
from zdqn.roles.compiling import loop_compiler
from zdqn.roles.compiling.compile_job import compile_job, example_batch
from zdqn.roles.compiling.loop_cache import LoopCache, loop_key
from zdqn.roles.compiling.loop_compiler import Job, LoopCompiler, Outcome, find_cpp_compiler

SPEC = EnvironmentSpec((3,), "float32", 4)
CONFIG = load_config(None, ("network.hidden=[8]", "algorithm.batch_size=6"))
START_S = 90.0
"""The process imports PyTorch's compiler; on a busy machine that takes its time."""


def start(folder, network=None):
    key = loop_key(CONFIG, SPEC) if network is None else None
    return LoopCompiler(CONFIG, network, SPEC, folder=folder, key=key)


def wait_for(compiler, timeout_s):
    deadline_s = time.monotonic() + timeout_s
    while (outcome := compiler.outcome()) is None:
        assert time.monotonic() < deadline_s
        compiler.wait()
    return outcome


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
@pytest.mark.timeout(400)
def test_it_makes_what_a_trainer_adopts_and_leaves_nothing_else_behind(tmp_path):
    cache = LoopCache(tmp_path / "cache")
    with start(cache.folder) as compiler:
        outcome = wait_for(compiler, 300.0)
    assert outcome == Outcome(path=str(cache.path(loop_key(CONFIG, SPEC) or "")))
    (path,) = cache.folder.iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    eager, looped = (build_trainer(CONFIG, None, SPEC) for _ in range(2))
    looped.adopt(outcome.path)
    batch = example_batch(CONFIG, SPEC)
    batch.rewards.add_(1.0)
    for trainer in (eager, looped):
        trainer.update_all([batch] * 5)
    for name, array in looped.weights().items():
        np.testing.assert_allclose(array, eager.weights()[name], atol=1e-5)


def test_what_is_kept_is_not_compiled_again(tmp_path):
    cache = LoopCache(tmp_path / "cache")
    cache.path("key").write_bytes(b"kept")
    job = Job(CONFIG, None, SPEC, cache.folder, tmp_path, "key")
    assert compile_job(job) == cache.path("key")
    assert cache.path("key").read_bytes() == b"kept"


def test_what_cannot_be_compiled_is_said(tmp_path):
    def dropping(_spec):  # in here, so that it travels whole
        return nn.Sequential(nn.Linear(3, 4), nn.Dropout())

    with start(tmp_path, dropping) as compiler:
        assert "random numbers" in wait_for(compiler, START_S).error
    assert list(tmp_path.iterdir()) == []


def test_without_a_compiler_that_works_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", "false")
    with start(tmp_path) as compiler:
        outcome = wait_for(compiler, START_S)
    assert outcome.error
    assert outcome.path == ""
    assert list(tmp_path.iterdir()) == []


def test_nobody_waits_for_it_any_more(tmp_path):
    compiler = start(tmp_path)
    process = compiler._process
    assert process is not None
    compiler.close()
    assert process.poll() is not None
    assert list(tmp_path.iterdir()) == []
    assert compiler.outcome() == Outcome(error="it was ended")
    compiler.close()


def test_it_ends_when_its_parent_does(tmp_path):
    compiler = start(tmp_path)
    process = compiler._process
    assert process is not None
    assert process.stdin is not None
    process.stdin.close()
    try:
        assert process.wait(START_S) != 0
    except subprocess.TimeoutExpired:
        pytest.fail("it goes on")
    finally:
        compiler.close()


def test_what_takes_too_long_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(loop_compiler, "MOST_S", 0.0)
    with start(tmp_path) as compiler:
        assert "more than 0 s" in wait_for(compiler, DEADLINE_S).error


def test_a_process_that_dies_is_said(tmp_path):
    with start(tmp_path) as compiler:
        assert compiler._process is not None
        compiler._process.kill()
        assert wait_for(compiler, DEADLINE_S).error == "the process ended with exit status -9"


def test_the_compiler_is_the_one_that_pytorch_takes(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert find_cpp_compiler() is None
    monkeypatch.setenv("CXX", "sh")
    assert find_cpp_compiler() == shutil.which("sh")
