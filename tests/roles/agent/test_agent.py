"""An agent against servers that give prepared answers, and against a collector."""

import asyncio
import gc
import logging
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
from collections import deque
from typing import Any

import gymnasium
import msgspec
import numpy as np
import pytest
import zmq
import zmq.asyncio

from tests.roles.agent.hosts import GREEDY, NOWHERE, SPACES, corridor, place, play
from tests.roles.conftest import DEADLINE_S
from tests.roles.corridor_run import SPEC, configured, weights
from tests.wire.fake_server import PONG
from zdqn.data import EnvironmentSpec, EpisodeStatistics, WeightVersion
from zdqn.errors import (
    CallbackFailedError,
    ConfigError,
    MismatchError,
    PeerUnavailableError,
    UsageError,
)
from zdqn.rl.exploration import explore
from zdqn.rl.schedules import ladder_epsilons
from zdqn.roles.agent.agent import Agent
from zdqn.roles.collector import Collector
from zdqn.wire import codec
from zdqn.wire.memory_messages import Arrivals
from zdqn.wire.model_messages import ActionRequest, Actions, WeightsRequest
from zdqn.wire.protocol import ErrorReply, Goodbye, Hello, Ping, Refusal, Spec
from zdqn.wire.status import CollectorStatistics

HALF = ("exploration.epsilon_initial=0.5", "exploration.epsilon_final=0.5")
ENDING = msgspec.structs.replace(PONG, stopping=True)
REFUSED = ErrorReply(code=Refusal.MISMATCH, message="another run")
OVER = ErrorReply(code=Refusal.STOPPING, message="this run is over")


def fixed_network(stack):
    rng = np.random.default_rng(3)
    return {
        "head.weight": rng.normal(0, 0.1, size=(2, 5 * stack)).astype(np.float32),
        "head.bias": np.array([0, 1], np.float32),
    }


def answer(action, version=3):
    return bytes(
        codec.encode(Actions(count=1, weight_version=version), (np.array([action], np.int64),))
    )


# --- what it sends --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("algorithm.n_step=3",),
        ("environment.frame_stack=3", "algorithm.n_step=2"),
        ("replay.kind=prioritized", "replay.initial_priority=collector"),
        ("replay.kind=prioritized", "replay.initial_priority=collector", "algorithm.n_step=3"),
    ],
)
def test_its_blocks_are_bit_for_bit_those_of_a_collector(host, until, overrides):
    stack = 3 if "environment.frame_stack=3" in overrides else 1
    config = configured(*HALF, "environment.max_episode_steps=6", *overrides)
    spec = EnvironmentSpec((5,), "float32", 2, stack)
    steps, whole = 61, 14
    seeds = []
    actions: list[int] = []
    stop = threading.Event()

    class Watched(gymnasium.Wrapper):
        def reset(self, *, seed=None, options=None):
            seeds.append(seed)
            return super().reset(seed=seed, options=options)

        def step(self, action):
            actions.append(int(action))
            if len(actions) == steps:
                stop.set()
            return super().step(action)

    host.serve(config, network=fixed_network(stack))
    learner = str(host.learner.address)
    with Collector(
        config, learner=learner, environment=lambda: Watched(corridor()), context=host.context,
        stop=stop,
    ) as collector:  # fmt: skip
        collector.run()
    theirs = [host.blocks_one(spec) for _ in range(whole)]
    host.drain()
    with host.of_learner(config) as agent:
        assert play(agent, corridor(6), steps, seed=seeds[0]) == actions
    ours = [host.blocks_one(spec) for _ in range(whole)]
    assert len({*actions}) == 2
    terminations = 0
    for (header, block), (expected_header, expected) in zip(ours, theirs, strict=True):
        assert block.frames.tobytes() == expected.frames.tobytes()
        assert block.records.tobytes() == expected.records.tobytes()
        assert header.sequence == expected_header.sequence
        assert header.origin == expected_header.origin
        if config.algorithm.n_step == 1 and not overrides:  # else tails wait for later rows there
            assert msgspec.structs.replace(header, session=1) == msgspec.structs.replace(
                expected_header, session=1
            )
        terminations += (block.records["discount"] == 0).sum()
    assert 1 < terminations < 4 * whole - 10
    if "replay.initial_priority=collector" in overrides:
        assert all((block.records["priority"] >= 0).all() for _, block in ours)


