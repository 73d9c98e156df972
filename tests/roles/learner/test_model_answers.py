"""Questions on the model link in, answers out, with a fake server and nothing else."""

from collections import deque
from typing import Any, cast

import numpy as np
import pytest

from tests.roles.conftest import quick_config
from tests.roles.learner.published import published
from tests.wire.links import check_status_fits, fill_with_the_longest_words
from zdqn.config import from_dict, shared_values
from zdqn.data import EnvironmentSpec
from zdqn.errors import ConfigError, MismatchError
from zdqn.records.block_accounts import Sent
from zdqn.records.snapshots import FrozenSnapshot
from zdqn.rl.greedy import Greedy
from zdqn.roles.client_settings import tell_clients
from zdqn.roles.learner.model_answers import ModelAnswers, check_travels
from zdqn.roles.learner.stall_watch import Pulse
from zdqn.wire import codec
from zdqn.wire.memory_messages import SampleRequest
from zdqn.wire.model_messages import (
    ActionRequest,
    Actions,
    Claim,
    ConfigurationRequest,
    EvaluationResult,
    NothingToEvaluate,
    Snapshot,
    WeightsRequest,
)
from zdqn.wire.protocol import (
    Acknowledged,
    ErrorReply,
    Goodbye,
    Hello,
    Ping,
    Refusal,
    Spec,
    StatusRequest,
    Stop,
    Welcome,
)
from zdqn.wire.request_sockets import Request
from zdqn.wire.status import LearnerStatus, ProgressStatus, RunStatus

CONFIG = quick_config("run.seed=5", "evaluator.episodes=2")
SPEC = EnvironmentSpec((2,), "float32", 4)
OTHER_SPEC = EnvironmentSpec((2,), "float32", 3)


class FakeServer:
    """Requests that a test puts in, and what was answered to each."""

    def __init__(self):
        self.requests: deque[Request] = deque()
        self.replies: dict[Request, Any] = {}

    def receive(self):
        return self.requests.popleft() if self.requests else None

    def reply(self, request, message):
        assert request not in self.replies, "answered twice"
        self.replies[request] = bytes(message)


class FirstAction(Greedy):
    def load(self, arrays):
        pass

    def q_values(self, observations):
        return np.tile(np.array([1, 0, 0, 0], np.float32), (len(observations), 1))


class Setting:
    """The answers under test, and their server."""

    def __init__(self):
        self.server = FakeServer()
        self.stops: list[str] = []
        self.now_s = 100.0
        self.pulse = Pulse()
        self.answers = ModelAnswers(
            self.server,  # type: ignore[arg-type]
            config=CONFIG,
            run_id="r",
            session=9,
            memory="tcp://10.0.0.1:5556",
            weights_endpoint="tcp://0.0.0.0:5557",
            on_stop=self.stops.append,
            pulse=self.pulse,
            clock=lambda: self.now_s,
        )

    def put(self, header, arrays=()):
        """Put in a request, which is not answered yet."""
        request = Request([], memoryview(codec.encode(header, arrays)))
        self.server.requests.append(request)
        return request

    def answer_to(self, request):
        reply = self.server.replies.get(request)
        return None if reply is None else codec.decode(reply).header

    def ask(self, header, arrays=()) -> Any:
        request = self.put(header, arrays)
        self.answers.serve()
        return self.answer_to(request)

    def hello(self, session=7, role="collector", **values):
        return self.ask(Hello(role=role, name=f"{role}-{session}", session=session, **values))

    def offer(self, number=0):
        arrays = {"weight": np.zeros(2, np.float32)}
        self.answers.evaluations.offer(FrozenSnapshot(number, 1 << 32, 10, 5, 2, 0.0, arrays))

    def result(self, session, number, *returns):
        header = EvaluationResult(
            session=session, snapshot=number, episodes=len(returns), duration_s=0.5
        )
        lengths = np.full(len(returns), 9, np.int64)
        return self.ask(header, (np.array(returns, np.float64), lengths))


