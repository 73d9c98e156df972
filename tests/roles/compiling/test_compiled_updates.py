"""When updates are compiled: a trainer, a clock and a compiler that are none."""

import logging

import pytest
import torch

from zdqn.config import load_config
from zdqn.data import EnvironmentSpec
from zdqn.errors import ConfigError
from zdqn.roles.compiling.compiled_updates import CompiledUpdates, compile_ahead
from zdqn.roles.compiling.loop_cache import LoopCache, loop_key
from zdqn.roles.compiling.loop_compiler import Outcome

SPEC = EnvironmentSpec((4,), "float32", 2)


class FakeTrainer:
    def __init__(self, device="cpu"):
        self.device = torch.device(device)
        self.updates = 0
        self.adopted = []
        self.each = 0
        self.refuses = False

    def adopt(self, path):
        if self.refuses:
            raise ConfigError("of another network")
        self.adopted.append(path)

    def compile_each(self):
        self.each += 1


class FakeCompiler:
    seconds = 21.0

    def __init__(self, config, network, spec, *, folder, key):
        self.key = key
        self.result = None
        self.closed = 0
        self.waits = 0

    def outcome(self):
        return self.result

    def wait(self):
        self.waits += 1
        if self.waits == 3:
            self.result = Outcome(path="made.pt2")

    def close(self):
        self.closed += 1


class Setting:
    def __init__(self, tmp_path, *overrides, device="cpu", kept=False):
        self.config = load_config(None, overrides)
        self.trainer = FakeTrainer(device)
        self.cache = LoopCache(tmp_path / "cache")
        self.key = loop_key(self.config, SPEC) or ""
        if kept:
            self.cache.path(self.key).touch()
        self.started = []
        self.compiled = CompiledUpdates(
            self.config,
            None,
            SPEC,
            self.trainer,  # type: ignore[arg-type]
            cache=self.cache,
            start=self.start,
        )

    def start(self, *arguments, **options):
        self.started.append(FakeCompiler(*arguments, **options))
        return self.started[-1]


@pytest.fixture(autouse=True)
def says(caplog):
    caplog.set_level(logging.INFO, "zdqn.learner")
    return caplog


@pytest.fixture(autouse=True)
def compiler(monkeypatch):
    where = "zdqn.roles.compiling.compiled_updates.find_cpp_compiler"
    monkeypatch.setattr(where, lambda: "/usr/bin/g++")
    return lambda: monkeypatch.setattr(where, lambda: None)


TRUE, AUTO, FALSE = "learner.compile=true", "learner.compile=auto", "learner.compile=false"


@pytest.mark.parametrize("kept", [False, True])
def test_false_is_false(tmp_path, says, kept):
    setting = Setting(tmp_path, FALSE, kept=kept)
    setting.compiled.begin()
    for now_s in (0.0, 100.0):
        setting.compiled.advance(now_s, 0)
    assert (setting.started, setting.trainer.adopted, setting.trainer.each) == ([], [], 0)
    assert says.text == ""


@pytest.mark.parametrize("choice", [TRUE, AUTO])
def test_what_was_kept_is_used_from_the_first_update_on(tmp_path, says, choice):
    setting = Setting(tmp_path, choice, "stop.updates=1", kept=True)
    setting.compiled.begin()
    setting.compiled.advance(100.0, 1000)
    assert setting.trainer.adopted == [str(setting.cache.path(setting.key))]
    assert setting.started == []
    assert "from update 1 on" in says.text
    assert "kept from an earlier run" in says.text


@pytest.mark.parametrize("choice", [TRUE, AUTO])
def test_what_was_kept_and_is_of_no_use_is_made_anew(tmp_path, says, choice):
    setting = Setting(tmp_path, choice, kept=True)
    setting.trainer.refuses = True
    setting.compiled.begin()
    assert not setting.cache.path(setting.key).exists()
    assert "made anew: of another network" in says.text
    setting.compiled.advance(0.0, 0)
    setting.compiled.advance(11.0, 0)
    assert len(setting.started) == 1


def test_true_compiles_beside_training_from_the_start(tmp_path, says):
    setting = Setting(tmp_path, TRUE)
    setting.compiled.begin()
    (compiler,) = setting.started
    assert compiler.key == setting.key
    setting.compiled.advance(1.0, 100)
    assert setting.trainer.adopted == []
    compiler.result = Outcome(path="made.pt2")
    setting.trainer.updates = 200
    setting.compiled.advance(2.0, 200)
    setting.compiled.advance(3.0, 300)
    assert setting.trainer.adopted == ["made.pt2"]
    assert compiler.closed == 1
    assert "from update 201 on" in says.text
    assert "compiled in 21 s; learner.compile = true" in says.text


def test_auto_waits_until_a_run_is_long(tmp_path):
    setting = Setting(tmp_path, AUTO)
    setting.compiled.begin()
    for now_s in (5.0, 10.0, 14.9):
        setting.compiled.advance(now_s, 0)
    assert setting.started == []
    setting.compiled.advance(15.0, 0)
    setting.compiled.advance(15.1, 0)
    assert len(setting.started) == 1


