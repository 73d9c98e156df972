import pytest

from zdqn.config import Config
from zdqn.doctor import examination

CARTPOLE = Config().replace("environment.id", "CartPole-v1")


@pytest.fixture
def looked(monkeypatch):
    """What was looked at, with what."""
    calls = []
    for name in ("examine_ports", "examine_server", "examine_run", "examine_disk"):

        def look(*arguments, name=name):
            calls.append((name, *arguments))
            return [] if name != "examine_disk" else None

        monkeypatch.setattr(examination, name, look)
    monkeypatch.setattr(examination, "examine_environment", lambda config: ([], None))
    return calls


def test_without_arguments_only_this_machine_is_looked_at(looked):
    list(examination.examine())
    assert [call[0] for call in looked] == ["examine_disk"]


def test_ports_are_looked_at_unless_servers_are_named(looked, tmp_path):
    list(examination.examine(CARTPOLE))
    assert ("examine_ports", CARTPOLE) in looked
    looked.clear()
    said: list[str] = []
    list(
        examination.examine(
            CARTPOLE, memory="m", learner="l", run_directory=tmp_path, say=said.append
        )
    )
    assert said == [
        "the software",
        "files and processors",
        "the environment, which is made and stepped",
        "memory and disk",
        "the memory at m",
        "the learner at l",
        f"the run in {tmp_path}",
    ]
    assert looked == [
        ("examine_disk", tmp_path),
        ("examine_server", "memory", "m", None),
        ("examine_server", "learner", "l", None),
        ("examine_run", tmp_path),
    ]
