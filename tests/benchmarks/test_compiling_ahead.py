import pytest

from zdqn.benchmarks.bench_learner import learner_config
from zdqn.benchmarks.compiling_ahead import make_trainer, with_compile
from zdqn.errors import ConfigError
from zdqn.roles.compiling.loop_cache import LoopCache


def test_eager_is_eager():
    trainer, _ = make_trainer(learner_config(32, compiled=False, items=100))
    assert not trainer.compiled


def test_the_choice_is_all_that_changes():
    config = learner_config(32, compiled=True, items=100)
    assert with_compile(config, True) == config
    assert with_compile(config, False) == learner_config(32, compiled=False, items=100)


def test_without_a_compiler_it_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    config = learner_config(32, compiled=True, items=100)
    with pytest.raises(ConfigError, match=r"no C\+\+ compiler"):
        make_trainer(config, LoopCache(tmp_path / "cache"))
