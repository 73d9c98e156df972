"""What MLflow's client is told; with a stand-in for it, as the real one is large."""

import sys

import pytest

from tests.records.fake_clients import FakeMlflow
from tests.records.told_rows import EVALUATION, ROW, SUMMARY
from zdqn.config import Config, flatten
from zdqn.core.agenda import Counters
from zdqn.errors import FileError
from zdqn.records.mlflow_sink import MlflowSink
from zdqn.records.sink_names import metrics_by_name, scores_by_name


@pytest.fixture
def client(monkeypatch):
    fake = FakeMlflow()
    monkeypatch.setitem(sys.modules, "mlflow", fake)
    monkeypatch.setitem(sys.modules, "mlflow.entities", fake.entities)
    return fake


@pytest.fixture
def sink(client, tmp_path):
    made = MlflowSink(tmp_path, tmp_path / "store", clock=lambda: 1.5e9)
    made.begin(Config().replace("run.seed", 5))
    return made


def values_of(client, what):
    return [value for name, values in client.told if name == what for value in values]


def test_a_run_has_its_configuration_and_its_numbers(client, sink, tmp_path):
    sink.add_metrics(ROW)
    sink.add_evaluation(EVALUATION)
    sink.write_summary(SUMMARY)
    sink.close()
    assert client.told[0] == ("store", f"sqlite:///{tmp_path / 'store' / 'mlflow.db'}")
    assert client.told[1] == ("run", ("0", tmp_path.name))
    parameters = dict(values_of(client, "params"))
    assert parameters.keys() == flatten(Config()).keys()
    assert parameters["run.seed"] == "5"
    told = [
        *((name, value, 1_500_000_000_000, 120) for name, value in metrics_by_name(ROW).items()),
        *((n, v, 1_500_000_000_000, 100) for n, v in scores_by_name(EVALUATION).items()),
    ]
    assert values_of(client, "metrics") == told
    assert ("tag", ("stop_reason", "updates")) in client.told
    assert client.told[-1] == ("end", "FINISHED")


def test_a_start_that_goes_on_says_from_where(client, sink, tmp_path):
    assert client.tags == {}
    later = MlflowSink(tmp_path, tmp_path / "store")
    later.go_on_from(Counters(environment_steps=90))
    later.begin(Config())
    assert client.tags == {"goes_on_from.environment_steps": "90"}


def test_runs_share_an_experiment(client, sink, tmp_path):
    MlflowSink(tmp_path / "other", tmp_path / "store").begin(Config())
    assert [told for told in client.told if told[0] == "run"][1] == ("run", ("0", "other"))


def test_an_experiment_that_another_run_makes_meanwhile_is_taken(client, tmp_path, monkeypatch):
    def taken(name, artifact_location):
        client.experiments[name] = "7"
        raise RuntimeError("already exists")

    monkeypatch.setattr(client, "create_experiment", taken)
    MlflowSink(tmp_path, tmp_path / "store").begin(Config())
    assert ("run", ("7", tmp_path.name)) in client.told


def test_a_run_that_breaks_off_has_failed(client, sink):
    sink.close()
    sink.close()
    assert client.told[-1] == ("end", "FAILED")


def test_what_the_store_raises_is_named(client, sink):
    client.failure = ValueError("database is locked")
    with pytest.raises(FileError, match=r"sinks\.mlflow: .*ValueError: database is locked"):
        sink.add_metrics(ROW)


def test_of_a_training_that_never_began_nothing_is_told(client, tmp_path):
    sink = MlflowSink(tmp_path, tmp_path / "store")
    sink.write_summary(SUMMARY)
    sink.close()
    assert client.told == []
