"""Each side of a real system is made slow in turn, and is named."""

import time

import pytest

from tests.roles.conftest import DEADLINE_S, eventually, quick_config
from zdqn.wire.remote_control import fetch_status, request_stop


def run(system, side, *overrides, slow_memory=False):
    """Run until a side is named, and give it as it is named in the end."""
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
    eventually(lambda: fetch_status(model, DEADLINE_S)["verdict"].startswith(side), side)
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
