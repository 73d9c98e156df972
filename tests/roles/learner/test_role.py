"""The learner's life around its loop: what is bound, refused, waited for, and left behind."""

import re
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from tests.roles.conftest import DEADLINE_S, eventually, quick_config
from tests.wire.fake_server import PONG, WELCOME
from zdqn.config import shared_values
from zdqn.data import EnvironmentSpec
from zdqn.errors import (
    AddressInUseError,
    ConfigError,
    FencedError,
    FileError,
    MismatchError,
    PeerUnavailableError,
    RoleFailedError,
)
from zdqn.records.checkpoints import CheckpointDirectory
from zdqn.records.run_files import RunFiles
from zdqn.records.run_result import RunResult
from zdqn.records.sinks import Sink
from zdqn.records.snapshots import Evaluation
from zdqn.roles.learner import memory_link
from zdqn.roles.learner.model_answers import ModelAnswers
from zdqn.roles.learner.role import Learner
from zdqn.roles.single import Single
from zdqn.wire import remote_control
from zdqn.wire.addresses import parse_address
from zdqn.wire.memory_messages import NotReady, Progress, SampleRequest
from zdqn.wire.protocol import Acknowledged, ErrorReply, Hello, Refusal, Spec, Status, Stop
from zdqn.wire.status import MetricsRow

CARTPOLE = Spec.of(EnvironmentSpec((4,), "float32", 2))
NOWHERE = "tcp://127.0.0.1:1"


@pytest.fixture
def make(context, tmp_path, monkeypatch):
    """Makes learners in a shared context; whatever is open at the end is closed."""
    monkeypatch.setattr(memory_link, "_LAST_WORD_S", 0.1)
    made = []

    def make_one(config=None, memory=NOWHERE, **options):
        options.setdefault("bind", "tcp://127.0.0.1:0")
        options.setdefault("run_directory", tmp_path / "run")
        learner = Learner(config or quick_config(), memory=str(memory), context=context, **options)
        made.append(learner)
        return learner

    yield make_one
    for learner in made:
        learner.close()


@pytest.fixture
def pair(nobody):
    """An address that is kept for a learner."""
    return str(nobody)


def again(make, address, until):
    """Bind where something has just failed: what it left bound would be in the way."""
    bound = []

    def attempt():
        try:
            bound.append(make(bind=address))
        except AddressInUseError:
            return False
        return True

    until(attempt)
    return bound[0]


# --- the constructor ------------------------------------------------------------------------------


def test_made_it_is_bound_and_counted(make, tmp_path):
    told: list[dict[str, str]] = []
    config = quick_config("run.seed=9")
    learner = make(config, on_bound=told.append)
    model, weights = (
        parse_address(learner.endpoints[link], parameter="x") for link in ("model", "weights")
    )
    assert weights.port == model.port - 1
    assert told == [learner.endpoints]
    assert (tmp_path / "run" / "learner_epoch").read_text() == "1\n"


def test_each_start_in_a_run_directory_is_a_new_epoch(make, tmp_path):
    for expected in ("1\n", "2\n"):
        make().close()
        assert (tmp_path / "run" / "learner_epoch").read_text() == expected


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"bind": "somewhere"}, "--bind"),
        pytest.param(
            {"bind": "tcp://0.0.0.0:0"}, "--insecure",
            marks=pytest.mark.keyless("with keys others may reach it"),
        ),
        ({"memory": "somewhere"}, "--memory"),
        ({"memory": "tcp://no.such.host.invalid:5"}, "--memory"),
    ],
)  # fmt: skip
def test_an_address_that_cannot_be_used_is_refused_before_anything_is_made(
    make, tmp_path, options, said
):
    with pytest.raises(ConfigError, match=said):
        make(**options)
    assert not (tmp_path / "run").exists()


def test_a_configuration_too_large_to_be_sent_is_refused_before_anything_is_made(make, tmp_path):
    config = quick_config(f'environment.kwargs={{level = "{"x" * 70_000}"}}')
    with pytest.raises(ConfigError, match=r"environment\.kwargs takes 70,0\d\d"):
        make(config)
    assert not (tmp_path / "run").exists()


def test_an_address_in_use_is_refused(make, tmp_path):
    first = make()
    with pytest.raises(AddressInUseError, match=first.endpoints["model"]):
        make(bind=first.endpoints["model"], run_directory=tmp_path / "other")


def test_sockets_are_closed_when_whoever_is_told_of_them_raises(make, pair, until):
    def refuse(endpoints):
        raise OSError(f"no room to write down {endpoints['model']}")

    with pytest.raises(OSError, match=pair):
        make(bind=pair, on_bound=refuse)
    again(make, pair, until)


