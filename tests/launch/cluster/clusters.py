"""Plans of runs on several hosts, for tests."""

import json
import os
import signal
from contextlib import suppress
from pathlib import Path

from zdqn.config import Config
from zdqn.config.cluster_sections import (
    ClientsSection,
    Cluster,
    ServerSection,
)
from zdqn.launch.cluster.agent_place import lives
from zdqn.launch.cluster.cluster_plan import plan_cluster

SOURCE = Path("lab/cluster.toml")


def small_cluster(**changes):
    """A memory, a learner, and three collectors on two hosts."""
    values = {
        "memory": ServerSection(host="m"),
        "learner": ServerSection(host="g"),
        "collectors": (ClientsSection(hosts=("c[1-2]",)), ClientsSection(hosts=("g",))),
        **changes,
    }
    return Cluster(**values)


def small_plan(**changes):
    return plan_cluster(small_cluster(**changes), Config(), source=SOURCE)


def tiny_plan(*, steps=0, hosts=("a", "b")):
    """A run that trains a moment, or until it is stopped: servers on the first host."""
    config = Config().replace(
        {
            "environment.id": "CartPole-v1",
            "stop.environment_steps": steps,
            "replay.capacity": 5_000,
            "replay.min_size": 100,
            "replay.samples_per_insert": 1.0,
            "learner.compile": False,
            "evaluator.period_environment_steps": 500,
            "evaluator.episodes": 1,
        }
    )
    cluster = Cluster(
        memory=ServerSection(host=hosts[0]),
        learner=ServerSection(host=hosts[0]),
        collectors=(ClientsSection(hosts=hosts),),
        evaluators=(ClientsSection(hosts=hosts[:1]),),
    )
    return plan_cluster(cluster, config, source=SOURCE)


def agents_of(directory):
    """Give who keeps something of a run on this machine: identities of agents and roles."""
    found = []
    for path in directory.rglob("agent.json"):
        told = json.loads(path.read_text())
        found += [told.get("agent"), *told.get("processes", {}).values()]
    return [identity for identity in found if identity and lives(identity)]


def kill_all_of(directory):
    """Kill all that keeps something of a run on this machine, or is kept."""
    for identity in agents_of(directory):
        with suppress(ProcessLookupError):  # it went with its agent
            os.kill(identity[0], signal.SIGKILL)
