"""zdqn: distributed deep Q-learning for a handful of machines.

Four small roles (memory, learner, collector, evaluator) that talk over ZeroMQ, from one command
(``zdqn run``), from four terminals, or from Python::

    import zdqn

    result = zdqn.run("configs/cartpole.toml")

Importing this package is light: torch, zmq and gymnasium are loaded when something needs them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zdqn.config import Config, load_config
    from zdqn.errors import (
        AddressInUseError,
        ConfigError,
        EnvironmentFailedError,
        FencedError,
        FileError,
        MismatchError,
        PeerUnavailableError,
        ProtocolError,
        RoleFailedError,
        RunDirectoryTakenError,
        UsageError,
        ZdqnError,
    )
    from zdqn.launch.entry import run, train
    from zdqn.records.run_result import RunResult
    from zdqn.roles.collector import Collector
    from zdqn.roles.evaluator import Evaluator
    from zdqn.roles.learner.role import Learner
    from zdqn.roles.memory import Memory

    __version__: str

__all__ = [
    "AddressInUseError",
    "Collector",
    "Config",
    "ConfigError",
    "EnvironmentFailedError",
    "Evaluator",
    "FencedError",
    "FileError",
    "Learner",
    "Memory",
    "MismatchError",
    "PeerUnavailableError",
    "ProtocolError",
    "RoleFailedError",
    "RunDirectoryTakenError",
    "RunResult",
    "UsageError",
    "ZdqnError",
    "__version__",
    "load_config",
    "run",
    "train",
]

_HOMES = {
    "zdqn.config": ("Config", "load_config"),
    "zdqn.launch.entry": ("run", "train"),
    "zdqn.records.run_result": ("RunResult",),
    "zdqn.roles.collector": ("Collector",),
    "zdqn.roles.evaluator": ("Evaluator",),
    "zdqn.roles.learner.role": ("Learner",),
    "zdqn.roles.memory": ("Memory",),
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
