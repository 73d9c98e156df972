"""What W&B's client is told; with a stand-in for it, as the real one is large."""

import sys

import pytest

from tests.records.fake_clients import FakeWandb
from tests.records.told_rows import EVALUATION, ROW, SUMMARY
from zdqn.config import Config
from zdqn.core.agenda import Counters
from zdqn.errors import FileError
from zdqn.records.sink_names import metrics_by_name, scores_by_name
from zdqn.records.wandb_sink import WandbSink


@pytest.fixture
def client(monkeypatch):
    monkeypatch.delenv("WANDB_MODE", raising=False)
    fake = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    return fake


@pytest.fixture
def sink(client, tmp_path):
    made = WandbSink(tmp_path)
    made.begin(Config().replace("run.seed", 5))
    return made


def test_all_is_told_over_environment_steps(client, sink, tmp_path):
    sink.add_metrics(ROW)
    sink.add_evaluation(EVALUATION)
    sink.write_summary(SUMMARY)
    sink.close()
    (_, begun), *others = client.told
    assert (begun["name"], begun["dir"]) == (tmp_path.name, str(tmp_path))
    assert (begun["mode"], begun["config"]["run.seed"]) == ("offline", 5)
    assert others == [
        ("define", ("*", "environment_steps")),
        ("log", {"environment_steps": 120, **metrics_by_name(ROW)}),
        ("log", {"environment_steps": 100, **scores_by_name(EVALUATION)}),
        ("summary", SUMMARY),
        ("finish", 0),
    ]


def test_a_start_that_goes_on_says_from_where(client, sink, tmp_path):
    assert "goes_on_from.environment_steps" not in client.told[0][1]["config"]
    later = WandbSink(tmp_path)
    later.go_on_from(Counters(environment_steps=90))
    later.begin(Config())
    (_, begun), _ = client.told[-2:]
    assert begun["config"]["goes_on_from.environment_steps"] == 90


def test_who_sets_the_variable_says_whether_it_is_offline(client, monkeypatch, tmp_path):
    monkeypatch.setenv("WANDB_MODE", "online")
    WandbSink(tmp_path).begin(Config())
    assert client.told[0][1]["mode"] == "online"


def test_a_run_that_breaks_off_has_failed(client, sink):
    sink.close()
    sink.close()
    assert client.told[-1] == ("finish", 1)
    assert [what for what, _ in client.told].count("finish") == 1


def test_what_the_client_raises_is_named(client, sink):
    client.failure = ValueError("no more room")
    with pytest.raises(FileError, match=r"sinks\.wandb: .*ValueError: no more room"):
        sink.add_metrics(ROW)


def test_of_a_training_that_never_began_nothing_is_told(client, tmp_path):
    sink = WandbSink(tmp_path)
    sink.write_summary(SUMMARY)
    sink.close()
    assert client.told == []
