"""CartPole in a program that owns its loop, and that learns it through an agent.

With "local" the program holds the newest weights, with "remote" it asks the learner for every
action. In neither case is PyTorch loaded here. Memory, learner and an evaluator, which says when it
is solved, run elsewhere, each in a terminal of its own::

    zdqn memory configs/cartpole.toml
    zdqn learner configs/cartpole.toml --memory tcp://127.0.0.1:5556
    zdqn evaluator --learner tcp://127.0.0.1:5558
    python docs/examples/cartpole_agent.py tcp://127.0.0.1:5558 local
"""

import logging
import sys
import time

import gymnasium

import zdqn


def main(learner, policy):
    world = gymnasium.make("CartPole-v1")  # or whatever else can be stepped
    began_s, recent = time.monotonic(), []
    with zdqn.Agent(
        None,
        learner=learner,
        observation_space=world.observation_space,
        action_space=world.action_space,
        policy=policy,
        when_full="wait",  # it is held back, as a collector is, so that the ratio of the run holds
    ) as agent:
        agent.wait_until_ready()
        print(f"acting by a {policy} policy", flush=True)
        while not agent.over:
            observation, _ = world.reset()
            length, over = 0, False
            while not (over or agent.over):
                action = agent.act(observation)
                observation, reward, terminated, truncated, _ = world.step(action)
                agent.observe(reward, observation, terminated, truncated)
                length, over = length + 1, terminated or truncated
            recent = [*recent[-19:], length]
            if agent.status.episodes % 50 == 0:
                say(agent.status, recent, time.monotonic() - began_s)
        say(agent.status, recent, time.monotonic() - began_s)
    print("the run is over; PyTorch was", "loaded" if "torch" in sys.modules else "never loaded")


def say(status, recent, seconds):
    print(
        f"{seconds:6.1f} s {status.environment_steps:8,} steps {status.episodes:6,} episodes,"
        f" the last {len(recent)} of {sum(recent) / len(recent):5.1f} steps,"
        f" {status.steps_dropped} dropped",
        flush=True,
    )


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")  # whom it waits for, and joins
    main(sys.argv[1], sys.argv[2])