def test_learner_and_memory_hear_of_a_collector_with_its_numbers(host):
    with host.agent() as agent:
        play(agent, corridor(), 10)
    for server in (host.learner, host.memory):
        hello, goodbye = server.heard[0], server.heard[-1]
        assert isinstance(hello, Hello)
        assert isinstance(goodbye, Goodbye)
        assert (hello.role, hello.name, hello.spec) == ("collector", "a-0", Spec.of(SPEC))
        told = CollectorStatistics.read(goodbye.statistics)
        assert (told.environment_steps, told.episodes) == (10, 2)
        assert (told.blocks_sent, told.transitions_sent) == (3, 10)
        assert (told.episode_return_mean, told.epsilon) == (1.0, 0.0)
    assert [len(block) for _, block in host.blocks(3)] == [4, 4, 2]


def test_without_a_configuration_it_takes_the_learners(host):
    with host.agent("environment.frame_stack=2", "network.hidden=[]", configure=False,
                    serve={"network": fixed_network(2)}) as agent:  # fmt: skip
        play(agent, corridor(), 8)
    found = host.blocks(2, EnvironmentSpec((5,), "float32", 2, 2))
    assert [len(block) for _, block in found] == [4, 4]


def test_several_episodes_go_on_at_once_and_do_not_mix(host):
    with host.agent("algorithm.n_step=2", episodes=3) as agent:
        worlds = {name: corridor() for name in ("x", ("y", 1), 7)}
        seen = {name: world.reset()[0] for name, world in worlds.items()}
        order: list[Any] = ["x", "x", 7, ("y", 1), "x", 7, ("y", 1), "x", 7, 7, ("y", 1), ("y", 1)]
        for name in order:
            action = agent.act(seen[name], episode=name)
            seen[name], reward, terminated, truncated, _ = worlds[name].step(action)
            agent.observe(reward, seen[name], terminated, truncated, episode=name)
        assert agent.status.episodes == 3
    rows = [
        (
            int(block.frames[record["observation"][0]].argmax()),
            int(block.frames[record["next_observation"][0]].argmax()),
            round(float(record["reward"]), 3),
            bool(record["discount"]),
        )
        for _, block in host.all_blocks()
        for record in block.records
    ]
    assert [len(block) for _, block in host.taken] == [4, 4, 4]
    assert sorted(rows) == sorted(
        [(0, 2, 0.0, True), (1, 3, 0.0, True), (2, 4, 0.99, False), (3, 4, 1.0, False)] * 3
    )


def test_a_place_becomes_free_when_its_episode_ends_or_is_left(host):
    with host.agent(episodes=2) as agent:
        agent.act(place(0), episode="a")
        agent.act(place(0), episode="b")
        with pytest.raises(UsageError, match=r"episode is 'c', but 2 go on.*'a', 'b'.*cut\(\)"):
            agent.act(place(0), episode="c")
        agent.cut("a")
        agent.act(place(0), episode="c")
        agent.observe(1.0, place(1), True, False, episode="b")
        agent.act(place(0), episode="d")
        with pytest.raises(UsageError, match=r"episode is 'b', but no such one goes on.*'c', 'd'"):
            agent.cut("b")


def test_an_episode_that_is_left_keeps_what_it_was_until_then(host):
    with host.agent("algorithm.n_step=3") as agent:
        play(agent, corridor(), 2)
        agent.cut()
        play(agent, corridor(), 2)
    ((_, block),) = host.blocks(1)
    assert block.records["discount"].round(4).tolist() == pytest.approx([0.9801, 0.99] * 2)


def test_each_episode_has_its_rung_of_the_ladder(host, monkeypatch):
    ladder = ("exploration.kind=ladder", "launch.collectors=3")
    drawn = []
    agent = host.agent(*ladder, episodes=2, serve={"welcome": {"index": 1}})
    with agent:
        agent.wait_until_ready()

        def watch(count, actions, epsilon, rng, allowed):
            drawn.append(epsilon)
            return explore(count, actions, epsilon, rng, allowed)

        monkeypatch.setattr("zdqn.roles.agent.agent_link.explore", watch)
        agent.act(place(0), episode="a")
        agent.act(place(0), episode="b")
    section = configured(*ladder).exploration
    rungs = ladder_epsilons(6, base=section.ladder_base, exponent=section.ladder_exponent)
    assert drawn == [rungs[2], rungs[3]]


