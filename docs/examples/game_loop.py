"""A game that owns its loop, as one written with pygame does, and an agent that plays it.

The game draws itself as text and keeps its own time; what is `agent` below is all that it needs of
zdqn. Memory and learner run elsewhere::

    zdqn memory docs/examples/game.toml
    zdqn learner docs/examples/game.toml --memory tcp://127.0.0.1:5556
    python docs/examples/game_loop.py tcp://127.0.0.1:5558
"""

import random
import sys
import time

import gymnasium
import numpy as np

import zdqn

WIDTH, HEIGHT, FRAMES_PER_SECOND = 7, 9, 0  # 0: as fast as it goes


class Catch:
    """A ball falls, and a paddle of one field is moved beneath it: left, not at all, right."""

    def __init__(self):
        self.begin()

    def begin(self):
        self.paddle, self.ball, self.height = WIDTH // 2, random.randrange(WIDTH), HEIGHT

    def update(self, move):
        """Let a frame go by, and give the reward."""
        self.paddle = min(max(self.paddle + move, 0), WIDTH - 1)
        self.height -= 1
        return 0.0 if self.height else 1.0 if self.paddle == self.ball else -1.0

    def observe(self):
        where = np.array([self.paddle, self.ball, self.height], np.float32)
        return where / np.array([WIDTH, WIDTH, HEIGHT], np.float32)

    def draw(self, caught):
        field = "".join("_O"[place == self.paddle] for place in range(WIDTH))
        print(f"\r{field}  {caught:4.0%} of the last 100 caught", end="")


def main(learner):
    game, pause_s = Catch(), 1 / FRAMES_PER_SECOND if FRAMES_PER_SECOND else 0.0
    recent = [0.0]
    with zdqn.Agent(
        None,
        learner=learner,
        observation_space=gymnasium.spaces.Box(0, 1, (3,)),
        action_space=gymnasium.spaces.Discrete(3),
        timeout_s=5.0,  # a frame never takes longer, whatever becomes of the others
    ) as agent:
        agent.wait_until_ready()
        while not agent.over:
            move = agent.act(game.observe()) - 1
            reward = game.update(move)
            agent.observe(reward, game.observe(), terminated=game.height == 0)
            if game.height == 0:
                recent = [*recent[-99:], float(reward > 0)]
                game.draw(sum(recent) / len(recent))
                game.begin()
            time.sleep(pause_s)
        print()
        print(agent.status)


if __name__ == "__main__":
    main(sys.argv[1])
