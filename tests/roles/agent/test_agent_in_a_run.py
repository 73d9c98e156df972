"""An agent with a real memory and a real learner: with keys, killed, and back."""

import subprocess
import sys
import threading

import gymnasium
import pytest

from tests.roles.agent.hosts import play
from tests.roles.conftest import DEADLINE_S, eventually, quick_config
from tests.roles.processes import ENVIRONMENT, Processes, updates_of
from zdqn.data import WeightVersion
from zdqn.errors import NotAllowedError
from zdqn.roles.agent.agent import Agent
from zdqn.wire.keys.key_folder import KeyFolder
from zdqn.wire.remote_control import request_stop


def world():
    return gymnasium.make("CartPole-v1", max_episode_steps=20)


def agent_of(address, **options):
    made = world()
    return Agent(
        None, learner=address, observation_space=made.observation_space,
        action_space=made.action_space, **options,
    )  # fmt: skip


def play_until(agent, done):
    """Play in a thread of its own until somebody says so; give that thread."""

    def go_on():
        made, number = world(), 0
        while not (done.is_set() or agent.over):
            observation, _ = made.reset(seed=number)
            over = False
            while not (over or agent.over):
                action = agent.act(observation)
                observation, reward, terminated, truncated, _ = made.step(action)
                agent.observe(reward, observation, terminated, truncated)
                over = terminated or truncated
            number += 1

    thread = threading.Thread(target=go_on)
    thread.start()
    return thread


@pytest.mark.parametrize("policy", ["local", "remote"])
def test_a_run_of_which_an_agent_is_the_collector(either_system, policy):
    system = either_system
    memory = system.memory(quick_config())
    learner = system.learner(quick_config(), memory)
    with agent_of(
        learner.role.endpoints["model"], policy=policy, keys=system.keys, name="a-0"
    ) as agent:
        player = play_until(agent, threading.Event())
        result = learner.result()
        player.join(DEADLINE_S)
        assert agent.over
        status = agent.status
    summary = result.summary
    assert (summary["stop_reason"], summary["blocks_lost"]) == ("updates", 0)
    assert summary["blocks_refused"] == 0
    assert 0 < summary["transitions"] <= status.environment_steps
    assert status.failure is None
    assert status.steps_dropped <= 1  # the one that was under way when it heard of the end


def test_its_key_is_a_collectors(keyed_system, tmp_path):
    memory = keyed_system.memory(quick_config())
    learner = keyed_system.learner(quick_config(), memory)
    others = tmp_path / "others"
    KeyFolder(others).init()
    with agent_of(learner.role.endpoints["model"], keys=others) as agent:
        eventually(lambda: agent.status.failure is not None, "a refusal")
        assert isinstance(agent.status.failure, NotAllowedError)
    with pytest.raises(NotAllowedError):
        agent_of(learner.role.endpoints["model"], keys=tmp_path / "nowhere")


@pytest.fixture
def processes(tmp_path):
    started = Processes(tmp_path)
    yield started
    started.close()


def test_learner_and_memory_are_killed_and_an_agent_plays_on_and_finds_them_again(processes):
    memory, samples = processes.memory()
    learner, model = processes.learner(samples, None, "--set",
                                       "learner.checkpoint_period_updates=20")  # fmt: skip
    done = threading.Event()
    with agent_of(model, timeout_s=0.05, when_away="act_randomly", when_full="drop") as agent:
        assert agent.wait_until_ready(DEADLINE_S)
        player = play_until(agent, done)
        eventually(
            lambda: list((processes.folder / "run/checkpoints").glob("*.pt")), "a checkpoint"
        )
        eventually(lambda: agent.status.connected, "a run")
        memory.kill()
        learner.kill()
        eventually(
            lambda: not (agent.status.learner_answers or agent.status.memory_answers), "silence"
        )
        away = agent.status
        eventually(lambda: agent.status.away_actions > away.away_actions + 100, "random actions")
        eventually(lambda: agent.status.steps_dropped > away.steps_dropped + 100, "dropped steps")
        memory, _ = processes.memory(samples)
        learner, _ = processes.learner(samples, model, "--resume", "run")
        eventually(lambda: agent.status.connected, "both again")
        back = agent.status
        eventually(lambda: agent.status.blocks_sent > back.blocks_sent + 5, "blocks again")
        eventually(
            lambda: (agent.status.weight_version or WeightVersion(0, 0)).learner_epoch == 2,
            "weights of the second learner",
        )
        assert agent.status.failure is None
        done.set()
        player.join(DEADLINE_S)
        assert not player.is_alive()
    request_stop(model, "enough", DEADLINE_S)
    assert learner.end() == memory.end() == 0
    summary = processes.summary()
    assert summary["blocks_refused"] == 0
    counted = ("blocks", "blocks_lost", "blocks_in_flight")
    assert summary["blocks_sent"] == sum(summary[name] for name in counted)


PROGRAM = """
import sys, gymnasium, zdqn
world = gymnasium.make("CartPole-v1", max_episode_steps=20)
spaces = {"observation_space": world.observation_space, "action_space": world.action_space}
with zdqn.Agent(None, learner=sys.argv[1], name=sys.argv[2], **spaces) as agent:
    while not agent.over:
        observation, _ = world.reset()
        over = False
        while not (over or agent.over):
            action = agent.act(observation)
            observation, reward, terminated, truncated, _ = world.step(action)
            agent.observe(reward, observation, terminated, truncated)
            over = terminated or truncated
"""


@pytest.fixture
def program(processes):
    """Starts programs with an agent; whatever is left is killed."""
    started = []

    def start(learner, name):
        with (processes.folder / f"{name}.out").open("w") as output:
            process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, learner, name], env=ENVIRONMENT,
                stdout=output, stderr=output,
            )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait(DEADLINE_S)


@pytest.mark.keyless("the programs are given none")
def test_a_program_with_an_agent_is_killed_and_its_place_taken(processes, program):
    memory, samples = processes.memory()
    learner, model = processes.learner(samples)
    first, second = program(model, "first"), program(model, "second")
    updates_of(model)
    learner.says("second has joined")
    index = learner.says(r"first has joined as collector (\d)")[1]
    first.kill()
    learner.says("first has been silent for .* taken for dead")
    updates = updates_of(model)
    updates_of(model, more_than=updates + 20)  # the other one goes on
    third = program(model, "third")
    learner.says(f"third has joined as collector {index}")
    request_stop(model, "enough", DEADLINE_S)
    assert learner.end() == memory.end() == 0
    assert second.wait(DEADLINE_S) == third.wait(DEADLINE_S) == 0
    summary = processes.summary()
    counted = ("blocks", "blocks_lost", "blocks_refused", "blocks_in_flight")
    assert summary["blocks_sent"] == sum(summary[name] for name in counted)
    assert summary["blocks_duplicated"] == 0


def test_a_greedy_play_beside_the_run_is_not_counted(system):
    memory = system.memory(quick_config("stop.updates=0"))
    learner = system.learner(quick_config("stop.updates=0"), memory)
    with agent_of(learner.role.endpoints["model"]) as agent:
        play(agent, world(), 40, explore=False)
        assert agent.status.environment_steps == 0


def test_its_delivery_is_acknowledged_where_the_run_has_it_so(system):
    config = quick_config("links.delivery=acked", "stop.updates=0")
    memory = system.memory(config)
    learner = system.learner(config, memory)
    with agent_of(learner.role.endpoints["model"]) as agent:
        play(agent, world(), 100)
    assert agent.status.transitions_sent == 100
    assert agent.status.blocks_in_flight == 0