def test_experience_of_somebody_else_goes_the_same_way(host):
    with host.agent() as agent:
        for at in range(4):
            assert agent.log(place(at), 1, float(at == 3), place(at + 1), at == 3)
        assert agent.status.episodes == 1
    ((_, block),) = host.blocks(1)
    assert block.records["action"].tolist() == [1] * 4
    assert block.records["reward"].tolist() == [0, 0, 0, 1]
    assert (block.records["weight_version"] == 7).all()


def test_a_logged_step_that_cannot_be_read_leaves_nothing_behind(host):
    with host.agent() as agent:
        with pytest.raises(UsageError, match="reward is nan"):
            agent.log(place(0), 1, float("nan"), place(1))
        with pytest.raises(UsageError, match="action is 2"):
            agent.log(place(0), 2, 0.0, place(1))
        assert agent.log(place(0), 1, 0.0, place(1))


def test_actions_are_those_of_the_space(host):
    space = gymnasium.spaces.Discrete(2, start=5)
    with host.agent(action_space=space, episodes=2) as agent:
        assert agent.act(place(0)) == 6
        agent.observe(0.0, place(1))
        agent.log(place(0), 5, 0.0, place(0))
    ((_, block),) = host.blocks(1)
    assert sorted(block.records["action"].tolist()) == [0, 1]


def test_greedily_it_neither_explores_nor_is_learned_from(host):
    always = ("exploration.epsilon_initial=1", "exploration.epsilon_final=1")
    with host.agent(*always) as agent:
        assert play(agent, corridor(), 48, explore=False) == [1] * 48
        assert agent.status.environment_steps == agent.status.steps_dropped == 0
        assert set(play(agent, corridor(), 60, episode="another")) == {0, 1}


def test_what_is_done_greedily_within_an_episode_leaves_a_gap(host):
    with host.agent("algorithm.n_step=3") as agent:
        for at, explore in enumerate((True, True, False, True)):
            agent.act(place(at), explore=explore)
            agent.observe(0.0, place(at + 1))
    ((_, block),) = host.blocks(1)
    starts = block.frames[block.records["observation"][:, 0]].argmax(1).tolist()
    ends = block.frames[block.records["next_observation"][:, 0]].argmax(1).tolist()
    assert (starts, ends) == ([0, 1, 3], [2, 2, 4])


def test_a_remote_policy_has_its_actions_from_the_learner(host):
    with host.agent(policy="remote", serve={"ActionRequest": [answer(0)]}) as agent:
        assert play(agent, corridor(), 3) == [0] * 3
        assert agent.status.weight_version == WeightVersion.unpack(3)
    assert (host.learner.count(ActionRequest), host.learner.count(WeightsRequest)) == (3, 0)
    ((_, block),) = host.blocks(1)
    assert block.records["weight_version"].tolist() == [3] * 3


# --- order of calls -------------------------------------------------------------------------------


def test_observing_before_acting_is_refused(host):
    with host.agent() as agent:
        with pytest.raises(UsageError, match=r"observe\(\) was called before act\(\).*log\(\)"):
            agent.observe(0.0, place(1))
        play(agent, corridor(), 1)
        with pytest.raises(UsageError, match=r"observe\(\) was called before act\(\)"):
            agent.observe(0.0, place(1))


def test_acting_twice_is_refused_and_the_first_action_still_awaits_its_outcome(host):
    with host.agent() as agent:
        agent.act(place(0))
        with pytest.raises(UsageError, match=r"act\(\) was called twice in episode 0.*action, 1,"):
            agent.act(place(1))
        assert agent.observe(0.0, place(1))


def test_an_observation_that_is_not_the_last_one_is_refused_with_the_way_out(host):
    with host.agent() as agent:
        play(agent, corridor(), 1)
        with pytest.raises(UsageError, match=r"observation differs from the next_observation"):
            agent.act(place(0))
        agent.cut()
        agent.act(place(0))