@pytest.fixture
def setting():
    return Setting()


# --- who is admitted ------------------------------------------------------------------------------


def test_a_client_that_wants_the_configuration_is_given_everything(setting):
    welcome = setting.hello(capabilities=("configuration",))
    assert isinstance(welcome, Welcome)
    assert (welcome.run_id, welcome.session) == ("r", 9)
    assert welcome.memory == "tcp://10.0.0.1:5556"
    assert welcome.data_endpoint == "tcp://0.0.0.0:5557"
    assert (welcome.seed, welcome.index, welcome.spec) == (5, 0, None)
    assert from_dict(welcome.config, source="the welcome") == CONFIG


def test_every_client_is_given_what_it_must_know(setting):
    welcome = setting.hello()
    assert welcome.settings == tell_clients(CONFIG)
    assert welcome.config == {}
    assert "actions" in welcome.capabilities


def test_one_that_comes_with_the_same_values_is_welcome(setting):
    assert isinstance(setting.hello(shared=shared_values(CONFIG, "collector", "learner")), Welcome)


def test_another_configuration_is_refused_with_both_values_and_is_no_client(setting):
    other = quick_config("algorithm.n_step=3", "network.hidden=[8]", "collector.environments=2")
    refused = setting.hello(shared=shared_values(other, "collector", "learner"))
    assert isinstance(refused, ErrorReply)
    assert refused.code is Refusal.MISMATCH
    assert "algorithm.n_step: here 1, there 3" in refused.message
    assert "network.hidden: here [16], there [8]" in refused.message
    assert "environments" not in refused.message  # its own affair
    assert "Start collector-7 with this run's configuration, or with none" in refused.message
    assert setting.answers.desk.living("collector") == []


def test_the_first_spec_is_the_runs_and_is_told_to_who_comes_later(setting):
    assert not setting.answers.spec_known.is_set()
    assert setting.hello(1, spec=Spec.of(SPEC)).spec == Spec.of(SPEC)
    assert setting.answers.spec_known.is_set()
    assert setting.answers.spec == SPEC
    assert setting.hello(2, role="evaluator").spec == Spec.of(SPEC)
    assert isinstance(setting.hello(3, spec=Spec.of(SPEC)), Welcome)


def test_another_spec_is_refused_with_both_described(setting):
    setting.hello(1, spec=Spec.of(SPEC))
    refused = setting.hello(2, spec=Spec.of(OTHER_SPEC))
    assert refused.code is Refusal.MISMATCH
    assert f"this run's is {SPEC.describe()}" in refused.message
    assert f"that of collector-2 is {OTHER_SPEC.describe()}" in refused.message
    assert setting.answers.spec == SPEC
    assert [peer.session for peer in setting.answers.desk.living("collector")] == [1]


def test_a_spec_that_may_not_be_is_refused_and_is_not_the_runs(setting):
    spec = Spec(observation_shape=(2,), observation_dtype="object", num_actions=2, frame_stack=1)
    assert setting.hello(spec=spec).code is Refusal.PROTOCOL
    assert setting.answers.spec is None


def test_a_checkpoints_spec_is_held_against_the_one_known(setting):
    setting.answers.agree(SPEC, "the checkpoint")
    setting.answers.agree(SPEC, "the checkpoint")
    with pytest.raises(MismatchError, match=r"that of the checkpoint is .*3 actions"):
        setting.answers.agree(OTHER_SPEC, "the checkpoint")


def test_a_client_of_another_run_is_refused(setting):
    assert setting.hello(run_id="another").code is Refusal.FENCED


# --- weights and actions --------------------------------------------------------------------------


def test_weights_are_refused_before_there_are_any_and_then_the_newest(setting):
    assert setting.ask(WeightsRequest()) == ErrorReply(
        code=Refusal.NOT_SERVING, message="no weights yet"
    )
    for version in (1, 2):
        setting.answers.publish(published(version))
    request = setting.put(WeightsRequest())
    setting.answers.serve()
    assert setting.server.replies[request] == published(2).message


