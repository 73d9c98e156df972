"""Each side of a real system is made slow in turn, and is named."""

import time

import pytest

from tests.roles.conftest import DEADLINE_S, eventually, quick_config
from tests.roles.processes import updates_of
from zdqn.wire.remote_control import fetch_status, request_stop


def run(system, side, *overrides, slow_memory=False):
    """Train for three seconds, until a side is named; give it as it is named in the end."""
    config = quick_config("stop.updates=0", *overrides)
    memory = system.memory(config)
    if slow_memory:
        insert = memory.role._broker.intake.insert_together

        def insert_slowly(messages):
            time.sleep(0.02 * len(messages))
            return insert(messages)

        memory.role._broker.intake.insert_together = insert_slowly
    learner = system.learner(config, memory)
    system.collector(None, learner)
    model = learner.role.endpoints["model"]
    updates_of(model)
    begun_s = fetch_status(model, DEADLINE_S)["run"]["wall_s"]

    def is_named():
        status = fetch_status(model, DEADLINE_S)
        return status["run"]["wall_s"] > begun_s + 3 and status["verdict"].startswith(side)

    eventually(is_named, side)
    request_stop(model, "enough", DEADLINE_S)
    return learner.result().summary["verdict"]


@pytest.mark.parametrize(
    ("side", "overrides"),
    [
        ("learner-bound", ("network.hidden=[1024,1024]", "algorithm.batch_size=64",
                           "replay.samples_per_insert=64")),
        ("collector-bound", ("environment.id=zdqn/SlowCartPole-v0",
                             "environment.kwargs={sleep_s=0.02}")),
    ],
)  # fmt: skip
def test_the_slow_side_is_named(system, side, overrides):
    assert run(system, side, *overrides).startswith(side)


def test_a_slow_memory_is_named(system):
    verdict = run(system, "memory-bound", "collector.environments=8", slow_memory=True)
    assert verdict.startswith("memory-bound")
