import pytest

from tests.wire.fake_server import PONG
from tests.wire.links import WAIT_S
from zdqn.errors import ConfigError, MismatchError, PeerUnavailableError, ProtocolError
from zdqn.wire import remote_control
from zdqn.wire.model_messages import Configuration
from zdqn.wire.protocol import MOST_ECHO_BYTES, Acknowledged, ErrorReply, Refusal, Status, Stop


def test_status_and_stop_from_outside(fake):
    server = fake(StatusRequest=[Status(role="memory", values={"size": 3})], Stop=[Acknowledged()])
    assert remote_control.fetch_status(str(server.address), WAIT_S) == {"role": "memory", "size": 3}
    remote_control.request_stop(str(server.address), "a test", WAIT_S)
    assert server.heard[-1] == Stop(reason="a test")


def test_a_configuration_from_outside(fake, nobody):
    values = {"replay": {"capacity": 9}}
    server = fake(ConfigurationRequest=[Configuration(values=values)])
    assert remote_control.fetch_configuration(str(server.address), WAIT_S) == values
    with pytest.raises(PeerUnavailableError, match=f"{nobody} within 0.05 s"):
        remote_control.fetch_configuration(str(nobody), 0.05)
    older = fake(ConfigurationRequest=[ErrorReply(code=Refusal.PROTOCOL, message="kind 40?")])
    with pytest.raises(MismatchError, match="kind 40"):
        remote_control.fetch_configuration(str(older.address), WAIT_S)


def test_status_of_nobody_names_the_address(nobody):
    with pytest.raises(PeerUnavailableError, match=f"{nobody} within 0.05 s"):
        remote_control.fetch_status(str(nobody), 0.05)
    with pytest.raises(ConfigError, match="begin with tcp"):
        remote_control.fetch_status("memory", 1)


def test_one_that_is_there_and_busy_is_waited_for_if_one_likes(fake, monkeypatch):
    monkeypatch.setattr("zdqn.wire.diagnosis.PATIENCE_S", WAIT_S)
    status = Status(role="memory", values={})
    server = fake(StatusRequest=[None, status, None], Stop=[None, Acknowledged()])
    address = str(server.address)
    assert remote_control.fetch_status(address, 0.05, busy_s=WAIT_S) == {"role": "memory"}
    remote_control.request_stop(address, "a test", 0.05, busy_s=WAIT_S)
    with pytest.raises(PeerUnavailableError, match=r"within 0\.05 s: it takes connections"):
        remote_control.fetch_status(address, 0.05)
    with pytest.raises(PeerUnavailableError, match=r"within 0\.05 s: it takes connections"):
        remote_control.fetch_status(address, 0.05, busy_s=0.05)


def test_an_answer_of_another_kind_is_refused(fake):
    server = fake(StatusRequest=[PONG])
    with pytest.raises(ProtocolError, match="expected STATUS, got PONG"):
        remote_control.fetch_status(str(server.address), WAIT_S)


def test_a_link_is_measured_with_echoes(fake, monkeypatch):
    monkeypatch.setattr(remote_control, "_ROUND_TRIPS", 3)
    server = fake(Echo=[lambda header: header])
    speed = remote_control.measure_link(str(server.address), WAIT_S)
    assert len(speed.round_trips_s) == 3
    assert list(speed.round_trips_s) == sorted(speed.round_trips_s)
    assert speed.bytes_per_s > 0
    sizes = [header.nbytes for header in server.heard]
    assert sizes == [0] * 4 + [MOST_ECHO_BYTES] * (len(sizes) - 4)
    assert len(sizes) > 4


def test_a_link_to_nobody_or_to_who_refuses_is_not_measured(fake, nobody):
    with pytest.raises(PeerUnavailableError, match=f"{nobody} within 0.05 s"):
        remote_control.measure_link(str(nobody), 0.05)
    server = fake(Echo=[ErrorReply(code=Refusal.PROTOCOL, message="unknown kind 11")])
    with pytest.raises(MismatchError, match="unknown kind 11"):
        remote_control.measure_link(str(server.address), WAIT_S)