def test_actions_need_weights_a_policy_and_a_spec(setting):
    setting.hello(1)
    question = ActionRequest(session=1, spec_digest=SPEC.digest, count=2)
    arrays = (np.zeros((2, 2), np.float32),)
    assert setting.ask(question, arrays).code is Refusal.NOT_SERVING
    setting.answers.agree(SPEC, "the test")
    assert setting.ask(question, arrays).code is Refusal.NOT_SERVING
    setting.answers.publish(published(11))
    assert setting.ask(question, arrays).code is Refusal.NOT_SERVING
    setting.answers.actions.act_with(FirstAction())
    assert setting.ask(question, arrays) == Actions(count=2, weight_version=11)


def test_of_a_collector_that_left_long_ago_nothing_is_on_its_way_any_more(setting, monkeypatch):
    for session in (1, 2):
        setting.hello(session)
        setting.ask(Ping(session=session, statistics={"blocks_sent": session}))
    setting.ask(Goodbye(session=2, statistics={"blocks_sent": 5}))
    assert setting.answers.blocks_sent() == [Sent(1, 1), Sent(2, 5)]  # what it sent may yet arrive
    monkeypatch.setattr("zdqn.roles.learner.model_answers._ARRIVED_AFTER_S", -1.0)
    assert setting.answers.blocks_sent() == [Sent(1, 1), Sent(2, 5, left=True)]


def test_who_left_after_the_end_did_so_as_it_was_over(setting, monkeypatch):
    """What it had sent was not read any more; nobody lost it."""
    setting.hello(1)
    setting.answers.finish(evaluators=False)
    setting.ask(Goodbye(session=1, statistics={"blocks_sent": 5}))
    monkeypatch.setattr("zdqn.roles.learner.model_answers._ARRIVED_AFTER_S", 0.0)
    assert setting.answers.blocks_sent() == [Sent(1, 5)]


def test_a_stranger_is_given_no_actions_as_it_may_have_outlived_another_run(setting):
    setting.answers.agree(SPEC, "the test")
    setting.answers.publish(published(11))
    setting.answers.actions.act_with(FirstAction())
    question = ActionRequest(session=99, spec_digest=SPEC.digest, count=2)
    refused = setting.ask(question, (np.zeros((2, 2), np.float32),))
    assert (refused.code, "say hello" in refused.message) == (Refusal.UNKNOWN_SESSION, True)


@pytest.mark.parametrize("length", [50_000, 55_000, 70_000])
def test_a_configuration_that_a_welcome_cannot_hold_is_refused_before_anybody_asks(length):
    config = quick_config(f'environment.kwargs={{level = "{"x" * length}"}}')
    if length == 70_000:
        with pytest.raises(ConfigError, match=r"environment\.kwargs takes 70,0\d\d .* its path"):
            check_travels(config)
        return
    check_travels(config)
    answers = ModelAnswers(
        cast("Any", FakeServer()), config=config, run_id="r" * 100, session=2**53 - 1,
        memory="tcp://" + "m" * 200,
        weights_endpoint="tcp://" + "w" * 200, on_stop=print, pulse=Pulse(),
    )  # fmt: skip
    answers.agree(SPEC, "the test")
    hello = Hello(role="collector", name="c", session=1, capabilities=("configuration",))
    request = Request([], memoryview(codec.encode(hello)))
    answer = answers.desk.answer(request)
    assert isinstance(answer, Welcome)
    assert codec.decode(codec.encode(answer)).header == answer


# --- evaluations ----------------------------------------------------------------------------------


