"""An environment and a network of your own, trained in one process and in several, then used.

A robot on a floor of fields looks for a package: it sees two maps, of where it is and of where the
package is, and moves by a field. Nothing is registered or installed; zdqn is handed functions::

    python docs/examples/own_environment.py            # to the end, half a minute
    python docs/examples/own_environment.py 200        # 200 updates of each, to see that it works
"""

import sys

import gymnasium
import numpy as np
from torch import nn

import zdqn

SIDE = 5
MOVES = ((-1, 0), (1, 0), (0, -1), (0, 1))
NAMES = ("up", "down", "left", "right")


class Floor(gymnasium.Env):
    """A reward of 1 for the package, and -0.05 for each move; a wall stops a move."""

    def __init__(self, most_moves=30):
        self.observation_space = gymnasium.spaces.Box(0, 1, (2, SIDE, SIDE), np.uint8)
        self.action_space = gymnasium.spaces.Discrete(len(MOVES))
        self.most_moves = most_moves

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        fields = self.np_random.choice(SIDE * SIDE, 2, replace=False)
        self.robot, self.package = (np.array(divmod(int(field), SIDE)) for field in fields)
        self.moves = 0
        return self.maps(), {}

    def step(self, action):
        self.robot = np.clip(self.robot + MOVES[action], 0, SIDE - 1)
        self.moves += 1
        found = bool((self.robot == self.package).all())
        cut = not found and self.moves == self.most_moves  # not the end of the world: truncated
        return self.maps(), 1.0 if found else -0.05, found, cut, {}

    def maps(self):
        maps = np.zeros((2, SIDE, SIDE), np.uint8)
        maps[0][tuple(self.robot)] = maps[1][tuple(self.package)] = 1
        return maps


def make_environment(**kwargs):
    """Called once for each environment, in whichever process steps it; kwargs are the file's."""
    return Floor(**kwargs)


class Maps(nn.Module):
    """From maps (B, 2, SIDE, SIDE), as the environment gives them, to action values (B, 4)."""

    def __init__(self, maps, actions):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(maps, 16, 3, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(16 * SIDE * SIDE, 64),
            nn.ReLU(),
            nn.Linear(64, actions),
        )

    def forward(self, observations):
        return self.layers(observations.float())


def make_network(spec):
    """Called with the zdqn.EnvironmentSpec: its shapes are those that the environment has."""
    return Maps(spec.stacked_shape[0], spec.num_actions)


CONFIG = zdqn.Config(
    algorithm=zdqn.AlgorithmSection(double=True, discount=0.95, learning_rate=1e-3),
    replay=zdqn.ReplaySection(capacity=20_000, min_size=500, samples_per_insert=8.0),
    exploration=zdqn.ExplorationSection(epsilon_decay_environment_steps=5_000),
    evaluator=zdqn.EvaluatorSection(period_updates=500, episodes=50, environments=10),
    learner=zdqn.LearnerSection(device="cpu"),
    launch=zdqn.LaunchSection(collectors=1, evaluators=1),
    # The shortest ways have 3.3 moves on average: a return of 0.88 is what can be reached.
    stop=zdqn.StopSection(evaluation_return=0.85, updates=20_000),
)


def main(most_updates):
    config = CONFIG.replace("stop.updates", most_updates)
    own = {"environment": make_environment, "network": make_network}

    print("one process")
    print(zdqn.train(config, **own))
    print("several processes")
    result = zdqn.run(config, **own)
    print(result)

    policy = zdqn.load_policy(result, network=make_network)
    floor = make_environment()
    maps, _ = floor.reset(seed=7)
    print(f"from {floor.robot.tolist()} to {floor.package.tolist()}:", end="")
    over = False
    while not over:
        action = policy(maps)
        maps, _, found, cut, _ = floor.step(action)
        print(f" {NAMES[action]}", end="")
        over = found or cut
    print(", found" if found else ", given up")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else CONFIG.stop.updates)
