"""The four roles together, over sockets: they train, stop, and account for everything."""

import csv
import itertools
import json
import time
import tomllib

import pytest

from tests.kept_ports import kept_pair
from tests.roles.conftest import DEADLINE_S, eventually, quick_config
from zdqn.config import to_dict
from zdqn.errors import MismatchError
from zdqn.records.checkpoints import CheckpointDirectory
from zdqn.records.totals import RunTotals
from zdqn.wire.remote_control import fetch_status, request_stop

SUMMARY_KEYS = {
    "environment_steps", "transitions", "updates", "episodes", "wall_s", "stop_reason",
    "best_evaluation_return", "final_evaluation_return", "environment_steps_per_s",
    "updates_per_s", "samples_per_insert", "blocks_lost", "blocks_duplicated", "staleness_mean",
}  # fmt: skip


def start_all(system, config, collectors=1, evaluators=1, **options):
    """Start them; evaluators have joined before there is anything to learn from."""
    memory = system.memory(config)
    learner = system.learner(config, memory, **options)
    for _ in range(evaluators):
        system.evaluator(None, learner)
    eventually(lambda: learner.role._server.living("evaluator") == evaluators, "all evaluators")
    for _ in range(collectors):
        system.collector(None, learner)
    return memory, learner


def test_four_roles_train_and_write_a_run_directory(either_system):
    system = either_system
    config = quick_config("evaluator.period_updates=20", "learner.checkpoint_period_updates=25")
    memory, learner = start_all(system, config, collectors=2, evaluators=2)
    result = learner.result()
    assert result.stop_reason == "updates"
    assert memory.result().stop_reason == "the run is over"
    directory = result.run_directory
    summary = json.loads((directory / "summary.json").read_text())
    assert summary.keys() >= SUMMARY_KEYS
    assert summary == result.summary
    assert summary["updates"] == 60
    assert summary["blocks_lost"] == summary["blocks_duplicated"] == 0
    assert summary["transitions"] == summary["environment_steps"] > 0
    assert tomllib.loads((directory / "config.toml").read_text()) == to_dict(config)
    rows = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    assert [row["updates"] for row in rows] == sorted(row["updates"] for row in rows)
    assert rows[-1]["loss"] is not None
    assert (directory / "best.pt").exists()
    names = sorted(path.name for path in (directory / "checkpoints").iterdir())
    assert names == ["update-000000050.pt", "update-000000060.pt"]
    training = CheckpointDirectory(directory / "checkpoints").newest().checkpoint.training
    assert training is not None
    kept = RunTotals()  # as whoever goes on with the run counts from
    kept.load_state_dict(training.totals)
    blocks = kept.blocks.counts()
    assert (blocks.sent, blocks.stored) == (summary["blocks_sent"], summary["blocks"])


@pytest.mark.parametrize(
    ("at_learner", "at_memory", "sharing", "word"),
    [
        ("true", "auto", True, "frames of samples come through shared memory"),
        ("true", "true", True, "frames of samples come through shared memory"),
        ("true", "false", False, "frames of samples come over the socket"),
        ("false", "true", False, ""),
        ("auto", "true", False, ""),  # so small a batch is not worth it
    ],
)
def test_frames_go_through_shared_memory_if_both_ends_want_it(
    system, caplog, at_learner, at_memory, sharing, word
):
    caplog.set_level("INFO")
    key = "links.shared_memory"
    memory = system.memory(quick_config(f"{key}={at_memory}"))
    config = quick_config(f"{key}={at_learner}", "stop.updates=0")
    learner = system.learner(config, memory)
    system.collector(None, learner)
    address = learner.role.endpoints["model"]
    eventually(lambda: fetch_status(address, DEADLINE_S)["progress"]["updates"] > 20, "updates")
    assert fetch_status(memory.role.endpoints["samples"], DEADLINE_S)["sharing"] == sharing
    said = [text for text in caplog.messages if text.startswith("frames of samples come")]
    assert [text.partition(":")[0] for text in said] == [word] * bool(word)
    request_stop(address, "enough", DEADLINE_S)
    assert learner.result().stop_reason == "enough"


