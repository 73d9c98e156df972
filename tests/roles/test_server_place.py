"""Where a server listens: this machine, or anywhere with keys, or because somebody insists."""

import pytest

from zdqn.config import Config
from zdqn.errors import ConfigError, NotAllowedError
from zdqn.roles.server_place import OPEN, THIS_MACHINE, WITH_KEYS, choose_place
from zdqn.wire.keys.key_folder import KeyFolder

pytestmark = pytest.mark.own_keys

EVERYWHERE = "tcp://0.0.0.0:0"


@pytest.fixture
def keys(tmp_path):
    KeyFolder(tmp_path / "keys").init()
    return tmp_path / "keys"


def place(role="memory", *overrides, bind=None, insecure=False, keys=None):
    config = Config().replace(dict(overrides)) if overrides else Config()
    return choose_place(role, config, bind=bind, insecure=insecure, keys=keys)


@pytest.mark.parametrize("role", ["memory", "learner"])
def test_loopback_is_the_default_and_needs_nothing(role, caplog):
    chosen = place(role)
    assert (str(chosen.address), chosen.keys) == (
        str(getattr(Config(), role).bind),
        None,
    )
    assert chosen.security == THIS_MACHINE
    assert caplog.messages == []


@pytest.mark.parametrize("role", ["memory", "learner"])
def test_other_machines_need_keys_or_somebody_who_insists(role, keys, caplog):
    with pytest.raises(ConfigError, match=r"--bind is .*zdqn keys init.*--insecure"):
        place(role, bind=EVERYWHERE)
    with pytest.raises(ConfigError, match=rf"{role}.bind is"):
        place(role, (f"{role}.bind", EVERYWHERE))
    assert place(role, bind=EVERYWHERE, keys=keys).security == WITH_KEYS
    assert caplog.messages == []
    assert place(role, bind=EVERYWHERE, insecure=True).security == OPEN
    assert "--insecure: whoever reaches" in caplog.messages[0]


def test_the_configuration_names_keys_and_an_argument_wins(keys, tmp_path):
    assert place("memory", ("security.keys", str(keys))).keys is not None
    assert place("memory", ("security.keys", str(keys)), keys="").keys is None
    with pytest.raises(NotAllowedError, match="nowhere"):
        place("memory", ("security.keys", str(keys)), keys=tmp_path / "nowhere")


def test_a_path_must_be_in_a_folder_of_ones_own(tmp_path, keys):
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o777)
    shared.chmod(0o777)
    with pytest.raises(ConfigError, match=r"other users .* can enter .*shared.*mkdir -m 700"):
        place(bind=f"ipc://{shared}/x")
    assert place(bind=f"ipc://{shared}/x", keys=keys).security == WITH_KEYS
    place(bind=f"ipc://{shared}/x", insecure=True)
    shared.chmod(0o700)
    assert place(bind=f"ipc://{shared}/x").security == THIS_MACHINE
