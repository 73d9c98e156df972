"""The evaluator against a learner that gives prepared answers: what it plays and delivers."""

import threading

import msgspec
import numpy as np
import pytest
import torch

from tests.roles.conftest import DEADLINE_S, Corridor, quick_config
from tests.wire.fake_server import PONG, WELCOME
from zdqn.config import to_dict
from zdqn.data import EnvironmentSpec
from zdqn.errors import EnvironmentFailedError, MismatchError
from zdqn.roles import evaluator as evaluator_module
from zdqn.roles.evaluator import Evaluator, EvaluatorResult
from zdqn.wire import codec, payloads
from zdqn.wire.model_messages import Claim, EvaluationResult, NothingToEvaluate, Snapshot, Weights
from zdqn.wire.protocol import Acknowledged, ErrorReply, Goodbye, Ping, Refusal
from zdqn.wire.status import EvaluatorStatistics

SPEC = EnvironmentSpec((5,), "float32", 2)
CONFIG = quick_config("links.ping_period_s=0.01", "evaluator.episodes=3")
OF_LEARNER = msgspec.structs.replace(WELCOME, config=to_dict(CONFIG))
NOTHING = NothingToEvaluate(stopping=False)
DELIVERED = (Acknowledged(),)
OVER = NothingToEvaluate(stopping=True)
TO_THE_RIGHT, TO_THE_LEFT = 1, 0


class Always(torch.nn.Module):
    """Prefers one action everywhere; which one is all that it has learned."""

    def __init__(self, spec):
        super().__init__()
        self.values = torch.nn.Parameter(torch.zeros(spec.num_actions))

    def forward(self, observations):
        return self.values.expand(len(observations), -1)


def snapshot(number=0, *, action=TO_THE_RIGHT, episodes=3, epsilon=0.0, seed=5, arrays=None):
    arrays = arrays or {"values": np.eye(2, dtype=np.float32)[action]}
    weights = Weights(
        run_id="r", weight_version=1 << 32, environment_steps=10, updates=5, stopping=False,
        tensors=payloads.describe_tensors(arrays),
    )  # fmt: skip
    header = Snapshot(
        snapshot=number, weights=weights, episodes=episodes, epsilon=epsilon, seed=seed
    )
    return bytes(codec.encode(header, tuple(arrays.values())))


@pytest.fixture
def play(fake, context, monkeypatch):
    """Runs an evaluator against prepared answers; gives its result and the learner."""
    monkeypatch.setattr(evaluator_module, "_RESULT_TIMEOUT_S", DEADLINE_S)
    monkeypatch.setattr(evaluator_module, "_CLAIM_TIMEOUT_S", DEADLINE_S)
    monkeypatch.setattr(evaluator_module, "_RETRY_S", 0.01)

    def run(*claims, results=DELIVERED, config=CONFIG, **options):
        learner = fake(Hello=[OF_LEARNER], Claim=list(claims), EvaluationResult=list(results))
        options = {"environment": Corridor, "network": Always, "name": "e-0", **options}
        with Evaluator(config, learner=str(learner.address), context=context, **options) as role:
            return role.run(), learner

    return run


def scores_of(learner):
    """Give what was delivered: snapshot, returns, lengths."""
    found = []
    for header, body in zip(learner.heard, learner.bodies, strict=True):
        if isinstance(header, EvaluationResult):
            layout = payloads.scores_layout(header.episodes)
            returns, lengths = codec.read_arrays(codec.decode(body), layout)
            found.append((header.snapshot, returns.tolist(), lengths.tolist()))
    return found


def test_snapshots_are_played_with_their_weights_and_scored(play):
    result, learner = play(snapshot(4), snapshot(5, action=TO_THE_LEFT, episodes=2), OVER)
    assert result == EvaluatorResult(evaluations=2, episodes=5)
    assert scores_of(learner) == [(4, [1.0] * 3, [4] * 3), (5, [0.0] * 2, [20] * 2)]


def test_it_says_hello_claims_and_says_goodbye_with_its_numbers(play):
    _, learner = play(snapshot(), OVER)
    sessions = {header.session for header in learner.heard if hasattr(header, "session")}
    assert len(sessions) == 1
    assert learner.heard[0].role == "evaluator"
    goodbye = learner.heard[-1]
    assert isinstance(goodbye, Goodbye)
    told = EvaluatorStatistics.read(goodbye.statistics)
    assert (told.evaluations, told.episodes) == (1, 3)
    assert told.doing == "waiting for a snapshot"


def test_how_long_an_evaluation_has_taken_is_told_while_it_lasts(fake, context, until):
    learner = fake(Hello=[OF_LEARNER], Claim=[snapshot(3), OVER], EvaluationResult=list(DELIVERED))

    def longest_s():
        told = [
            EvaluatorStatistics.read(header.statistics)
            for header in list(learner.heard)
            if isinstance(header, Ping)
        ]
        return max(
            (each.doing_s for each in told if each.doing == "evaluating snapshot 3"), default=0
        )

    class Slow(Corridor):
        def step(self, action):
            until(lambda: longest_s() > 0.1)
            return super().step(action)

    with Evaluator(
        CONFIG, learner=str(learner.address), environment=Slow, network=Always, context=context
    ) as role:
        assert role.run() == EvaluatorResult(1, 3)


