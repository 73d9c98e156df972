"""The benchmark of updates, tiny, with real processes: it ends, with finite figures."""

import pytest

from tests.benchmarks.tiny import TINY, check, quiet
from zdqn.benchmarks import bench_learner
from zdqn.errors import ConfigError
from zdqn.roles.compiling.loop_compiler import find_cpp_compiler


@pytest.mark.slow  # as are those with several learners or whole runs
def test_learner():
    figures = bench_learner.measure_trainer(TINY, quiet, 32, compiled=False, items=2000)
    name = "learner.eager.32"
    check(
        figures,
        *(f"{name}.{figure}" for figure in
          ("fed_over_tcp", "role", "fed_over_tcp_to_list", "role_to_list")),
    )  # fmt: skip


def test_learner_without_a_compiler_says_so(monkeypatch):
    def refuse(*_, compiled):
        if compiled:
            raise ConfigError("no g++")
        return []

    monkeypatch.setattr(bench_learner, "measure_trainer", refuse)
    monkeypatch.setenv("CXX", "no-such-compiler")
    result = bench_learner.measure(TINY, quiet)
    assert result.notes[0].startswith("learner, compiling, is left out: learner.compile = true")
    assert result.notes[1:] == ["learner, compiled, is left out: no g++"] * 2


@pytest.mark.slow
@pytest.mark.skipif(find_cpp_compiler() is None, reason="needs a C++ compiler")
def test_compiling():
    figures = bench_learner.measure_compiling(TINY, quiet)
    name = "learner.updates.32"
    check(
        figures, f"{name}.eager", f"{name}.compiled_1_a_call", f"{name}.compiled_64_a_call",
        f"{name}.compiled_to_eager", "learner.compiling.cold", "learner.compiling.warm",
    )  # fmt: skip