@pytest.mark.parametrize(
    ("limits", "updates", "left"),
    [
        (["stop.wall_s=70"], 1000, True),
        (["stop.wall_s=69"], 1000, False),
        (["stop.updates=7000"], 1000, True),
        (["stop.updates=6990"], 1000, False),
        (["stop.updates=7000", "stop.wall_s=60"], 1000, False),
        (["stop.updates=10"], 0, True),  # who knows
    ],
    ids=str,
)
def test_auto_compiles_where_enough_of_the_run_is_left(tmp_path, says, limits, updates, left):
    setting = Setting(tmp_path, AUTO, *limits)
    setting.compiled.begin()
    setting.compiled.advance(0.0, 0)
    setting.compiled.advance(10.0, updates)
    assert bool(setting.started) == left
    assert ("s left, and compiling must pay" in says.text) != left
    setting.compiled.advance(11.0, updates)
    assert says.text.count("learner.compile") == 1


def test_without_a_compiler_auto_says_so_once_and_stays_as_it_is(tmp_path, says, compiler):
    compiler()
    setting = Setting(tmp_path, AUTO)
    setting.compiled.begin()
    setting.compiled.advance(0.0, 0)
    setting.compiled.advance(100.0, 0)
    assert setting.started == []
    (record,) = says.records
    assert record.getMessage() == (
        "updates are not compiled: there is no C++ compiler here (no $CXX, no g++) "
        '(learner.compile = "auto")'
    )


def test_without_a_compiler_true_is_refused_before_training(tmp_path, compiler):
    compiler()
    with pytest.raises(ConfigError, match=r"no C\+\+ compiler here.*learner\.compile = \"auto\""):
        Setting(tmp_path, TRUE).compiled.begin()
    kept = Setting(tmp_path, TRUE, kept=True)
    kept.compiled.begin()
    assert kept.trainer.adopted


@pytest.mark.parametrize("refuses", [False, True])
def test_what_cannot_be_a_loop_is_compiled_one_by_one_or_not_at_all(tmp_path, says, refuses):
    for choice, each in ((TRUE, 1), (AUTO, 0)):
        setting = Setting(tmp_path, choice)
        setting.compiled.begin()
        setting.compiled.advance(0.0, 0)
        setting.compiled.advance(10.0, 0)
        setting.started[0].result = Outcome(path="a") if refuses else Outcome(error="it draws")
        setting.trainer.refuses = refuses
        setting.compiled.advance(11.0, 0)
        setting.compiled.advance(12.0, 0)
        assert setting.trainer.each == each
        assert len(setting.started) == 1
        assert setting.started[0].closed == 1
        assert ("of another network" if refuses else "it draws") in says.text


def test_on_a_gpu_true_compiles_one_by_one_and_auto_nothing(tmp_path, says):
    for choice, each in ((TRUE, 1), (AUTO, 0)):
        setting = Setting(tmp_path, choice, device="cuda", kept=True)
        setting.compiled.begin()
        setting.compiled.advance(100.0, 0)
        assert (setting.trainer.each, setting.trainer.adopted) == (each, [])
    assert "compiles for a GPU too" in says.text


@pytest.mark.parametrize(("choice", "each"), [(TRUE, 1), (AUTO, 0)])
def test_a_folder_that_is_not_safe_is_not_used(tmp_path, says, monkeypatch, choice, each):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "zdqn" / "updates").mkdir(parents=True)
    (tmp_path / "zdqn" / "updates").chmod(0o777)
    trainer = FakeTrainer()
    compiled = CompiledUpdates(load_config(None, (choice,)), None, SPEC, trainer)  # type: ignore[arg-type]
    compiled.begin()
    compiled.advance(0.0, 0)
    compiled.advance(100.0, 0)
    assert (trainer.each, trainer.adopted) == (each, [])
    assert "of this user alone" in says.text


def test_who_must_know_the_result_waits_for_it(tmp_path):
    setting = Setting(tmp_path, TRUE)
    setting.compiled.begin()
    setting.compiled.wait(lambda: False)
    assert setting.trainer.adopted == ["made.pt2"]
    setting.compiled.wait(lambda: False)
    waiting = Setting(tmp_path, TRUE)
    waiting.compiled.begin()
    waiting.compiled.wait(lambda: True)
    waiting.compiled.close()
    assert waiting.trainer.adopted == []
    assert waiting.started[0].closed == 1


@pytest.mark.parametrize(("choice", "expected"), [(TRUE, 1), (AUTO, 0), (FALSE, 0)])
def test_who_promises_a_result_compiles_ahead_or_not_at_all(
    tmp_path, monkeypatch, choice, expected
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    config, trainer = load_config(None, (choice,)), FakeTrainer()
    LoopCache().path(loop_key(config, SPEC) or "").touch()
    compile_ahead(config, None, SPEC, trainer, lambda: False)  # type: ignore[arg-type]
    assert len(trainer.adopted) == expected