def test_a_step_that_does_not_come_back_is_told_and_waiting_is_none(fake, context, until):
    learner = fake(Hello=[OF_LEARNER], Claim=[snapshot(3), OVER], EvaluationResult=list(DELIVERED))

    def told():
        pings = [header for header in list(learner.heard) if isinstance(header, Ping)]
        return [EvaluatorStatistics.read(ping.statistics) for ping in pings]

    class Hangs(Corridor):
        def step(self, action):
            until(lambda: any(one.idle_s > 0.1 for one in told()))
            return super().step(action)

    with Evaluator(
        CONFIG, learner=str(learner.address), environment=Hangs, network=Always, context=context
    ) as role:
        assert role.run() == EvaluatorResult(1, 3)
    assert all(one.idle_s == 0 for one in told() if one.doing == "waiting for a snapshot")
    (goodbye,) = [header for header in learner.heard if isinstance(header, Goodbye)]
    last = EvaluatorStatistics.read(goodbye.statistics)
    assert last.environment_steps >= 3 * 4
    assert last.idle_s == 0


def test_without_a_configuration_it_takes_the_learners(play):
    result, _ = play(snapshot(), OVER, config=None)
    assert result == EvaluatorResult(1, 3)


def test_a_run_that_is_over_is_left_at_once(fake, context):
    learner = fake(Hello=[ErrorReply(code=Refusal.STOPPING, message="this run is over")])
    with Evaluator(None, learner=str(learner.address), context=context) as role:
        assert role.run() == EvaluatorResult(0, 0)
    assert learner.count(Claim) == 0


@pytest.mark.parametrize(
    "answer",
    [NOTHING, ErrorReply(code=Refusal.UNKNOWN_SESSION, message="say hello before you claim")],
)
def test_it_claims_again_when_there_is_nothing_or_not_now(play, answer):
    result, learner = play(answer, answer, snapshot(), OVER)
    assert result == EvaluatorResult(1, 3)
    assert learner.count(Claim) == 4


def test_a_learner_that_does_not_answer_is_asked_again(play, monkeypatch):
    monkeypatch.setattr(evaluator_module, "_CLAIM_TIMEOUT_S", 0.2)
    asked: list[Claim] = []
    delivered: list[EvaluationResult] = []

    def answer(claim):
        asked.append(claim)
        if len(asked) == 1:
            return None
        return OVER if delivered else snapshot()  # again, if it came too late

    def take(result):
        delivered.append(result)
        return Acknowledged()

    result, _ = play(answer, results=[take])
    assert result == EvaluatorResult(1, 3)
    assert len(asked) >= 3


def test_a_refusal_of_the_claim_ends_it_in_the_learners_words(play):
    with pytest.raises(MismatchError, match="another environment"):
        play(ErrorReply(code=Refusal.MISMATCH, message="another environment"))


def test_a_result_is_delivered_until_the_learner_has_it_and_counts_once(play, monkeypatch):
    monkeypatch.setattr(evaluator_module, "_RESULT_TIMEOUT_S", 0.1)
    result, learner = play(snapshot(), OVER, results=[None, None, Acknowledged()])
    assert result == EvaluatorResult(1, 3)
    delivered = scores_of(learner)
    assert len(delivered) >= 3
    assert delivered == delivered[:1] * len(delivered)


def test_weights_of_another_network_are_refused(play):
    with pytest.raises(MismatchError):
        play(snapshot(arrays={"other": np.zeros(3, np.float32)}))


# --- how it plays ---------------------------------------------------------------------------------


def lengths_of(play, **changes):
    _, learner = play(snapshot(**changes), OVER)
    ((_, _, lengths),) = scores_of(learner)
    return lengths


def test_epsilon_is_the_share_of_random_actions_and_the_seed_decides_them(play):
    few = lengths_of(play, episodes=9, epsilon=0.0)
    assert few == [4] * 9
    random = lengths_of(play, episodes=9, epsilon=1.0)
    assert random == lengths_of(play, episodes=9, epsilon=1.0)
    assert random != lengths_of(play, episodes=9, epsilon=1.0, seed=6)
    assert max(random) > 4


@pytest.mark.parametrize(("configured", "made"), [(2, 2), (8, 3)])
def test_no_more_environments_are_made_than_there_are_episodes(play, configured, made):
    corridors = []

    def make():
        corridors.append(Corridor())
        return corridors[-1]

    config = quick_config("evaluator.episodes=3", f"evaluator.environments={configured}")
    play(snapshot(), OVER, config=config, environment=make)
    assert len(corridors) == made


class Broken(Corridor):
    def step(self, action):
        raise ZeroDivisionError("the motor is off")


def test_an_environment_that_raises_ends_it_with_its_name_and_a_goodbye(play):
    with pytest.raises(EnvironmentFailedError, match=r"e-0: .*the motor is off"):
        play(snapshot(), environment=Broken)


def test_a_stop_within_an_episode_gives_the_snapshot_up(play):
    stop = threading.Event()

    class Stopping(Corridor):
        def step(self, action):
            stop.set()
            return super().step(action)

    result, learner = play(snapshot(), stop=stop, environment=Stopping)
    assert result == EvaluatorResult(0, 0)
    assert scores_of(learner) == []
    assert learner.count(Goodbye) == 1


def test_the_end_of_the_run_ends_it_while_it_waits(fake, context):
    over = msgspec.structs.replace(PONG, stopping=True)
    learner = fake(Hello=[OF_LEARNER], Claim=[None], Ping=[over])
    with Evaluator(
        CONFIG, learner=str(learner.address), environment=Corridor, context=context
    ) as role:
        assert role.run() == EvaluatorResult(0, 0)


def test_the_spec_is_that_of_its_environment(play):
    _, learner = play(OVER)
    assert learner.heard[0].spec.read() == SPEC
