"""zdqn: distributed deep Q-learning for a handful of machines.

Four small roles (memory, learner, collector, evaluator) that talk over ZeroMQ, from one command
(``zdqn run``), from four terminals, or from Python::

    import zdqn

    result = zdqn.run("configs/cartpole.toml")
    policy = zdqn.load_policy(result)

Importing this package is light: torch, zmq and gymnasium are loaded when something needs them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zdqn.config import (
        AlgorithmSection,
        CollectorSection,
        Config,
        EnvironmentSection,
        EvaluatorSection,
        ExplorationSection,
        LaunchSection,
        LearnerSection,
        LinksSection,
        MemorySection,
        NetworkSection,
        ReplaySection,
        RunSection,
        SecuritySection,
        SinksSection,
        StopSection,
        WrapperSection,
        load_config,
    )
    from zdqn.data import EnvironmentSpec, EpisodeStatistics, EvaluationScores, WeightVersion
    from zdqn.errors import (
        AddressInUseError,
        CallbackFailedError,
        ConfigError,
        EnvironmentFailedError,
        FencedError,
        FileError,
        MismatchError,
        NotAllowedError,
        PeerUnavailableError,
        ProtocolError,
        RoleFailedError,
        RunDirectoryTakenError,
        UsageError,
        ZdqnError,
    )
    from zdqn.experiments.exporting import Exported, export
    from zdqn.experiments.plots import plot
    from zdqn.experiments.scoring import evaluate
    from zdqn.experiments.showing import FilmedEpisode, play, show
    from zdqn.experiments.trained_policy import TrainedPolicy, load_policy
    from zdqn.launch.entry import run, train
    from zdqn.records.callbacks import Callbacks
    from zdqn.records.run_result import RunResult
    from zdqn.records.sinks import Sink
    from zdqn.records.snapshots import Evaluation
    from zdqn.roles.agent.agent import Agent
    from zdqn.roles.agent.agent_status import AgentStatus
    from zdqn.roles.collector import Collector
    from zdqn.roles.evaluator import Evaluator
    from zdqn.roles.learner.role import Learner
    from zdqn.roles.memory import Memory
    from zdqn.wire.status import MetricsRow

    __version__: str

__all__ = [
    "AddressInUseError",
    "Agent",
    "AgentStatus",
    "AlgorithmSection",
    "CallbackFailedError",
    "Callbacks",
    "Collector",
    "CollectorSection",
    "Config",
    "ConfigError",
    "EnvironmentFailedError",
    "EnvironmentSection",
    "EnvironmentSpec",
    "EpisodeStatistics",
    "Evaluation",
    "EvaluationScores",
    "Evaluator",
    "EvaluatorSection",
    "ExplorationSection",
    "Exported",
    "FencedError",
    "FileError",
    "FilmedEpisode",
    "LaunchSection",
    "Learner",
    "LearnerSection",
    "LinksSection",
    "Memory",
    "MemorySection",
    "MetricsRow",
    "MismatchError",
    "NetworkSection",
    "NotAllowedError",
    "PeerUnavailableError",
    "ProtocolError",
    "ReplaySection",
    "RoleFailedError",
    "RunDirectoryTakenError",
    "RunResult",
    "RunSection",
    "SecuritySection",
    "Sink",
    "SinksSection",
    "StopSection",
    "TrainedPolicy",
    "UsageError",
    "WeightVersion",
    "WrapperSection",
    "ZdqnError",
    "__version__",
    "evaluate",
    "export",
    "load_config",
    "load_policy",
    "play",
    "plot",
    "run",
    "show",
    "train",
]

_HOMES = {
    "zdqn.config": (
        "AlgorithmSection",
        "CollectorSection",
        "Config",
        "EnvironmentSection",
        "EvaluatorSection",
        "ExplorationSection",
        "LaunchSection",
        "LearnerSection",
        "LinksSection",
        "MemorySection",
        "NetworkSection",
        "ReplaySection",
        "RunSection",
        "SecuritySection",
        "SinksSection",
        "StopSection",
        "WrapperSection",
        "load_config",
    ),
    "zdqn.data": ("EnvironmentSpec", "EpisodeStatistics", "EvaluationScores", "WeightVersion"),
    "zdqn.experiments.exporting": ("Exported", "export"),
    "zdqn.experiments.plots": ("plot",),
    "zdqn.experiments.scoring": ("evaluate",),
    "zdqn.experiments.showing": ("FilmedEpisode", "play", "show"),
    "zdqn.experiments.trained_policy": ("TrainedPolicy", "load_policy"),
    "zdqn.launch.entry": ("run", "train"),
    "zdqn.records.callbacks": ("Callbacks",),
    "zdqn.records.run_result": ("RunResult",),
    "zdqn.records.sinks": ("Sink",),
    "zdqn.records.snapshots": ("Evaluation",),
    "zdqn.roles.agent.agent": ("Agent",),
    "zdqn.roles.agent.agent_status": ("AgentStatus",),
    "zdqn.roles.collector": ("Collector",),
    "zdqn.roles.evaluator": ("Evaluator",),
    "zdqn.roles.learner.role": ("Learner",),
    "zdqn.roles.memory": ("Memory",),
    "zdqn.wire.status": ("MetricsRow",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for (PEP 562)."""
    if name == "__version__":
        value: Any = importlib.import_module("importlib.metadata").version("zdqn")
    elif name in _HOME_OF or name in __all__:
        module = importlib.import_module(_HOME_OF.get(name, "zdqn.errors"))
        value = getattr(module, name)
    else:
        raise AttributeError(f"module 'zdqn' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
