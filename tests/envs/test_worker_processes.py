"""Whatever is raised in an environment's process arrives, at once and as it was raised."""

import asyncio
import os
import signal
import sys
import threading

import gymnasium
import numpy as np
import pytest

from tests.envs.shaped import build
from zdqn.envs import environment_spec
from zdqn.envs.stepping import EnvironmentStepper
from zdqn.errors import ConfigError, EnvironmentFailedError

MAIN = os.getpid()


class TwoArguments(Exception):
    def __init__(self, code, text):
        super().__init__(f"{code}: {text}")


class Unpicklable(Exception):
    def __init__(self, text):
        super().__init__(text)
        self.lock = threading.Lock()


class Wordless(Exception):
    def __str__(self):
        raise RuntimeError("no words")


def two_arguments():
    raise TwoArguments(14, "UNAVAILABLE")


def unpicklable():
    raise Unpicklable("UNAVAILABLE")


def local():
    class Local(Exception):
        pass

    raise Local("of no module")


def wordless():
    raise Wordless


def interrupt():
    raise KeyboardInterrupt


def cancelled():
    raise asyncio.CancelledError("by its loop")


FAULTS = {
    "a plain one": (lambda: 1 / 0, "ZeroDivisionError: division by zero"),
    "one of two arguments": (two_arguments, "TwoArguments: 14: UNAVAILABLE"),
    "one that cannot be pickled": (unpicklable, "Unpicklable: UNAVAILABLE"),
    "one of no module": (local, "Local: of no module"),
    "one without words": (wordless, "Wordless: .it cannot be put into words"),
    "an exit": (lambda: sys.exit(3), "SystemExit: 3"),
    "an interrupt": (interrupt, "KeyboardInterrupt"),
    "one that is no Exception": (cancelled, "CancelledError: by its loop"),
    "the end of its process": (lambda: os._exit(3), "died .that of environment 0 ended with.*3"),
    "a signal": (lambda: os.kill(os.getpid(), signal.SIGKILL), "died .*was ended by signal 9"),
}


class Faulty(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(0, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, fault, where):
        self.fault, self.where, self.t = fault, where, 0
        if where == "made" and os.getpid() != MAIN:
            fault()

    def reset(self, *, seed=None, options=None):
        if self.where == "reset":
            self.fault()
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.t += 1
        if self.t == 3:
            self.fault()
        return np.zeros(2, np.float32), 0.0, False, False, {}


def run(fault, where, vectorization="async"):
    environments = build(
        Faulty, kwargs={"fault": fault, "where": where}, count=3, vectorization=vectorization
    )
    stepper = None
    try:
        stepper = EnvironmentStepper(
            environments, environment_spec(environments), seed=1, label="collector-0"
        )
        for _ in range(5):
            stepper.step(np.zeros(3, np.int64))
    finally:
        environments.close() if stepper is None else stepper.close()


@pytest.mark.filterwarnings("ignore:.*waiting for a pending call:UserWarning")
@pytest.mark.parametrize("fault", FAULTS)
def test_what_a_step_raises_is_named(fault):
    raises, said = FAULTS[fault]
    with pytest.raises(EnvironmentFailedError, match=f"step failed after 6 .*{said}"):
        run(raises, "step")


@pytest.mark.parametrize("where", ["reset", "made"])
@pytest.mark.parametrize("fault", [name for name in FAULTS if name[:3] not in ("the", "a s")])
def test_so_is_what_a_reset_or_the_making_raises(where, fault):
    raises, said = FAULTS[fault]
    with pytest.raises((EnvironmentFailedError, ConfigError), match=said):
        run(raises, where)


def test_a_process_that_dies_while_it_makes_its_environment_is_no_hang():
    with pytest.raises(EnvironmentFailedError, match="ended while it made its environment"):
        run(lambda: os._exit(3), "made")


def test_in_one_process_all_but_an_interrupt_is_named_too():
    for name in ("one of two arguments", "an exit", "one that is no Exception"):
        raises, said = FAULTS[name]
        with pytest.raises(EnvironmentFailedError, match=said):
            run(raises, "step", "sync")
    with pytest.raises(KeyboardInterrupt):
        run(interrupt, "step", "sync")


def test_the_traceback_of_the_process_is_kept():
    with pytest.raises(EnvironmentFailedError) as caught:
        run(two_arguments, "step")
    assert caught.value.__cause__ is not None
    assert "in two_arguments" in "".join(caught.value.__cause__.__notes__)
