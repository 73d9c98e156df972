"""What whoever collects has, in a role that collects nothing; the rest: test_collector.py."""

import msgspec
import pytest

from tests.roles.corridor_run import SPEC, refusing
from tests.wire.fake_server import WELCOME
from zdqn.roles.collecting_client import CollectingClient, CollectorResult


class Sender(CollectingClient):
    """Joins nobody."""

    def __init__(self, learner="tcp://127.0.0.1:9", memory=None):
        super().__init__(None, learner=learner, memory=memory)

    def _make_environments(self, config):
        return None, SPEC

    def _make_source(self, config, seed):
        raise AssertionError("nobody was joined")

    def _play(self, policy, stream, rng):
        raise AssertionError("nobody was joined")


def test_before_it_has_joined_it_tells_that_it_did_nothing():
    with Sender() as role:
        told = role._statistics()
        assert role._result() == CollectorResult(0, 0, 0, 0, 0)
    assert (told["environment_steps"], told["blocks_sent"], told["collecting_s"]) == (0, 0, 0)
    assert told["idle_s"] == 0
    assert "steps_ahead" not in told


def test_what_the_memory_has_refused_is_told():
    with Sender() as role:
        role._refusals.look(refusing(3, "of another spec").delivery)
        assert role._statistics()["blocks_refused"] == 3


@pytest.mark.parametrize(
    ("given", "of_learner", "found"),
    [
        (None, "tcp://127.0.0.1:5555", "tcp://localhost:5555"),  # the learner's own loopback
        (None, "tcp://10.0.0.7:5555", "tcp://10.0.0.7:5555"),
        ("tcp://127.0.0.1:7", "tcp://10.0.0.7:5555", "tcp://127.0.0.1:7"),
    ],
)
def test_the_memory_is_where_it_is_said_to_be(given, of_learner, found):
    welcome = msgspec.structs.replace(WELCOME, memory=of_learner)
    with Sender("tcp://localhost:9", given) as role:
        assert str(role._memory_address(welcome)) == found