BAD = [
    (np.zeros(4, np.float32), r"shape \(4,\)"),
    (np.zeros(5), "float64"),
    ([0.0] * 5, r"numpy\.asarray\({name}, dtype\)"),
    (np.full(5, np.nan, np.float32), "element 0 is nan"),
]


@pytest.mark.parametrize(("bad", "why"), BAD)
def test_an_observation_that_does_not_fit_is_refused_by_its_name(host, bad, why):
    with host.agent() as agent:
        with pytest.raises(UsageError, match="^observation .*" + why.format(name="observation")):
            agent.act(bad)
        agent.act(place(0))
        with pytest.raises(UsageError, match="^next_observation .*" + why.format(
            name="next_observation"
        )):  # fmt: skip
            agent.observe(0.0, bad)
        assert agent.observe(0.0, place(1))


@pytest.mark.parametrize(
    ("outcome", "name"),
    [
        ((float("inf"), False, False), "reward is inf"),
        (("much", False, False), "reward is 'much'"),
        ((0.0, 1, False), "terminated is 1"),
        ((0.0, False, "no"), "truncated is 'no'"),
    ],
)
def test_an_outcome_that_cannot_be_is_refused_by_its_name(host, outcome, name):
    reward, terminated, truncated = outcome
    with host.agent() as agent:
        agent.act(place(0))
        with pytest.raises(UsageError, match=name):
            agent.observe(reward, place(1), terminated, truncated)
        assert agent.observe(0.0, place(1))


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"policy": "locl"}, r"policy is 'locl'.*\"local\""),
        ({"when_away": "act_on_old_weight"}, r"when_away is .*act_on_old_weights"),
        ({"when_full": "drp"}, r"when_full is .*drop"),
        ({"timeout_s": -1.0}, r"timeout_s is -1.0"),
        ({"timeout_s": float("nan")}, r"timeout_s is nan"),
        ({"episodes": 0}, "episodes is 0"),
        ({"context": 5}, r"context is 5, but must be a zmq\.Context"),
    ],
)
def test_an_argument_that_cannot_be_is_refused_by_its_name(options, why):
    with pytest.raises(UsageError, match=why):
        Agent(None, learner=NOWHERE, **{**SPACES, **options})


@pytest.mark.parametrize(
    ("spaces", "why"),
    [
        ({"observation_space": gymnasium.spaces.Discrete(3)}, r"Discrete\(3\).*flatten_space"),
        ({"action_space": gymnasium.spaces.Box(0, 1, (2,))}, "discrete actions"),
        ({"observation_space": None}, "observation space is None"),
    ],
)
def test_spaces_that_dqn_cannot_work_with_are_refused(spaces, why):
    with pytest.raises(ConfigError, match=why):
        Agent(None, learner=NOWHERE, **{**SPACES, **spaces})


@pytest.mark.parametrize("parameter", ["learner", "memory"])
def test_an_address_that_cannot_be_used_is_refused(parameter):
    with pytest.raises(ConfigError, match=f"--{parameter}"):
        Agent(None, **{"learner": NOWHERE, **SPACES, parameter: "somewhere"})


# --- nobody there ---------------------------------------------------------------------------------


def lonely(nobody, **options):
    return Agent(configured(*GREEDY), learner=str(nobody), timeout_s=0.05, **SPACES, **options)


@pytest.mark.parametrize("when_away", ["raise", "act_on_old_weights"])
def test_without_a_learner_it_raises_in_time(nobody, when_away):
    with (
        lonely(nobody, when_away=when_away) as agent,
        pytest.raises(PeerUnavailableError, match=rf"timeout_s = 0.05.*{when_away}.*act_randomly"),
    ):
        agent.act(place(0))
    assert agent.status.weight_version is None
    assert agent.status.acting_waited_s >= 0.05