def test_sockets_are_closed_when_the_run_directory_fails(make, pair, tmp_path, until):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "learner_epoch").write_text("many")
    with pytest.raises(FileError, match="learner_epoch"):
        make(bind=pair)
    (folder / "learner_epoch").unlink()
    again(make, pair, until)


def test_closing_lets_go_of_both_addresses_and_may_be_done_twice(make, pair, until):
    learner = make(bind=pair)
    learner.close()
    learner.close()
    assert again(make, pair, until).endpoints == learner.endpoints


# --- before training ------------------------------------------------------------------------------


def test_a_run_without_a_checkpoint_cannot_be_resumed(make, tmp_path):
    (tmp_path / "earlier").mkdir()
    with pytest.raises(FileError, match=r"there is no checkpoint in .*earlier"):
        make(resume=tmp_path / "earlier")


def test_a_run_that_goes_on_keeps_its_identity_and_one_that_overwrites_has_its_own(make, tmp_path):
    def identity(**options):
        make(**options).close()
        return (tmp_path / "run" / "run_id").read_text()

    first = identity()
    assert identity() == first
    assert identity(overwrite=True) != first


def test_a_memory_that_does_not_come_is_not_waited_for_without_end(make, nobody):
    config = quick_config("links.connect_timeout_s=0.1")
    with pytest.raises(PeerUnavailableError, match=f"memory at {nobody}"):
        make(config, memory=nobody).run()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (ErrorReply(code=Refusal.FENCED, message="epoch 3"), FencedError),
        (ErrorReply(code=Refusal.MISMATCH, message="another run"), MismatchError),
    ],
)
def test_a_memory_that_refuses_ends_the_run_with_its_reason(make, fake, answer, error):
    memory = fake(Hello=[answer])
    with pytest.raises(error, match=answer.message):
        make(memory=memory.address).run()


def test_it_says_of_which_run_and_epoch_it_is_and_what_it_acts_on(make, fake, in_thread, until):
    memory = fake(StatusRequest=[Status(role="memory", values={})], Stop=[Acknowledged()])
    make().close()
    stop = threading.Event()
    learner = make(memory=memory.address, stop=stop)
    in_thread(learner.run)
    until(lambda: memory.heard)
    stop.set()
    hello = memory.heard[0]
    assert isinstance(hello, Hello)
    assert (hello.role, hello.learner_epoch) == ("learner", 2)
    assert re.fullmatch("run-[0-9a-f]{8}", hello.run_id)
    assert hello.spec is None
    assert hello.shared == shared_values(quick_config(), "learner", "memory")


# --- the end, if there was nothing to learn from --------------------------------------------------


@pytest.fixture
def waiting(make, fake, monkeypatch):
    """A learner that has a memory and waits for a collector; its memory; its result to come."""
    monkeypatch.setattr(memory_link, "_LAST_WORD_S", DEADLINE_S)
    memory = fake(
        StatusRequest=[Status(role="memory", values={"samples_per_insert": 9})],
        Stop=[Acknowledged()],
    )
    stop = threading.Event()
    learner = make(memory=memory.address, stop=stop)
    outcome: list[object] = []

    def run():
        try:
            outcome.append(learner.run())
        except Exception as error:  # noqa: BLE001 - looked at by the test
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    address = learner.endpoints["model"]
    eventually(
        lambda: (
            remote_control.fetch_status(address, DEADLINE_S)["run"]["phase"]
            == "waiting for a collector"
        ),
        "the phase in which it waits",
    )

    def result():
        thread.join(DEADLINE_S)
        (given,) = outcome
        return given

    yield learner, memory, stop, result
    stop.set()
    thread.join(DEADLINE_S)
    assert not thread.is_alive()


def test_a_learner_that_is_told_to_gives_up_without_a_collector(make, fake):
    learner = make(quick_config("learner.give_up_after_s=0.2"), memory=fake().address)
    with pytest.raises(PeerUnavailableError, match=r"learner\.give_up_after_s.*no collector is"):
        learner.run()


def test_who_asks_for_a_stop_gives_the_reason_and_the_first_counts(waiting, tmp_path):
    learner, memory, _, result = waiting
    for reason in ("enough", "really enough"):  # answered until it is closed
        remote_control.request_stop(learner.endpoints["model"], reason, DEADLINE_S)
    ended = result()
    assert (ended.stop_reason, ended.run_directory) == ("enough", tmp_path / "run")
    assert ended.summary["updates"] == ended.summary["environment_steps"] == 0
    assert ended.summary["verdict"] == ""  # nobody has computed, or waited for data
    assert ended.summary["samples_per_insert"] == 9  # the memory's last word
    assert RunFiles(tmp_path / "run").results() == []  # no run began
    assert Stop(reason="the run is over") in memory.heard


