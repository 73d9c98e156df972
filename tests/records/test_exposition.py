"""What Prometheus is told, as a function of a status."""

import re

import msgspec
import pytest

from tests.launch.views import collector, evaluator, status
from zdqn.records.exposition import ALL, CLIENTS, MEMORY, RUN, families
from zdqn.wire.status import (
    OF_CLIENTS,
    LearnerStatus,
    MemoryOfLearner,
    ProgressStatus,
    RunStatus,
)

NOT_TOLD = {
    "collector": {"transitions_sent", "collecting_s", "resent", "acknowledging_s"},
    "evaluator": {"doing", "doing_s"},
}


def told(given, run="first"):
    """Give (name, role, name of the role) to value."""
    return {
        (family.name, sample.labels.get("role", ""), sample.labels.get("name", "")): sample.value
        for family in families(given, run)
        for sample in family.samples
    }


def with_clients(*rows, **changes):
    return msgspec.structs.replace(status(), clients=list(rows), **changes)


def test_every_number_of_progress_is_told():
    assert {number.field for number in RUN} == set(ProgressStatus.__struct_fields__)


@pytest.mark.parametrize("role", CLIENTS)
def test_of_clients_is_told_what_they_tell(role):
    fields = set(OF_CLIENTS[role].__struct_fields__)
    assert {number.field for number in CLIENTS[role]} == fields - NOT_TOLD[role]


def test_of_the_memory_is_told_what_it_tells():
    assert {number.field for number in MEMORY} <= set(MemoryOfLearner.__struct_fields__)


def test_names_are_of_prometheus_and_each_is_there_once():
    names = [number.name for number in ALL]
    assert len({*names}) == len(names)
    for number in ALL:
        assert re.fullmatch(r"zdqn_[a-z][a-z0-9_]*", number.name)
        assert number.name.endswith("_total") == (number.kind == "counter")
        assert not re.search(r"_s(_total)?$", number.name), "units are written out"
        assert number.meaning.endswith(".")


def test_each_number_has_the_role_that_it_is_of():
    memory = MemoryOfLearner(
        address="tcp://m:1", size=10, holding_inserts_back_s=2.5, reading=False
    )
    run = RunStatus(phase="training", stalled_s=3.0)
    given = with_clients(
        collector(0), collector(1, epsilon=None), evaluator(), memory=memory, run=run,
        actions_served=8,
    )  # fmt: skip
    values = told(given)
    assert values["zdqn_updates_total", "", ""] == 9_100
    assert values["zdqn_loss", "", ""] == 0.0123
    assert values["zdqn_memory_size", "memory", "memory"] == 10
    assert values["zdqn_memory_reading", "memory", "memory"] == 0
    assert values["zdqn_memory_holding_inserts_back_seconds_total", "memory", "memory"] == 2.5
    assert values["zdqn_collector_environment_steps_total", "collector", "collector-0"] == 9_000
    assert values["zdqn_collector_environment_steps_total", "collector", "collector-1"] == 9_001
    assert values["zdqn_collector_epsilon", "collector", "collector-0"] == 0.04
    assert ("zdqn_collector_epsilon", "collector", "collector-1") not in values
    assert values["zdqn_evaluator_evaluations_total", "evaluator", "evaluator-0"] == 14
    assert values["zdqn_learner_stalled_seconds", "learner", "learner"] == 3.0
    assert values["zdqn_learner_actions_served_total", "learner", "learner"] == 8
    assert {name for name, _, _ in values} <= {number.name for number in ALL}


def test_the_run_is_a_label_of_every_number_and_the_phase_of_one():
    labels = [s.labels for family in families(status(), "runs/first") for s in family.samples]
    assert {label["run"] for label in labels} == {"runs/first"}
    assert [label["phase"] for label in labels if "phase" in label] == ["training"]


def test_what_is_not_known_yet_is_left_out():
    names = {family.name for family in families(LearnerStatus(), "first")}
    assert "zdqn_updates_total" in names
    assert "zdqn_loss" not in names
    assert "zdqn_memory_size" not in names


@pytest.mark.parametrize(("state", "living"), [("living", 1), ("silent", 0), ("gone", 0)])
def test_who_is_gone_is_told_so(state, living):
    values = told(with_clients(collector(0, state=state, last_seen_s=4.0)))
    assert values["zdqn_role_living", "collector", "collector-0"] == living
    assert values["zdqn_role_last_seen_seconds", "collector", "collector-0"] == 4.0


def test_of_several_starts_the_living_one_counts_or_else_the_last():
    gone, here = collector(0, state="gone", environment_steps=5), collector(0)
    name = "zdqn_collector_environment_steps_total"
    for rows in ((gone, here), (here, gone)):
        values = told(with_clients(*rows))
        assert values[name, "collector", "collector-0"] == 9_000
    old = collector(0, state="gone", last_seen_s=90.0, environment_steps=3)
    assert told(with_clients(old, gone))[name, "collector", "collector-0"] == 5