def test_an_evaluator_claims_a_snapshot_and_brings_its_scores(setting):
    setting.hello(1, role="evaluator")
    claim = setting.put(Claim(session=1, wait_ms=60_000))
    setting.answers.serve()
    assert setting.answer_to(claim) is None, "nothing to evaluate: it waits"
    setting.offer()
    assert setting.answers.serve()[0]
    snapshot = setting.answer_to(claim)
    assert isinstance(snapshot, Snapshot)
    assert (snapshot.snapshot, snapshot.episodes) == (0, 2)
    assert setting.result(1, 0, 1.0, 3.0) == Acknowledged()
    (evaluation,) = setting.answers.evaluations.take()
    assert (evaluation.evaluator, evaluation.scores.mean) == ("evaluator-1", 2.0)


def test_a_stranger_may_not_claim(setting):
    setting.offer()
    assert setting.ask(Claim(session=1, wait_ms=0)).code is Refusal.UNKNOWN_SESSION
    assert setting.answers.evaluations.unevaluated == 1


@pytest.mark.parametrize("died", [False, True])
def test_what_a_departed_evaluator_held_goes_to_another(setting, died):
    for session in (1, 2):
        setting.hello(session, role="evaluator")
    setting.offer()
    assert isinstance(setting.ask(Claim(session=1, wait_ms=0)), Snapshot)
    assert isinstance(setting.ask(Claim(session=2, wait_ms=0)), NothingToEvaluate)
    if died:
        setting.answers.departed(setting.answers.desk.peers.peers[1], died=True)
    else:
        assert setting.ask(Goodbye(session=1, statistics={})) == Acknowledged()
    assert isinstance(setting.ask(Claim(session=2, wait_ms=0)), Snapshot)


# --- the end of a run -----------------------------------------------------------------------------


def pongs(setting):
    return {
        role: setting.ask(Ping(session=session, statistics={})).stopping
        for session, role in ((1, "collector"), (2, "evaluator"))
    }


def test_collectors_finish_before_evaluators(setting):
    setting.hello(1, role="collector")
    setting.hello(2, role="evaluator")
    assert pongs(setting) == {"collector": False, "evaluator": False}
    setting.answers.finish(evaluators=False)
    assert pongs(setting) == {"collector": True, "evaluator": False}
    assert setting.hello(3, role="collector").code is Refusal.STOPPING
    assert isinstance(setting.hello(4, role="evaluator"), Welcome)
    setting.answers.finish(evaluators=True)
    assert pongs(setting) == {"collector": True, "evaluator": True}
    assert setting.hello(5, role="evaluator").code is Refusal.STOPPING


def test_an_evaluator_that_waits_is_let_go_only_when_nothing_more_will_come(setting):
    setting.hello(1, role="evaluator")
    claim = setting.put(Claim(session=1, wait_ms=60_000))
    setting.answers.finish(evaluators=False)
    setting.answers.serve()
    assert setting.answer_to(claim) is None
    setting.answers.finish(evaluators=True)
    setting.answers.serve()
    assert setting.answer_to(claim) == NothingToEvaluate(stopping=True)


def test_who_asks_for_actions_when_training_is_over_is_told_so(setting):
    setting.answers.agree(SPEC, "the test")
    setting.answers.publish(published(11))
    setting.answers.actions.act_with(FirstAction())
    setting.answers.finish(evaluators=False)
    question = ActionRequest(session=1, spec_digest=SPEC.digest, count=1)
    assert setting.ask(question, (np.zeros((1, 2), np.float32),)).code is Refusal.STOPPING


def test_a_stop_reaches_the_learner_with_its_reason(setting):
    assert setting.ask(Stop(reason="enough")) == Acknowledged()
    assert setting.stops == ["enough"]


# --- what is told ---------------------------------------------------------------------------------


def test_a_pong_tells_what_the_learner_reported(setting):
    setting.hello(1)
    setting.hello(2)
    assert setting.ask(Ping(session=1, statistics={})).environment_steps == 0
    setting.answers.report(LearnerStatus(progress=ProgressStatus(environment_steps=1234)))
    pong = setting.ask(Ping(session=1, statistics={"environment_steps": 9}))
    assert (pong.session, pong.known, pong.environment_steps) == (9, True, 1234)
    assert (pong.collectors, pong.statistics) == (2, {})
    assert not setting.ask(Ping(session=99, statistics={})).known