def test_a_stop_event_needs_no_reason(waiting):
    _, _, stop, result = waiting
    stop.set()
    assert result().stop_reason == "stopped"


def test_a_broken_model_server_is_a_fault_of_zdqn(waiting, monkeypatch):
    *_, result = waiting

    def broken(_answers, _most_s):
        raise ZeroDivisionError("on purpose")

    monkeypatch.setattr(ModelAnswers, "serve", broken)
    error = result()
    assert isinstance(error, RoleFailedError)
    assert "on purpose" in str(error)
    assert "please report it" in str(error)
    assert isinstance(error.__cause__, ZeroDivisionError)


def test_a_memory_that_fences_a_waiting_learner_out_ends_it(make, fake):
    fenced = ErrorReply(code=Refusal.FENCED, message="a newer learner (epoch 2) has taken over")
    memory = fake(Ping=[PONG, fenced], Hello=[WELCOME])
    with pytest.raises(FencedError, match="epoch 2"):
        make(memory=memory.address).run()


# --- going on -------------------------------------------------------------------------------------


def test_a_resumed_learner_knows_the_environment_and_counts_on(
    make, fake, tmp_path, in_thread, until
):
    config = quick_config("stop.updates=20")
    with Single(config, run_directory=tmp_path / "run") as single:
        earlier = single.run().summary
    saved = CheckpointDirectory(tmp_path / "run" / "checkpoints", keep=2).newest().training
    nothing = Progress(
        session=WELCOME.session, environment_steps=0, episodes=0, transitions=0, blocks=0,
        blocks_lost=0, blocks_duplicated=0, blocks_refused=0,
    )  # fmt: skip
    memory = fake(
        SampleRequest=[NotReady(reason="filling", size=0, needed=64, progress=nothing)],
        StatusRequest=[Status(role="memory", values={})],
        Stop=[Acknowledged()],
    )
    stop = threading.Event()
    learner = make(
        quick_config("stop.updates=999"), memory=memory.address, stop=stop, resume=tmp_path / "run"
    )
    results: list[RunResult] = []
    in_thread(lambda: results.append(learner.run()))
    until(lambda: memory.count(SampleRequest))
    assert {hello.spec for hello in memory.heard if isinstance(hello, Hello)} == {CARTPOLE}
    status = remote_control.fetch_status(learner.endpoints["model"], DEADLINE_S)
    assert status["run"]["phase"] == "training"
    stop.set()
    until(lambda: results)
    (result,) = results
    for key in ("updates", "environment_steps", "transitions", "episodes"):
        assert result.summary[key] == earlier[key], key
    assert result.summary["wall_s"] >= round(saved.metrics["wall_s"], 3) > 0


class Told(Sink):
    """Keeps what it is told."""

    def __init__(self):
        self.rows: list[MetricsRow] = []
        self.evaluations: list[Evaluation] = []
        self.summaries: list[Mapping[str, Any]] = []

    def add_metrics(self, row):
        self.rows.append(row)

    def add_evaluation(self, evaluation):
        self.evaluations.append(evaluation)

    def write_summary(self, summary):
        self.summaries.append(summary)


def test_sinks_are_told_what_the_run_directory_is_told(system):
    config, sink = quick_config("evaluator.period_updates=20"), Told()
    memory = system.memory(config)
    learner = system.learner(config, memory, sinks=[sink])
    system.collector(config, learner)
    system.evaluator(config, learner)
    result = learner.result()
    assert [row.updates for row in sink.rows] == result.metrics()["updates"].tolist()
    means = sorted(evaluation.scores.mean for evaluation in sink.evaluations)
    assert means == sorted(result.evaluations()["mean"])
    assert sink.summaries == [result.summary]


def test_a_sink_that_returns_false_ends_the_run_for_all(system):
    class Ending(Told):
        def add_evaluation(self, evaluation):
            super().add_evaluation(evaluation)
            return False

    config, sink = quick_config("evaluator.period_updates=20", "stop.updates=0"), Ending()
    memory = system.memory(config)
    learner = system.learner(config, memory, sinks=[sink])
    others = [system.collector(config, learner), system.evaluator(config, learner)]
    result = learner.result()
    assert result.stop_reason == "sink"
    assert sink.summaries == [result.summary], "it is told of the end"
    assert sink.evaluations
    for role in (memory, *others):
        role.result()
