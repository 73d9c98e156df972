"""Actions from the model server: what is asked, and what becomes of the answers."""

import threading

import numpy as np
import pytest

from tests.roles.conftest import quick_config
from zdqn.data import EnvironmentSpec
from zdqn.errors import MismatchError, PeerUnavailableError, ProtocolError
from zdqn.rl.action_masks import unpack_masks
from zdqn.rl.exploration import Exploration
from zdqn.roles.acting.remote_policy import RemotePolicy
from zdqn.wire import codec, payloads
from zdqn.wire.addresses import parse_address
from zdqn.wire.model_messages import ActionRequest, Actions
from zdqn.wire.protocol import ErrorReply

SPEC = EnvironmentSpec((2,), "float32", 10)


class Server:
    """A client of a server that answers with the first number of each observation.

    What stands in `instead` is answered first; None is silence.
    """

    address = parse_address("tcp://learner:5558", parameter="a test")

    def __init__(self, *instead):
        self.instead, self.asked, self.closed = list(instead), [], False

    def request(self, message, *, timeout_s, stop=None):
        decoded = codec.decode(message)
        header = codec.expect(decoded, ActionRequest)
        (observations,) = codec.read_arrays(
            decoded, ((SPEC.dtype, (header.count, *SPEC.stacked_shape)),)
        )
        assert (header.session, header.spec_digest) == (77, SPEC.digest)
        self.asked.append(observations[:, 0].tolist())
        if self.instead:
            return self.instead.pop(0)
        return answer(observations[:, 0])

    def close(self):
        self.closed = True


def answer(actions, version=9):
    header = Actions(count=len(actions), weight_version=version)
    return memoryview(codec.encode(header, (np.array(actions, np.int64),)))


def refusal(code):
    return memoryview(codec.encode(ErrorReply(code=code, message="because")))


def make(server, *overrides):
    stop = threading.Event()
    policy = RemotePolicy(quick_config(*overrides), client=server, spec=SPEC, session=77, stop=stop)
    return policy, stop


def observe(*values):
    return np.array([[value, 0] for value in values], np.float32)


def explore(*exploring):
    """Action 0 where exploring."""
    return Exploration(np.array(exploring), np.zeros(len(exploring), np.int64))


def test_all_are_asked_for_in_one_request():
    server = Server()
    policy, _ = make(server)
    choice = policy.choose(observe(3, 1, 4), explore(False, False, False))
    assert choice.actions.tolist() == [3, 1, 4]
    assert choice.weight_version == 9
    assert choice.chosen_q is None
    assert server.asked == [[3, 1, 4]]


def test_those_that_explore_are_not_asked_for():
    server = Server()
    policy, _ = make(server)
    choice = policy.choose(observe(3, 1, 4), explore(False, True, False))
    assert choice.actions.tolist() == [3, 0, 4]
    assert server.asked == [[3, 4]]


def test_if_all_explore_nothing_is_asked_and_the_version_is_the_last_one_heard():
    server = Server()
    policy, _ = make(server)
    assert policy.choose(observe(3), explore(True)).weight_version == 0
    policy.choose(observe(3), explore(False))
    choice = policy.choose(observe(3), explore(True))
    assert (choice.actions.tolist(), choice.weight_version) == ([0], 9)
    assert server.asked == [[3]]


def test_silence_and_a_server_that_starts_are_waited_for():
    server = Server(None, refusal("not_serving"), None)
    policy, _ = make(server)
    assert policy.choose(observe(5), explore(False)).actions.tolist() == [5]
    assert server.asked == [[5]] * 4
    assert policy.asking_s > 0


def test_but_no_longer_than_is_configured():
    policy, _ = make(Server(*[None] * 1000), "links.connect_timeout_s=0.001")
    with pytest.raises(PeerUnavailableError, match=r"actions.*tcp://learner:5558"):
        policy.choose(observe(5), explore(False))


def test_with_a_time_it_asks_until_that_is_over_and_says_nothing():
    silent = Server(*[None] * 10**6)
    policy, _ = make(silent)
    assert policy.choose(observe(5), explore(False), timeout_s=0.01) is None
    assert silent.asked
    assert policy.asking_s >= 0.01
    policy, _ = make(Server(None, refusal("not_serving")))
    choice = policy.choose(observe(5), explore(False), timeout_s=60.0)
    assert choice is not None
    assert choice.actions.tolist() == [5]


def test_without_time_nothing_is_asked():
    server = Server()
    policy, _ = make(server)
    assert policy.choose(observe(5), explore(False), timeout_s=0.0) is None
    assert server.asked == []


def test_it_knows_no_values():
    policy, _ = make(Server())
    policy.value(observe(5))


def test_a_run_that_is_over_gives_no_choice():
    policy, stop = make(Server(refusal("stopping")))
    assert policy.choose(observe(5), explore(False)) is None
    assert policy.stopping
    assert stop.is_set()


def test_a_refusal_is_an_error():
    policy, _ = make(Server(refusal("mismatch")))
    with pytest.raises(MismatchError, match=r"tcp://learner:5558 refused: because"):
        policy.choose(observe(5), explore(False))


def test_another_number_of_actions_is_an_error():
    policy, _ = make(Server(answer([1, 2])))
    with pytest.raises(ProtocolError, match="2 actions to 1 observations"):
        policy.choose(observe(5), explore(False))


def test_it_closes_its_connection():
    server = Server()
    make(server)[0].close()
    assert server.closed


class MaskedServer:
    """Answers the last allowed action of each observation, or what stands in `instead`."""

    address = Server.address

    def __init__(self, *instead):
        self.instead, self.asked = list(instead), []

    def request(self, message, *, timeout_s, stop=None):
        decoded = codec.decode(message)
        header = codec.expect(decoded, ActionRequest)
        assert header.spec_digest == MASKED.digest
        layout = payloads.action_request_layout(header, MASKED)
        observations, packed = codec.read_arrays(decoded, layout)
        allowed = unpack_masks(packed, 10)
        self.asked.append((observations[:, 0].tolist(), allowed.tolist()))
        if self.instead:
            return self.instead.pop(0)
        return answer([int(np.flatnonzero(row)[-1]) for row in allowed])

    def close(self):
        pass


MASKED = EnvironmentSpec((2,), "float32", 10, action_masks=True)
ALLOWED = np.zeros((3, 10), np.bool_)
ALLOWED[0, [0, 9]] = ALLOWED[1, 4] = ALLOWED[2, [0, 8]] = True


def make_masked(server):
    return RemotePolicy(
        quick_config(), client=server, spec=MASKED, session=77, stop=threading.Event()
    )


def test_masks_are_asked_with_for_those_that_do_not_explore():
    server = MaskedServer()
    policy = make_masked(server)
    choice = policy.choose(observe(3, 1, 4), explore(False, False, False), ALLOWED)
    assert choice is not None
    assert choice.actions.tolist() == [9, 4, 8]
    choice = policy.choose(observe(3, 1, 4), explore(False, True, False), ALLOWED)
    assert choice is not None
    assert choice.actions.tolist() == [9, 0, 8]
    assert server.asked == [
        ([3, 1, 4], ALLOWED.tolist()),
        ([3, 4], ALLOWED[[0, 2]].tolist()),
    ]


@pytest.mark.parametrize("actions", [[9, 5, 8], [10, 4, 8], [-1, 4, 8]])
def test_an_answer_that_is_not_allowed_is_refused(actions):
    policy = make_masked(MaskedServer(answer(actions)))
    with pytest.raises(ProtocolError, match="not all of which are allowed"):
        policy.choose(observe(3, 1, 4), explore(False, False, False), ALLOWED)
