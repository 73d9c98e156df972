"""What the real MLflow has kept of a run, as MLflow itself reads it again."""

import msgspec
import pytest

from tests.records.told_rows import EVALUATION, ROW, SUMMARY
from zdqn.config import Config, flatten
from zdqn.core.agenda import Counters
from zdqn.records.mlflow_sink import MlflowSink
from zdqn.records.sink_names import metrics_by_name, scores_by_name

CONFIG = Config().replace({"run.seed": 5, "environment.kwargs": {"gravity": 9.5}})


@pytest.fixture
def store(tmp_path):
    """The folder of a store, and what reads it."""
    pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    from mlflow import MlflowClient

    folder = tmp_path / "store"
    return folder, lambda: MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")


pytestmark = pytest.mark.filterwarnings("default")  # of packages of another's


def runs_of(client):
    experiment = client.get_experiment_by_name("zdqn")
    return client.search_runs([experiment.experiment_id], order_by=["attributes.start_time ASC"])


def test_the_store_has_all_that_was_told(store, tmp_path):
    folder, open_store = store
    later = msgspec.structs.replace(ROW, environment_steps=150, loss=0.25)
    with MlflowSink(tmp_path / "first", folder) as sink:
        sink.begin(CONFIG)
        sink.add_metrics(ROW)
        sink.add_metrics(later)
        sink.add_evaluation(EVALUATION)
        sink.write_summary(SUMMARY)
    with MlflowSink(tmp_path / "first", folder) as sink:
        sink.go_on_from(Counters(environment_steps=120))
        sink.begin(CONFIG)
        sink.add_metrics(later)
    client = open_store()
    first, second = runs_of(client)
    assert first.info.run_name == second.info.run_name == "first"
    assert (first.info.status, second.info.status) == ("FINISHED", "FAILED")
    assert first.data.params == {key: str(value) for key, value in flatten(CONFIG).items()}
    assert {key: str(value) for key, value in SUMMARY.items()}.items() <= first.data.tags.items()
    for run, rows in ((first, (ROW, later)), (second, (later,))):
        for name in metrics_by_name(ROW):
            kept = client.get_metric_history(run.info.run_id, name)
            told = [(row.environment_steps, metrics_by_name(row)[name]) for row in rows]
            assert [(point.step, point.value) for point in kept] == told, name
    for name, value in scores_by_name(EVALUATION).items():
        (kept,) = client.get_metric_history(first.info.run_id, name)
        assert (kept.step, kept.value) == (100, value), name
    assert "goes_on_from.environment_steps" not in first.data.tags
    assert second.data.tags["goes_on_from.environment_steps"] == "120"
