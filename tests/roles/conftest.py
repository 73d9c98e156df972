"""Roles in threads, over real sockets on loopback, with a deadline for everything."""

import threading
import time
from concurrent.futures import Future
from typing import Any

import gymnasium
import numpy as np
import pytest

from zdqn.config import load_config
from zdqn.roles.collector import Collector
from zdqn.roles.evaluator import Evaluator
from zdqn.roles.learner.role import Learner
from zdqn.roles.memory import Memory
from zdqn.wire.keys.key_folder import KeyFolder
from zdqn.wire.keys.role_keys import open_keys

DEADLINE_S = 90

QUICK = (
    "learner.device=cpu",
    "network.hidden=[16]",
    "replay.min_size=64",
    "replay.samples_per_insert=2",
    "algorithm.batch_size=16",
    "collector.block_transitions=16",
    "collector.block_age_s=0.05",
    "evaluator.episodes=2",
    "evaluator.environments=2",
    "environment.max_episode_steps=20",
    "links.ping_period_s=0.05",
    "links.dead_after_s=5",
    "learner.report_period_s=0.05",
    "stop.updates=60",
)


def quick_config(*overrides):
    """A configuration with which everything takes a second or two."""
    return load_config(None, (*QUICK, *overrides))


def eventually(condition, what, deadline_s=DEADLINE_S):
    """Wait for a condition to become true, and give what it gave."""
    end_s = time.monotonic() + deadline_s
    while time.monotonic() < end_s:
        value = condition()
        if value:
            return value
        time.sleep(0.005)
    raise AssertionError(f"not within {deadline_s} s: {what}")


class Running:
    """A role that runs in a thread."""

    def __init__(self, role, stop):
        self.role = role
        self.stop_event = stop
        self._future: Future[Any] = Future()
        self._thread = threading.Thread(target=self._run, name=type(role).__name__)
        self._thread.start()

    def _run(self):
        try:
            self._future.set_result(self.role.run())
        except BaseException as error:  # noqa: BLE001 - handed to whoever asks for the result
            self._future.set_exception(error)

    def result(self, deadline_s=DEADLINE_S):
        """Wait for the end of `run`, and give its result or raise its error."""
        return self._future.result(deadline_s)

    @property
    def ended(self):
        """Whether `run` has ended, well or not."""
        return self._future.done()

    def stop(self):
        """Stop it, and wait until its sockets are closed."""
        self.stop_event.set()
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive(), f"{self.role} did not stop"
        self.role.close()


class System:
    """Makes roles, starts them, and ends whatever is left.

    With `keys`, a folder of them, every role has its key, and `operator` the keys to ask with.
    """

    def __init__(self, folder, keys=None):
        self._folder = folder
        self.keys = keys
        self.operator = open_keys(keys, "operator")
        self._running: list[Running] = []
        self._runs = 0

    def start(self, role, stop):
        """Run a role in a thread until the test is over."""
        running = Running(role, stop)
        self._running.append(running)
        return running

    def memory(self, config, **options):
        stop = threading.Event()
        options = {"bind": "tcp://127.0.0.1:0", "keys": self.keys, **options}
        return self.start(Memory(config, stop=stop, **options), stop)

    def learner(self, config, memory, **options):
        stop = threading.Event()
        options = {"bind": "tcp://127.0.0.1:0", "keys": self.keys, **options}
        if "run_directory" not in options:
            self._runs += 1
            options["run_directory"] = self._folder / f"run-{self._runs}"
        address = memory if isinstance(memory, str) else memory.role.endpoints["samples"]
        return self.start(Learner(config, memory=address, stop=stop, **options), stop)

    def collector(self, config, learner, **options):
        stop = threading.Event()
        address = learner if isinstance(learner, str) else learner.role.endpoints["model"]
        options.setdefault("keys", self.keys)
        return self.start(Collector(config, learner=address, stop=stop, **options), stop)

    def evaluator(self, config, learner, **options):
        stop = threading.Event()
        address = learner if isinstance(learner, str) else learner.role.endpoints["model"]
        options.setdefault("keys", self.keys)
        return self.start(Evaluator(config, learner=address, stop=stop, **options), stop)

    def close(self):
        for running in self._running:
            running.stop_event.set()
        for running in self._running:
            running.stop()


@pytest.fixture
def system(tmp_path):
    """Starts roles; whatever runs at the end of the test is stopped."""
    running = System(tmp_path)
    yield running
    running.close()


@pytest.fixture
def keyed_system(tmp_path):
    """Starts roles with keys."""
    keys = tmp_path / "keys"
    KeyFolder(keys).init()
    running = System(tmp_path, keys)
    yield running
    running.close()


@pytest.fixture(params=["system", "keyed_system"])
def either_system(request):
    """Starts roles, once without keys and once with them."""
    return request.getfixturevalue(request.param)


class Corridor(gymnasium.Env):
    """Walk right to the end for a reward of 1: learned in a few hundred updates."""

    observation_space = gymnasium.spaces.Box(0, 1, (5,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, length=5):
        self._length = length
        self._place = 0

    def _observe(self):
        observation = np.zeros(5, np.float32)
        observation[self._place] = 1
        return observation

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._place = 0
        return self._observe(), {}

    def step(self, action):
        self._place = max(0, self._place + (1 if action == 1 else -1))
        done = self._place == self._length - 1
        return self._observe(), float(done), done, False, {}


@pytest.fixture
def corridor():
    return Corridor