def test_or_acts_at_random_and_counts_what_is_not_recorded(nobody, caplog):
    with lonely(nobody, when_away="act_randomly") as agent:
        assert set(play(agent, corridor(), 60)) == {0, 1}
        status = agent.status
        assert (status.away_actions, status.steps_dropped) == (60, 60)
        assert (status.connected, status.environment_steps) == (False, 0)
        assert not agent.wait_until_ready(0.01)
    said = [record.getMessage() for record in caplog.records if "not recorded" in record.message]
    assert said == [
        "no run has been joined so far; steps are not recorded from now on, and counted"
    ]


def silence(asked):
    return None


def fall_silent(host, agent, until):
    """Let the learner answer nothing any more, and wait until that is known."""
    for kind in ("Ping", "ActionRequest"):
        host.learner.answers[kind] = [silence]
        host.learner._queues[kind] = deque([silence])  # at once: it is answering
    until(lambda: not agent.status.learner_answers)


def answer_again(host, agent, until, **answers):
    for kind, given in answers.items():
        host.learner.add(kind, given)
    host.learner.add("Ping", PONG)
    until(lambda: agent.status.learner_answers)


@pytest.mark.parametrize(
    ("when_away", "expected"), [("act_on_old_weights", {1}), ("act_randomly", {0, 1})]
)
def test_a_learner_that_goes_away_is_done_without(host, until, caplog, when_away, expected):
    caplog.set_level(logging.INFO, "zdqn.agent")
    with host.agent(when_away=when_away, episodes=2) as agent:
        play(agent, corridor(), 4)
        until(lambda: agent.status.connected)
        fall_silent(host, agent, until)
        assert not agent.status.connected
        assert set(play(agent, corridor(), 60)) == expected
        assert agent.status.environment_steps == 64
        assert (agent.status.away_actions == 60) is (when_away == "act_randomly")
        answer_again(host, agent, until)
        assert set(play(agent, corridor(), 8, episode="later")) == {1}
    said = [record.getMessage() for record in caplog.records if "random" in record.getMessage()]
    assert said == (when_away == "act_randomly") * [
        "nobody answers: actions are random from now on, and counted",
        "acting by the policy again; 60 actions were random",
    ]


def test_or_told_at_once_until_it_answers_again(host, until):
    with host.agent(when_away="raise") as agent:
        play(agent, corridor(), 4)
        until(lambda: agent.status.connected)
        fall_silent(host, agent, until)
        with pytest.raises(PeerUnavailableError, match="does not answer"):
            agent.act(place(0))
        answer_again(host, agent, until)
        play(agent, corridor(), 4)


def test_without_any_time_it_acts_on_the_weights_that_it_has(host):
    with host.agent(timeout_s=0, when_away="raise") as agent:
        assert agent.wait_until_ready()
        for number in range(200):
            assert agent.act(place(number % 4)) == 1
            agent.cut()


@pytest.mark.parametrize("when_away", ["raise", "act_randomly"])
def test_a_remote_policy_waits_for_an_answer_no_longer_than_it_may(host, when_away):
    agent = host.agent(
        policy="remote", when_away=when_away, timeout_s=0.05, serve={"ActionRequest": [silence]}
    )
    with agent:
        assert agent.wait_until_ready()
        if when_away == "raise":
            with pytest.raises(PeerUnavailableError, match="gave nothing to act with in time"):
                agent.act(place(0))
            assert agent.status.away_actions == 0
        else:
            agent.act(place(0))
            assert agent.status.away_actions == 1
        assert agent.status.acting_waited_s > 0


def test_a_remote_policy_with_time_waits_for_a_learner_that_comes_back(host, in_thread, until):
    with host.agent(policy="remote", serve={"ActionRequest": [silence, answer(0)]}) as agent:
        agent.wait_until_ready()
        assert agent.act(place(0)) == 0


def test_what_a_learner_refuses_for_is_raised_by_every_call(host, until):
    with host.agent(serve={"Hello": [REFUSED]}, when_away="act_randomly") as agent:
        for _ in range(2):
            with pytest.raises(MismatchError, match="another run"):
                agent.act(place(0))
        assert isinstance(agent.status.failure, MismatchError)
        assert agent.over


@pytest.mark.parametrize("who", ["learner", "memory"])
def test_so_is_what_one_refuses_for_later(host, until, who):
    with host.agent() as agent:
        play(agent, corridor(), 3)
        getattr(host, who).add("Ping", REFUSED)
        until(lambda: agent.status.failure is not None)
        with pytest.raises(MismatchError, match=rf"(?i)the {who} at .*another run"):
            agent.observe(0.0, place(1))


