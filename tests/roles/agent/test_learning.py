"""A loop that is not zdqn's learns to balance a pole, beside a memory and a learner."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.roles.processes import ENVIRONMENT, Process
from zdqn.config import load_config, to_toml

ROOT = Path(__file__).parents[3]
GOAL, WITHIN_S = 400.0, 240.0

LOOP = """
import json, sys, time
import gymnasium
import zdqn

learner, policy, goal, within_s = sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4])
world = gymnasium.make("CartPole-v1")


def play(agent, **options):
    observation, _ = world.reset()
    total, over = 0.0, False
    while not over and not agent.over:
        action = agent.act(observation, **options)
        observation, reward, terminated, truncated, _ = world.step(action)
        agent.observe(reward, observation, terminated, truncated)
        total, over = total + reward, terminated or truncated
    return total


world.reset(seed=0)
with zdqn.Agent(
    None, learner=learner, policy=policy,
    observation_space=world.observation_space, action_space=world.action_space,
) as agent:
    agent.wait_until_ready()
    began_s, scored, mean = time.monotonic(), 0, 0.0
    while mean < goal and time.monotonic() - began_s < within_s:
        play(agent)
        if agent.status.environment_steps > scored + 1000:
            scored = agent.status.environment_steps
            mean = sum(play(agent, explore=False) for _ in range(10)) / 10
    status = agent.status
print(json.dumps({
    "mean": mean, "steps": status.environment_steps, "episodes": status.episodes,
    "dropped": status.steps_dropped, "seconds": round(time.monotonic() - began_s, 1),
    "torch": "torch" in sys.modules,
}))
"""


@pytest.fixture
def learner(tmp_path):
    """Starts memory and learner as processes; gives the learner's address."""
    config = load_config(ROOT / "configs/cartpole.toml", ["stop.updates=0"])
    (tmp_path / "run.toml").write_text(to_toml(config))
    memory = Process(tmp_path, "memory", ["memory", "run.toml", "--bind", "tcp://127.0.0.1:0"])
    address = memory.says(r"serving samples at (\S+)")[1]
    learner = Process(
        tmp_path, "learner",
        ["learner", "run.toml", "--memory", address, "--bind", "tcp://127.0.0.1:0",
         "--run-dir", "run"],
    )  # fmt: skip
    yield learner.says(r"serving the model at (\S+)")[1]
    for process in (learner, memory):
        process.kill()


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("policy", ["local", "remote"])
def test_a_loop_of_ones_own_learns_through_an_agent_without_torch(learner, policy, record_property):
    done = subprocess.run(
        [sys.executable, "-c", LOOP, learner, policy, str(GOAL), str(WITHIN_S)],
        capture_output=True, text=True, timeout=WITHIN_S + 100, check=False,
        env={**ENVIRONMENT, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    record_property("figures", figures)
    assert figures["mean"] >= GOAL, figures
    assert not figures["torch"]
    assert figures["dropped"] == 0
