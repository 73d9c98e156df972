"""The configuration: the only place where a default is written.

`schema` is the tree of typed structs, `loading` reads it from TOML and overrides, `explaining` says
what is wrong with a value, `plain` writes it as dictionaries and TOML, `agreement` says what the
roles of a run must agree in.
"""

from __future__ import annotations

from zdqn.config.agreement import (
    AGREEMENTS,
    FUNCTION_KEYS,
    check_agreement,
    describe_difference,
    shared_values,
)
from zdqn.config.arrived_code import check_code_allowed, named_modules
from zdqn.config.learning_sections import (
    AlgorithmSection,
    EnvironmentSection,
    ExplorationSection,
    NetworkSection,
    ReplaySection,
    WrapperSection,
)
from zdqn.config.loading import (
    as_config,
    from_dict,
    load_config,
    load_config_with_origins,
    parse_override,
)
from zdqn.config.plain import flatten, to_dict, to_toml
from zdqn.config.run_sections import (
    CollectorSection,
    EvaluatorSection,
    LaunchSection,
    LearnerSection,
    LinksSection,
    MemorySection,
    RunSection,
    SecuritySection,
    SinksSection,
    StopSection,
)
from zdqn.config.schema import Config

__all__ = [
    "AGREEMENTS",
    "FUNCTION_KEYS",
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
    "as_config",
    "check_agreement",
    "check_code_allowed",
    "describe_difference",
    "flatten",
    "from_dict",
    "load_config",
    "load_config_with_origins",
    "named_modules",
    "parse_override",
    "shared_values",
    "to_dict",
    "to_toml",
]