def test_the_end_of_the_run_is_told_and_it_acts_on_without_recording(host, until):
    with host.agent() as agent:
        play(agent, corridor(), 3)
        host.learner.add("Ping", ENDING)
        until(lambda: agent.over)
        until(lambda: not agent._thread.is_alive())
        agent.cut()
        assert play(agent, corridor(), 4, episode="after") == [1] * 4
        status = agent.status
        assert (status.environment_steps, status.steps_dropped) == (3, 4)
        assert (status.over, status.connected, status.failure) == (True, False, None)


@pytest.mark.parametrize("when_away", ["raise", "act_on_old_weights"])
def test_after_the_end_a_remote_policy_acts_at_random_so_that_a_loop_ends_by_itself(
    host, when_away, caplog
):
    over = {"ActionRequest": [bytes(codec.encode(OVER))]}
    with host.agent(policy="remote", serve=over, when_away=when_away) as agent:
        assert set(play(agent, corridor(), 60)) == {0, 1}
        assert agent.over
    assert agent.status.failure is None
    assert "random" not in caplog.text


def test_after_the_end_weights_of_its_own_are_acted_on_whatever_is_done_when_one_is_away(
    host, until
):
    with host.agent(when_away="raise") as agent:
        play(agent, corridor(), 4)
        host.learner.add("Ping", ENDING)
        until(lambda: agent.over)
        assert play(agent, corridor(), 4) == [1] * 4


def test_weights_that_say_that_training_is_over_end_it(host):
    with host.agent(serve={"WeightsRequest": [weights(stopping=True)]}) as agent:
        play(agent, corridor(), 4)
        assert agent.over
    assert agent.status.transitions_sent == 0


# --- a memory that takes nothing ------------------------------------------------------------------

HELD_BACK = {"of_memory": {"ArrivalsRequest": [silence]}}


def all_have_come(asked):
    return Arrivals(session=9, heard=asked.blocks, held_back=False)


@pytest.fixture
def asks_often(monkeypatch):
    """Lets a collector ask again soon what has come."""
    monkeypatch.setattr("zdqn.roles.acting.arrivals_inquiry._SILENCE_S", 0.02)


@pytest.mark.parametrize("when_full", ["wait", "drop"])
def test_a_memory_that_takes_nothing_costs_no_more_than_the_time_given(
    host, caplog, until, when_full
):
    with host.agent(serve=HELD_BACK, when_full=when_full, timeout_s=0.05) as agent:
        assert agent.wait_until_ready()
        play(agent, corridor(), 4)
        until(lambda: agent.status.blocks_sent == 1)  # else the next one would find no room
        play(agent, corridor(), 36)
        status = agent.status
        assert status.blocks_sent == status.blocks_in_flight == 1  # nobody says that it came
        assert status.environment_steps + status.steps_dropped == 40
        assert status.environment_steps == 8  # a block on its way, and the next one
        assert (status.observing_waited_s > 0.05 * status.steps_dropped) is (when_full == "wait")
        agent._link._leave_until_s = 0.0
    said = [record.getMessage() for record in caplog.records if "not recorded" in record.message]
    assert said == [
        "the memory takes no transitions; steps are not recorded from now on, and counted"
    ]


def test_what_was_dropped_leaves_a_gap_and_recording_goes_on_when_there_is_room(
    host, caplog, until, asks_often
):
    caplog.set_level(logging.INFO, "zdqn")
    with host.agent("algorithm.n_step=2", serve=HELD_BACK, when_full="drop") as agent:
        world = corridor()
        play(agent, world, 40)
        dropped = agent.status.steps_dropped
        assert dropped > 0
        host.memory.add("ArrivalsRequest", all_have_come)
        until(lambda: agent.status.blocks_sent > 1)
        play(agent, corridor(), 4, episode=0)
        status = agent.status
        assert status.steps_dropped == dropped
    assert f"steps are recorded again; {dropped} were not so far" in caplog.text
    transitions = [record for _, block in host.all_blocks() for record in block.records]
    assert len(transitions) == status.environment_steps
    for _, block in host.taken:
        starts = block.frames[block.records["observation"][:, 0]].argmax(1)
        ends = block.frames[block.records["next_observation"][:, 0]].argmax(1)
        assert ((ends - starts >= 1) & (ends - starts <= 2)).all()


