"""A program with an agent, and the servers that it talks to, which give prepared answers."""

from typing import Any

import gymnasium
import msgspec
import numpy as np

from tests.roles.conftest import Corridor
from tests.roles.corridor_run import SPEC, configured, weights
from tests.wire.fake_server import WELCOME
from tests.wire.links import make_receiver, receive_block
from zdqn.config import to_dict
from zdqn.roles.agent.agent import Agent
from zdqn.wire import block_payload, codec
from zdqn.wire.memory_messages import BlockHeader

SPACES: dict[str, Any] = {
    "observation_space": Corridor.observation_space,
    "action_space": Corridor.action_space,
}
GREEDY = ("exploration.epsilon_initial=0", "exploration.epsilon_final=0")
NOWHERE = "tcp://127.0.0.1:9"


class Host:
    """Servers, and agents that use them."""

    def __init__(self, fake, context, loopback):
        self.fake, self.context, self.loopback = fake, context, loopback
        self.receiver: Any = None
        self.memory: Any = None
        self.learner: Any = None
        self.agents: list[Agent] = []
        self.taken: list[Any] = []

    def serve(self, config, *, network=None, of_memory=None, welcome=None, **of_learner):
        """Start memory and learner."""
        self.receiver = make_receiver(self.context, self.loopback, 1000)
        says = msgspec.structs.replace(WELCOME, data_endpoint=str(self.receiver.address))
        self.memory = self.fake(**{"Hello": [says], **(of_memory or {})})
        tells = {"config": to_dict(config), "memory": str(self.memory.address), **(welcome or {})}
        says = msgspec.structs.replace(WELCOME, **tells)
        prepared = {
            "Hello": [says],
            "WeightsRequest": [weights(network=network)],
            **of_learner,
        }
        self.learner = self.fake(**prepared)

    def agent(self, *overrides, serve=None, configure=True, **options):
        """Make an agent of a run of its own."""
        config = configured(*GREEDY, *overrides)
        self.serve(config, **(serve or {}))
        return self.of_learner(config if configure else None, **options)

    def of_learner(self, config, learner=None, **options):
        agent = Agent(
            config,
            **{
                "learner": str(learner or self.learner.address), "context": self.context,
                "name": "a-0", **SPACES, **options,
            },
        )  # fmt: skip
        self.agents.append(agent)
        return agent

    def blocks(self, count, spec=SPEC):
        """Give all that came to the memory: headers and blocks."""
        found = [self.blocks_one(spec) for _ in range(count)]
        assert self.receiver.receive(copy=True) is None
        return found

    def blocks_one(self, spec):
        """Give the next block that came."""
        message = codec.decode(bytes(receive_block(self.receiver)))
        return codec.expect(message, BlockHeader), block_payload.read_block(message, spec)

    def drain(self):
        """Drop what else came so far."""
        while self.receiver.receive(copy=True) is not None:
            pass

    def all_blocks(self, spec=SPEC):
        """Give all blocks of an agent that is closed, in `taken` too."""
        self.taken = []
        sent = self.agents[-1].status.blocks_sent
        while len(self.taken) < sent:
            self.taken.append(self.blocks_one(spec))
        return self.taken

    def close(self):
        for agent in self.agents:
            agent.close()


def play(agent, environment, steps, *, seed=None, episode=0, **options):
    """Play as any program would; give the actions."""
    actions, over = [], True
    observation = None
    for _ in range(steps):
        if over:
            observation, _ = environment.reset(seed=seed)
            seed = None
        action = agent.act(observation, episode=episode, **options)
        observation, reward, terminated, truncated, _ = environment.step(action)
        agent.observe(reward, observation, terminated, truncated, episode=episode)
        over = terminated or truncated
        actions.append(action)
    return actions


def corridor(most=None):
    """Give the corridor, with a time limit or without."""
    made = Corridor()
    return gymnasium.wrappers.TimeLimit(made, most) if most else made


def place(number):
    observation = np.zeros(5, np.float32)
    observation[number] = 1
    return observation