def test_every_snapshot_is_evaluated_once_the_first_and_the_last_included(system):
    config = quick_config("evaluator.period_updates=10", "stop.updates=45")
    _, learner = start_all(system, config, evaluators=3)
    result = learner.result()
    with (result.run_directory / "evaluations.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    assert sorted(int(row["snapshot"]) for row in rows) == list(range(len(rows)))
    assert {int(row["updates"]) for row in rows} == {0, 10, 20, 30, 40, 45}
    assert result.summary["snapshots_unevaluated"] == 0
    assert result.summary["evaluations"] == len(rows)
    assert result.summary["best_rescored_return"] is not None


def test_snapshots_that_nobody_came_for_stand_in_the_summary(system):
    config = quick_config("evaluator.period_updates=10", "evaluator.waiting_snapshots=2")
    _, learner = start_all(system, config, evaluators=0)
    summary = learner.result().summary
    assert (summary["snapshots_dropped"], summary["snapshots_unevaluated"]) == (5, 2)  # of 7


@pytest.fixture
def kept_addresses():
    with kept_pair() as one, kept_pair() as other:
        yield f"tcp://127.0.0.1:{one}", f"tcp://127.0.0.1:{other}"


def test_the_roles_wait_for_each_other_in_the_worst_order(either_system, caplog, kept_addresses):
    """Clients first, the memory last: every address is known before anybody listens there."""
    config, system = quick_config(), either_system
    memory_address, learner_address = kept_addresses
    caplog.set_level("INFO")
    evaluator = system.evaluator(None, learner_address)
    collector = system.collector(config, learner_address, memory=memory_address)
    eventually(lambda: "waiting for the learner at" in caplog.text, "a word about the wait")
    learner = system.learner(config, memory_address, bind=learner_address)
    eventually(lambda: "waiting for the memory at" in caplog.text, "a word about the memory")
    system.memory(config, bind=memory_address)
    assert learner.result().stop_reason == "updates"
    assert collector.result().environment_steps > 0
    evaluator.result()


def test_a_clock_that_is_set_back_changes_nothing(system, monkeypatch, caplog):
    """Nothing waits for a time of day: durations are those of a clock that never goes back."""
    caplog.set_level("INFO")  # the time of each line is all that is asked for
    began_s, asked = time.time(), itertools.count()
    monkeypatch.setattr(time, "time", lambda: began_s - 60 * next(asked))  # back with each look
    _, learner = start_all(system, quick_config("evaluator.period_updates=20"))
    result = learner.result()
    assert next(asked) > 0
    assert result.stop_reason == "updates"
    assert result.summary["wall_s"] >= 0
    assert result.summary["evaluations"] > 1
    rows = (result.run_directory / "metrics.jsonl").read_text().splitlines()
    seconds = [json.loads(row)["wall_s"] for row in rows]
    assert seconds == sorted(seconds)
    assert seconds[0] >= 0


def test_a_corridor_is_learned(system, corridor):
    config = quick_config(
        "stop.updates=0", "stop.environment_steps=20000", "stop.evaluation_return=1",
        "evaluator.period_updates=50", "algorithm.learning_rate=0.01",
        "exploration.epsilon_decay_environment_steps=1000", "replay.samples_per_insert=8",
        "algorithm.target_update_period_updates=10",
    )  # fmt: skip
    memory = system.memory(config)
    learner = system.learner(config, memory)
    system.collector(config, learner, environment=corridor)
    system.evaluator(config, learner, environment=corridor)
    result = learner.result()
    assert result.stop_reason == "evaluation_return"
    assert result.summary["best_evaluation_return"] == 1.0


@pytest.mark.parametrize(
    "overrides",
    [
        ("algorithm.target_network=none",),
        ("algorithm.target_network=soft",),
        ("replay.capacity=1", "replay.min_size=1"),
        ("replay.kind=prioritized", "replay.initial_priority=collector", "algorithm.n_step=3",
         "algorithm.double=true", "network.dueling=true", "exploration.kind=ladder"),
        ("collector.policy=remote", "collector.environments=2"),
        ("environment.frame_stack=3", "algorithm.n_step=2"),
        ("replay.samples_per_insert=0",),
        ("learner.batches_per_request=1", "learner.requests_in_flight=1"),
    ],
    ids=lambda overrides: " ".join(overrides),
)  # fmt: skip
def test_every_part_is_a_switch_in_the_distributed_system_too(system, overrides):
    _, learner = start_all(system, quick_config(*overrides))
    assert learner.result().summary["updates"] == 60


@pytest.mark.parametrize(("interval_s", "published"), [(0, True), (1000, False)])
def test_broadcasts_keep_their_distance_in_time(system, interval_s, published):
    config = quick_config(
        "learner.publish_period_updates=1", f"learner.publish_interval_s={interval_s}"
    )
    _, learner = start_all(system, config, evaluators=0)
    assert (learner.result().summary["staleness_mean"] > 0) == published


@pytest.mark.parametrize("slow_side", ["collectors", "learner"])
def test_samples_per_insert_is_held_whichever_side_is_slow(system, slow_side):
    overrides = {
        "collectors": ("environment.id=zdqn/SlowCartPole-v0", "environment.kwargs={sleep_s=0.0005}",
                       "replay.samples_per_insert=16"),
        "learner": ("network.hidden=[512,512]", "collector.environments=4",
                    "replay.samples_per_insert=8"),
    }[slow_side]  # fmt: skip
    config = quick_config(*overrides, "stop.updates=2000", "algorithm.batch_size=16")
    _, learner = start_all(system, config)
    achieved = learner.result().summary["samples_per_insert"]
    assert achieved == pytest.approx(config.replay.samples_per_insert, rel=0.02)


def test_status_shows_every_role_and_stop_ends_all_of_them(either_system):
    system = either_system
    config = quick_config("stop.updates=0")
    memory, learner = start_all(system, config)
    address = learner.role.endpoints["model"]

    def training():
        status = fetch_status(address, DEADLINE_S, system.operator)
        trained = status.get("progress", {}).get("updates")
        return status if trained and status["memory"].get("size") else None

    status = eventually(training, "updates, and the memory's word, in the status")
    assert {client["role"] for client in status["clients"]} == {"collector", "evaluator"}
    assert status["run"]["phase"] == "training"
    held = fetch_status(memory.role.endpoints["samples"], DEADLINE_S, system.operator, "memory")
    assert held["role"] == "memory"
    assert {client["role"] for client in held["clients"]} == {"collector", "learner"}
    request_stop(address, "the test has seen enough", DEADLINE_S, system.operator)
    assert learner.result().stop_reason == "the test has seen enough"
    assert memory.result().stop_reason == "the run is over"


def test_another_configuration_is_refused_with_the_difference(system):
    config = quick_config("stop.updates=0")
    _, learner = start_all(system, config)
    other = quick_config("stop.updates=0", "algorithm.n_step=3", "network.hidden=[8]")
    with pytest.raises(MismatchError) as caught:
        system.collector(other, learner).result()
    assert "algorithm.n_step: here 1, there 3" in str(caught.value)
    assert "network.hidden: here [16], there [8]" in str(caught.value)


def test_another_environment_is_refused_with_both_described(system, corridor):
    config = quick_config("stop.updates=0")
    _, learner = start_all(system, config)
    eventually(lambda: learner.role._server.wait_for_spec(0), "a spec")
    with pytest.raises(MismatchError, match=r"float32 \(4,\), 2 actions.*float32 \(5,\)"):
        system.collector(config, learner, environment=corridor).result()
    assert fetch_status(learner.role.endpoints["model"], DEADLINE_S)["run"]["phase"] != "finishing"
