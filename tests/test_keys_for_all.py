"""`pytest --keys` does what it says: links have keys, roles their own, a stranger nothing."""

import pytest
import zmq

from tests.keys_for_all import KeysForAll
from tests.wire.links import receive_request, take
from zdqn.config import Config
from zdqn.roles import server_place
from zdqn.wire.request_sockets import PipelinedClient, Server
from zdqn.wire.sockets import Context

pytestmark = pytest.mark.own_keys


@pytest.fixture
def everything(tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        made = KeysForAll(tmp_path / "keys")
        made.put_on_everything(patch)
        yield made


def test_every_link_of_a_context_has_keys(everything, loopback):
    with Context() as context, zmq.Context() as foreign, foreign.socket(zmq.REQ) as stranger:
        server = Server(context, loopback)
        assert server._socket.mechanism == zmq.CURVE
        stranger.linger = 0
        stranger.connect(str(server.address))
        stranger.send(b"let me in")
        client = PipelinedClient(context, server.address)
        assert client.send(b"x")
        request = receive_request(server)
        assert request.body == b"x"
        server.reply(request, b"y")
        assert take(client) == b"y"
        assert server.receive() is None
        client.close(0)
        server.close(0)


@pytest.mark.parametrize("role", ["memory", "learner"])
def test_every_role_has_its_own(everything, role):
    chosen = server_place.choose_place(role, Config(), bind=None, insecure=False, keys=None)
    assert chosen.keys is not None
    assert chosen.keys.own.role == role