def test_without_a_time_it_waits_as_a_collector_does(host, in_thread, until, asks_often):
    with host.agent(serve=HELD_BACK) as agent:
        player = in_thread(lambda: play(agent, corridor(), 20))
        until(lambda: agent.status.blocks_sent == 1 and agent._recording.full)
        host.memory.add("ArrivalsRequest", all_have_come)
        player.join(DEADLINE_S)
        assert (agent.status.environment_steps, agent.status.steps_dropped) == (20, 0)


def test_closing_ends_a_wait_for_room(host, in_thread, until):
    agent = host.agent(serve=HELD_BACK)

    def play_on():
        with pytest.raises(UsageError, match="closed"):
            play(agent, corridor(), 40)

    player = in_thread(play_on)
    until(lambda: agent.status.blocks_sent == 1 and agent._recording.full)
    agent._link._leave_until_s = 0.0
    agent.close()
    player.join(DEADLINE_S)
    assert not player.is_alive()


# --- in somebody's program ------------------------------------------------------------------------


def test_closing_twice_is_closing_once_and_later_calls_are_refused(host):
    agent = host.agent()
    play(agent, corridor(), 2)
    agent.close()
    agent.close()
    assert host.learner.count(Goodbye) == 1
    assert agent.over
    for call in (lambda: agent.act(place(0)), lambda: agent.observe(0.0, place(1))):
        with pytest.raises(UsageError, match="closed"):
            call()


def test_a_context_of_the_programs_is_used_and_left_open(host):
    context = zmq.Context()
    with host.agent(context=context) as agent:
        play(agent, corridor(), 8)
    assert not [thread for thread in threading.enumerate() if "zdqn" in thread.name]
    with context.socket(zmq.PAIR) as one, context.socket(zmq.PAIR) as other:
        one.bind("inproc://still-there")
        other.connect("inproc://still-there")
        one.send(b"yes")
        assert other.recv() == b"yes"
    context.term()  # nothing of the agent's holds it up


def test_it_lives_beside_an_event_loop_a_context_of_its_own_and_signal_handlers(host):
    handled = []
    before = signal.signal(signal.SIGUSR1, lambda *_: handled.append(1))
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
    random_states = random.getstate(), str(np.random.get_state())  # noqa: NPY002
    context = zmq.asyncio.Context()

    async def program():
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0.001)

        ticking = asyncio.ensure_future(tick())
        with context.socket(zmq.PAIR) as one, context.socket(zmq.PAIR) as other:
            one.bind("inproc://program")
            other.connect("inproc://program")
            agent = host.agent(context=context)
            loop = asyncio.get_running_loop()
            actions = await loop.run_in_executor(None, play, agent, corridor(), 20)
            os.kill(os.getpid(), signal.SIGUSR1)
            await one.send(b"hello")
            assert await other.recv() == b"hello"
            await loop.run_in_executor(None, agent.close)
        ticking.cancel()
        return actions, ticks

    try:
        actions, ticks = asyncio.run(program())
        assert actions == [1] * 20
        assert ticks > 1
        assert handled == [1]
        assert {number: signal.getsignal(number) for number in signal.valid_signals()} == handlers
        after = random.getstate(), str(np.random.get_state())  # noqa: NPY002
        assert after == random_states
    finally:
        signal.signal(signal.SIGUSR1, before)
        context.destroy(linger=0)
        gc.collect()


def in_a_fork(agent, says):
    try:
        agent.act(place(1))
    except UsageError as error:
        says.put(str(error))
    agent.close()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_is_told_to_make_its_own_and_hurts_nobody(host):
    forking = multiprocessing.get_context("fork")
    says = forking.Queue()
    with host.agent() as agent:
        play(agent, corridor(), 1)
        child = forking.Process(target=in_a_fork, args=(agent, says))
        child.start()
        said = says.get(timeout=DEADLINE_S)
        child.join(DEADLINE_S)
        assert child.exitcode == 0
        assert f"was made in process {os.getpid()}" in said
        assert "Make an agent after the fork." in said
        agent.act(place(1))
    says.close()
    says.join_thread()


