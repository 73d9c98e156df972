import socket

import pytest

from zdqn.errors import ConfigError
from zdqn.wire.addresses import Address, check_bind, check_resolves, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("tcp://127.0.0.1:5556", Address("tcp", "127.0.0.1", 5556)),
        ("tcp://lab-3.example.org:2", Address("tcp", "lab-3.example.org", 2)),
        ("tcp://node_7:65535", Address("tcp", "node_7", 65535)),
        ("tcp://[::1]:5556", Address("tcp", "::1", 5556)),
        ("tcp://[fe80::1%eth0]:5556", Address("tcp", "fe80::1%eth0", 5556)),
        ("ipc:///tmp/zdqn/memory", Address("ipc", path="/tmp/zdqn/memory")),
        ("ipc://relative", Address("ipc", path="relative")),
        ("ipc://" + "a" * 102, Address("ipc", path="a" * 102)),
    ],
)
@pytest.mark.parametrize("bind", [False, True])
def test_a_good_address_is_read_and_written_back(text, address, bind):
    assert parse_address(text, parameter="--memory", bind=bind) == address
    assert str(address) == text


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "begin with tcp:// or ipc://"),
        ("localhost", "begin with tcp:// or ipc://"),
        ("localhost:5556", "begin with tcp:// or ipc://"),
        ("tcp:/localhost:5556", "begin with tcp:// or ipc://"),
        ("TCP://localhost:5556", "begin with tcp:// or ipc://"),
        ("udp://localhost:5556", "begin with tcp:// or ipc://"),
        ("inproc://memory", "begin with tcp:// or ipc://"),
        ("http://localhost:5556", "begin with tcp:// or ipc://"),
        ("tcp://", "name a host and a port"),
        ("tcp://localhost", "name a host and a port"),
        ("tcp://:5556", "name a host and a port"),
        ("tcp://two words:5556", "name a host and a port"),
        ("tcp://host/path:5556", "name a host and a port"),
        ("tcp://eth0;host:5556", "name a host and a port"),
        ("tcp://user@host:5556", "name a host and a port"),
        ("tcp://*.org:5556", "name a host and a port"),
        ("tcp://localhost:", "the port must be a number"),
        ("tcp://localhost:http", "the port must be a number"),
        ("tcp://localhost:-1", "the port must be a number"),
        ("tcp://localhost:+1", "the port must be a number"),
        ("tcp://localhost:1.5", "the port must be a number"),
        ("tcp://localhost:65536", "the port must be a number"),
        ("tcp://localhost:99999", "the port must be a number"),
        ("tcp://localhost:" + "1" * 5000, "the port must be a number"),
        ("tcp://localhost:٣", "the port must be a number"),
        ("tcp://localhost:5556/", "the port must be a number"),
        ("tcp://localhost:*", "the port must be a number"),
        ("ipc://", "1 to 102 bytes"),
        ("ipc://" + "a" * 103, "1 to 102 bytes"),
        ("ipc://" + "ä" * 52, "1 to 102 bytes"),
        ("ipc://a\0b", "1 to 102 bytes"),
    ],
)
@pytest.mark.parametrize("bind", [False, True])
def test_a_bad_address_is_refused_naming_parameter_value_and_rule(text, rule, bind):
    with pytest.raises(ConfigError, match=rule) as refusal:
        parse_address(text, parameter="--memory", bind=bind)
    assert str(refusal.value).startswith(f'--memory is "{text}"; ')


def test_only_a_bound_address_may_leave_host_or_port_open():
    assert parse_address("tcp://*:0", parameter="--bind", bind=True) == Address(
        "tcp",
        "0.0.0.0",
        0,
    )
    with pytest.raises(ConfigError, match="from 2 to 65535"):
        parse_address("tcp://localhost:1", parameter="--bind", bind=True)  # the port below is 0
    with pytest.raises(ConfigError, match="from 2 to 65535, or 0 for a free one"):
        parse_address("tcp://localhost:x", parameter="--bind", bind=True)
    with pytest.raises(ConfigError, match=r"from 1 to 65535\."):
        parse_address("tcp://localhost:0", parameter="--memory")
    with pytest.raises(ConfigError, match="name a host"):
        parse_address("tcp://*:5556", parameter="--memory")


@pytest.mark.parametrize(
    ("text", "is_loopback"),
    [
        ("tcp://127.0.0.1:2", True),
        ("tcp://127.9.8.7:2", True),
        ("tcp://localhost:2", True),
        ("tcp://[::1]:2", True),
        ("ipc:///nowhere/x", True),
        ("tcp://*:2", False),
        ("tcp://0.0.0.0:2", False),
        ("tcp://[::]:2", False),
        ("tcp://10.0.0.5:2", False),
        ("tcp://eth0:2", False),
        ("tcp://localhost.example.org:2", False),
        ("tcp://127.0.0.1.example.org:2", False),
    ],
)
def test_what_other_machines_can_reach_needs_insecure(text, is_loopback):
    address = parse_address(text, parameter="--bind", bind=True)
    assert address.is_loopback is is_loopback
    check_bind(address, parameter="--bind", insecure=True)
    if is_loopback:
        check_bind(address, parameter="--bind", insecure=False)
    else:
        with pytest.raises(ConfigError, match=r"--bind is .*encryption.*--insecure"):
            check_bind(address, parameter="--bind", insecure=False)


def test_the_one_way_socket_is_a_port_below_or_beside_the_path():
    assert Address("tcp", "a", 5556).companion() == Address("tcp", "a", 5555)
    assert Address("tcp", "a", 2).companion() == Address("tcp", "a", 1)
    assert Address("ipc", path="/tmp/m").companion() == Address("ipc", path="/tmp/m.data")


def test_a_server_is_reached_through_the_host_that_was_dialled():
    told = Address("tcp", "0.0.0.0", 5555)
    assert told.reached_through(Address("tcp", "lab3", 9)) == Address("tcp", "lab3", 5555)
    path = Address("ipc", path="/tmp/m.data")
    assert path.reached_through(Address("ipc", path="/tmp/m")) == path


@pytest.mark.parametrize("host", ["nosuchhost.invalid", "a..b", "x" * 70 + ".org"])
def test_a_host_that_cannot_be_looked_up_is_refused(host):
    with pytest.raises(ConfigError, match=rf"--memory is tcp://{host}:5556.*cannot be looked up"):
        check_resolves(Address("tcp", host, 5556), parameter="--memory")


@pytest.mark.parametrize("text", ["tcp://127.0.0.1:2", "tcp://localhost:2", "ipc:///no/such"])
def test_a_host_that_can_be_looked_up_passes(text):
    check_resolves(parse_address(text, parameter="--memory"), parameter="--memory")


def test_names_are_looked_up_as_ipv4_since_libzmq_tries_one_answer_only(monkeypatch):
    families = []

    def look_up(host, port, family, kind):
        families.append(family)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    check_resolves(Address("tcp", "localhost", 1), parameter="--memory")
    check_resolves(Address("tcp", "::1", 1), parameter="--memory")
    assert families == [socket.AF_INET, socket.AF_INET6]