def test_a_status_is_the_report_with_clients_and_actions_served(setting):
    setting.hello(1)
    setting.ask(Ping(session=1, statistics={"environment_steps": 9}))
    setting.answers.agree(SPEC, "the test")
    setting.answers.publish(published(11))
    setting.answers.actions.act_with(FirstAction())
    question = ActionRequest(session=1, spec_digest=SPEC.digest, count=3)
    setting.ask(question, (np.zeros((3, 2), np.float32),))
    setting.answers.report(LearnerStatus(run=RunStatus(phase="training"), verdict="balanced"))
    told = setting.ask(StatusRequest())
    assert told.role == "learner"
    status = LearnerStatus.read(told.values)
    assert (status.run.phase, status.verdict, status.actions_served) == ("training", "balanced", 3)
    (client,) = status.clients
    assert (client["name"], client["environment_steps"]) == ("collector-1", 9)


def test_the_whole_configuration_is_told_to_who_has_not_said_hello(setting):
    answer = setting.ask(ConfigurationRequest())
    assert from_dict(answer.values) == CONFIG


def test_a_status_counts_publications_and_tells_their_size(setting):
    def told():
        status = LearnerStatus.read(setting.ask(StatusRequest()).values)
        return status.publications, status.publication_bytes

    assert told() == (0, 0)
    weights = published(11)
    setting.answers.publish(weights)
    setting.answers.publish(weights)
    assert told() == (2, len(weights.message))


def test_a_status_goes_on_between_two_reports_of_the_learner(setting):
    setting.answers.report(LearnerStatus(run=RunStatus(phase="training", wall_s=10.0)))
    setting.now_s += 2.5
    setting.offer()
    status = LearnerStatus.read(setting.ask(StatusRequest()).values)
    assert status.run.wall_s == 12.5
    assert status.progress.unevaluated == 1
    setting.answers.report(LearnerStatus(run=RunStatus(phase="training", wall_s=11.0)))
    assert LearnerStatus.read(setting.ask(StatusRequest()).values).run.wall_s == 11


def test_serving_says_whether_anything_came_and_whether_for_actions(setting):
    setting.answers.agree(SPEC, "the test")
    setting.hello(1)
    assert setting.answers.serve() == (False, False)
    setting.put(Ping(session=1, statistics={}))
    assert setting.answers.serve() == (True, False)
    setting.put(
        ActionRequest(session=1, spec_digest=SPEC.digest, count=1), (np.zeros((1, 2), np.float32),)
    )
    assert setting.answers.serve() == (True, True)


def test_clients_that_ask_without_end_do_not_hold_up_a_pass(setting):
    requests = [setting.put(Ping(session=1, statistics={})) for _ in range(600)]
    passes = 0
    while setting.answers.serve()[0]:
        passes += 1
    assert passes == 3
    assert set(setting.server.replies) == set(requests)


@pytest.mark.parametrize("body", [b"", b"HTTP/1.1 400", b"ZDQN" + bytes(100)])
def test_garbage_is_refused_and_breaks_nothing(setting, body):
    request = Request([], memoryview(body))
    setting.server.requests.append(request)
    setting.answers.serve()
    assert setting.answer_to(request).code is Refusal.PROTOCOL


def test_a_question_for_a_memory_is_refused(setting):
    refused = setting.ask(SampleRequest(batch_size=1))
    assert refused.code is Refusal.PROTOCOL
    assert "a learner does not answer SAMPLE_REQUEST" in refused.message


def test_a_status_is_answered_whatever_clients_tell_of_themselves(setting):
    run = RunStatus(run_id="r" * 256, directory="/" + "\U0001d431" * 1_000, phase="p" * 256)
    setting.answers.report(LearnerStatus(run=run, verdict="v" * 1_000))
    fill_with_the_longest_words(setting.answers.desk)
    check_status_fits(setting.answers.desk)