def test_threads_may_have_an_episode_each(host, in_thread):
    with host.agent(episodes=4) as agent:
        players = [
            in_thread(lambda name=name: play(agent, corridor(), 40, episode=name))
            for name in range(4)
        ]
        for player in players:
            player.join(DEADLINE_S)
        assert agent.status.environment_steps == 160
    assert sum(len(block) for _, block in host.all_blocks()) == 160


def test_a_program_that_ends_without_closing_ends():
    code = (
        "import zdqn, gymnasium.spaces as s\n"
        "agent = zdqn.Agent(None, learner='tcp://127.0.0.1:9', observation_space=s.Box(0, 1, (2,)),"
        " action_space=s.Discrete(2))\nprint('made')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=DEADLINE_S, check=True
    )
    assert done.stdout.strip() == "made"


# --- what it knows --------------------------------------------------------------------------------


def test_its_status_says_how_it_goes(host, until):
    with host.agent(
        serve={"WeightsRequest": [weights(version=WeightVersion(2, 5).pack())]}
    ) as agent:
        play(agent, corridor(), 10)
        until(lambda: agent.status.connected and agent.status.blocks_sent == 2)
        status = agent.status
        assert (status.environment_steps, status.episodes, status.steps_dropped) == (10, 2, 0)
        assert (status.blocks_sent, status.transitions_sent, status.blocks_refused) == (2, 8, 0)
        assert (status.weight_version, status.epsilon) == (WeightVersion(2, 5), 0.0)
        assert status.weights_age_s is not None
        assert 0 <= status.weights_age_s < 60
        assert (status.over, status.failure, status.away_actions) == (False, None, 0)
        until(lambda: host.learner.count(Ping) > 0)
    assert agent.status.transitions_sent == 10


def test_without_a_ratio_nobody_asks_what_is_in_flight(host):
    with host.agent("replay.samples_per_insert=0") as agent:
        play(agent, corridor(), 10)
        assert agent.status.blocks_in_flight is None


def test_new_weights_are_acted_on_and_their_age_begins_anew(host, until):
    left = {
        "head.weight": np.zeros((2, 5), np.float32),
        "head.bias": np.array([1, 0], np.float32),
    }
    with host.agent() as agent:
        assert play(agent, corridor(), 4) == [1] * 4
        policy = agent._link._policy
        really, given = policy._subscriber.latest, [weights(version=9, network=left)]
        policy._subscriber.latest = lambda: memoryview(given.pop()) if given else really()
        until(lambda: agent.status.weight_version == WeightVersion.unpack(9))
        assert play(agent, corridor(), 4, episode="new") == [0] * 4


# --- who is told ----------------------------------------------------------------------------------


def test_functions_of_the_program_are_told_of_episodes_and_weights(host):
    episodes: list[EpisodeStatistics] = []
    versions: list[WeightVersion] = []
    with host.agent(on_episode=episodes.append, on_weights=versions.append) as agent:
        play(agent, corridor(), 6)
        agent.cut()
        play(agent, corridor(), 4, explore=False)
    assert episodes == [EpisodeStatistics(1.0, 4)]
    assert versions == [WeightVersion.unpack(7)]


def test_what_one_raises_is_raised_by_observe_when_the_step_is_recorded(host):
    def fail(episode):
        raise ZeroDivisionError("a light")

    with host.agent(on_episode=fail) as agent:
        with pytest.raises(CallbackFailedError, match="on_episode raised ZeroDivisionError"):
            play(agent, corridor(), 4)
        assert (agent.status.environment_steps, agent.status.failure) == (4, None)


def test_what_is_raised_for_weights_is_known_to_every_call(host, until):
    def fail(version):
        raise ZeroDivisionError("a light")

    with host.agent(on_weights=fail) as agent:
        until(lambda: agent.status.failure is not None)
        for _ in range(2):
            with pytest.raises(CallbackFailedError, match="on_weights raised ZeroDivisionError"):
                agent.act(place(0))
