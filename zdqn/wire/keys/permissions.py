"""What a key may do: it follows from its role, link by link and message by message."""

from __future__ import annotations

from typing import Literal, TypeAlias

from zdqn.errors import NotAllowedError
from zdqn.wire.keys.allow_list import Caller, KeyRole
from zdqn.wire.memory_messages import AccountsRequest, ArrivalsRequest, SampleRequest
from zdqn.wire.model_messages import (
    ActionRequest,
    Claim,
    ConfigurationRequest,
    EvaluationResult,
    WeightsRequest,
)
from zdqn.wire.protocol import Echo, Goodbye, Header, Hello, Ping, ServerRole, StatusRequest, Stop

LinkName: TypeAlias = Literal["samples", "transitions", "model", "weights"]

_MEMBER: tuple[type[Header], ...] = (Hello, Ping, Goodbye)
_OPERATOR: tuple[type[Header], ...] = (StatusRequest, Stop, Echo)

ALLOWED: dict[ServerRole, dict[KeyRole, tuple[type[Header], ...]]] = {
    "memory": {
        "learner": (*_MEMBER, *_OPERATOR, SampleRequest, AccountsRequest),
        "collector": (*_MEMBER, ArrivalsRequest),
        "operator": _OPERATOR,
    },
    "learner": {
        "collector": (*_MEMBER, WeightsRequest, ActionRequest),
        "evaluator": (*_MEMBER, WeightsRequest, Claim, EvaluationResult),
        "operator": (*_OPERATOR, ConfigurationRequest),
    },
}
"""Server to role of a key to what it may ask."""

LET_IN: dict[LinkName, frozenset[KeyRole]] = {
    "samples": frozenset(ALLOWED["memory"]),
    "transitions": frozenset({"collector"}),
    "model": frozenset(ALLOWED["learner"]),
    "weights": frozenset({"collector", "evaluator"}),
}
"""Link to the roles whose keys may connect to it."""


def check_allowed(caller: Caller, server: ServerRole, header: Header) -> None:
    """Refuse what a key may not ask.

    Args:
        caller: whose key it is.
        server: that is asked.
        header: of what it asks.

    Raises:
        NotAllowedError: naming the key, its role and the message.
    """
    name = header.kind.name
    if caller.role is None:
        raise NotAllowedError(f"{name} from {caller}: it was revoked")
    if type(header) not in ALLOWED[server].get(caller.role, ()):
        raise NotAllowedError(f"a {caller.role}'s key may not send {name} to a {server}: {caller}")
    if isinstance(header, Hello) and header.role != caller.role:
        raise NotAllowedError(
            f"{header.name} says hello as {header.role}, with the {caller}. Start it with the "
            f"folder of keys of a {header.role}."
        )
