"""What several commands make of the words that they share."""

import pytest

from zdqn.cli.options import client_config, server_address
from zdqn.errors import UsageError


@pytest.mark.parametrize(
    ("bind", "address"),
    [
        ("tcp://127.0.0.1:5", "tcp://127.0.0.1:5"),
        ("tcp://0.0.0.0:5", "tcp://127.0.0.1:5"),
        ("tcp://*:5", "tcp://127.0.0.1:5"),
        ("tcp://[::]:5", "tcp://[::1]:5"),
        ("ipc:///tmp/x", "ipc:///tmp/x"),
    ],
)
def test_where_a_client_looks_for_a_server(bind, address):
    assert server_address(None, bind, server="memory") == address
    assert server_address("tcp://a:1", bind, server="memory") == "tcp://a:1"


def test_a_port_that_is_chosen_later_cannot_be_guessed():
    with pytest.raises(UsageError, match="--memory"):
        server_address(None, "tcp://127.0.0.1:0", server="memory")


def test_a_client_without_a_file_has_no_configuration_and_nothing_to_change_in_it(tmp_path):
    assert client_config(None, ()) is None
    with pytest.raises(UsageError, match=r'--set "run.seed=5" needs a CONFIG file'):
        client_config(None, ("run.seed=5",))
    path = tmp_path / "tiny.toml"
    path.write_text("")
    config = client_config(path, ("run.seed=5",))
    assert config is not None
    assert config.run.seed == 5
