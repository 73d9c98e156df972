"""What a role's process must load, and what it must not: start-up is part of the product."""

import subprocess
import sys

import pytest

MEMORY = """
from zdqn.roles.memory import Memory
Memory(config, bind="tcp://127.0.0.1:0").close()
"""
REMOTE_COLLECTOR = """
import zdqn.core.rollout
from zdqn.roles.collector import Collector
Collector(config, learner="tcp://127.0.0.1:9").close()
"""
LOCAL_COLLECTOR = """
from zdqn.data import EnvironmentSpec
from zdqn.roles.building import build_policy
import zdqn.core.rollout
import zdqn.roles.collector
build_policy(config, None, EnvironmentSpec((4,), "float32", 2), 1)
"""
AGENT = """
import gymnasium.spaces as spaces
import zdqn
zdqn.Agent(
    config, learner="tcp://127.0.0.1:9",
    observation_space=spaces.Box(0, 1, (4,)), action_space=spaces.Discrete(2),
).close()
"""
LEARNER = """
import pathlib, tempfile
from zdqn.roles.learner.role import Learner
folder = pathlib.Path(tempfile.mkdtemp())
Learner(config, memory="tcp://127.0.0.1:9", bind="tcp://127.0.0.1:0", run_directory=folder).close()
"""


@pytest.mark.parametrize(
    ("program", "absent"),
    [
        (MEMORY, {"torch", "gymnasium", "click", "rich", "cloudpickle"}),
        (REMOTE_COLLECTOR, {"torch", "click", "rich"}),
        (LOCAL_COLLECTOR, {"torch", "click", "rich"}),
        (AGENT, {"torch", "click", "rich"}),
        (LEARNER, {"torch", "gymnasium", "click", "rich"}),  # its sockets answer before torch is in
    ],
    ids=[
        "memory",
        "remote-policy collector",
        "collector of a small network",
        "agent",
        "learner while it binds",
    ],
)
def test_a_role_starts_without(program, absent):
    code = (
        "import sys\nfrom zdqn.config import load_config\n"
        "config = load_config(None, ['collector.policy=remote'])\n"
        f"{program}\nprint(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=True
    )
    assert not absent & set(done.stdout.split())
