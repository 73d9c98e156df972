import pytest

from tests.wire.fake_server import PONG
from tests.wire.links import WAIT_S
from zdqn.errors import ConfigError, PeerUnavailableError, ProtocolError
from zdqn.wire import remote_control
from zdqn.wire.protocol import Acknowledged, Status, Stop


def test_status_and_stop_from_outside(fake):
    server = fake(StatusRequest=[Status(role="memory", values={"size": 3})], Stop=[Acknowledged()])
    assert remote_control.fetch_status(str(server.address), WAIT_S) == {"role": "memory", "size": 3}
    remote_control.request_stop(str(server.address), "a test", WAIT_S)
    assert server.heard[-1] == Stop(reason="a test")


def test_status_of_nobody_names_the_address(nobody):
    with pytest.raises(PeerUnavailableError, match=f"{nobody} within 0.05 s"):
        remote_control.fetch_status(str(nobody), 0.05)
    with pytest.raises(ConfigError, match="begin with tcp"):
        remote_control.fetch_status("memory", 1)


def test_an_answer_of_another_kind_is_refused(fake):
    server = fake(StatusRequest=[PONG])
    with pytest.raises(ProtocolError, match="expected STATUS, got PONG"):
        remote_control.fetch_status(str(server.address), WAIT_S)
