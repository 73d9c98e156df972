import pytest

from zdqn.config import Config
from zdqn.errors import ConfigError
from zdqn.records.configured_sinks import check_sinks, make_sinks


def named(sinks):
    return [type(sink).__name__ for sink in sinks]


def test_none_is_made_that_nobody_wants(tmp_path):
    assert make_sinks(Config(), tmp_path) == []


@pytest.mark.parametrize(("key", "kind"), [("csv", "CsvSink"), ("tensorboard", "TensorBoardSink")])
def test_one_is_made_for_its_key_and_for_no_other(tmp_path, key, kind):
    assert named(make_sinks(Config().replace(f"sinks.{key}", True), tmp_path)) == [kind]
    assert make_sinks(Config().replace(f"sinks.{key}", False), tmp_path) == []


WITH_PACKAGES = [("wandb", True, "WandbSink"), ("mlflow", "store", "MlflowSink")]


@pytest.mark.parametrize(("key", "value", "kind"), WITH_PACKAGES)
def test_one_that_needs_a_package_is_made_where_that_is(monkeypatch, tmp_path, key, value, kind):
    monkeypatch.setattr("zdqn.records.configured_sinks.find_spec", lambda name: object())
    assert named(make_sinks(Config().replace(f"sinks.{key}", value), tmp_path)) == [kind]


@pytest.mark.parametrize(
    ("key", "value"), [("wandb", True), ("mlflow", "store"), ("prometheus", "127.0.0.1:0")]
)
def test_a_package_that_is_missing_is_named_with_its_extra(monkeypatch, key, value):
    monkeypatch.setattr("zdqn.records.configured_sinks.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=rf"sinks\.{key} is .*pip install \"zdqn\[{key}\]\""):
        check_sinks(Config().replace(f"sinks.{key}", value))
    check_sinks(Config())


def test_what_needs_no_package_is_not_looked_for(monkeypatch):
    monkeypatch.setattr("zdqn.records.configured_sinks.find_spec", lambda name: None)
    check_sinks(Config().replace({"sinks.csv": True, "sinks.tensorboard": True}))
