"""What a key may do: everything that its role needs, and nothing else."""

import itertools

import pytest

from zdqn.errors import NotAllowedError
from zdqn.wire import memory_messages, model_messages, protocol
from zdqn.wire.keys.allow_list import KEY_ROLES, Caller
from zdqn.wire.keys.permissions import ALLOWED, LET_IN, check_allowed
from zdqn.wire.protocol import Header, Hello, Stop

pytestmark = pytest.mark.own_keys

KEY = bytes(32)

MAY = {
    "memory": {
        "learner": "Hello Ping Goodbye StatusRequest Stop Echo SampleRequest AccountsRequest",
        "collector": "Hello Ping Goodbye ArrivalsRequest",
        "evaluator": "",
        "operator": "StatusRequest Stop Echo",
        "memory": "",
    },
    "learner": {
        "learner": "",
        "collector": "Hello Ping Goodbye WeightsRequest ActionRequest",
        "evaluator": "Hello Ping Goodbye WeightsRequest Claim EvaluationResult",
        "operator": "StatusRequest Stop Echo ConfigurationRequest",
        "memory": "",
    },
}

KINDS = sorted(
    (
        kind
        for module in (protocol, memory_messages, model_messages)
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Header) and "kind" in vars(kind)
    ),
    key=lambda kind: kind.__name__,
)


def make(kind, role):
    return kind(**{name: role if name == "role" else "" for name in kind.__struct_fields__})


def refusal(caller, server, header):
    try:
        check_allowed(caller, server, header)
    except NotAllowedError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(("server", "role"), list(itertools.product(MAY, KEY_ROLES)))
def test_each_role_may_ask_what_it_needs_and_nothing_else(server, role):
    let_through = set()
    for kind in set(KINDS):
        refused = refusal(Caller(role, "x", KEY), server, make(kind, role))
        if not refused:
            let_through.add(kind.__name__)
        else:
            assert kind.kind.name in refused
            assert f"{role}'s key 00000000 (x)" in refused
    assert let_through == set(MAY[server][role].split())


def test_links_let_in_the_roles_that_have_something_to_do_there():
    assert {
        "samples": {"learner", "collector", "operator"},
        "transitions": {"collector"},
        "model": {"collector", "evaluator", "operator"},
        "weights": {"collector", "evaluator"},
    } == LET_IN
    assert set(ALLOWED) == {"memory", "learner"}


def test_a_revoked_key_may_ask_nothing():
    with pytest.raises(NotAllowedError, match="revoked"):
        check_allowed(Caller(None, "", KEY), "memory", Stop(reason="x"))


def test_nobody_says_hello_as_somebody_else():
    hello = Hello(role="learner", name="me", session=1)
    with pytest.raises(NotAllowedError, match="me says hello as learner, with the collector's key"):
        check_allowed(Caller("collector", "x", KEY), "memory", hello)
