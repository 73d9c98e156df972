"""Finding a run's configuration: in its folder, or from its learner."""

from typing import Any

import pytest

from tests.wire.fake_server import PONG
from zdqn.config import Config, to_dict, to_toml
from zdqn.errors import MismatchError, NotAllowedError, PeerUnavailableError
from zdqn.experiments.dashboard.found_config import FoundConfig
from zdqn.records.run_files import RunFiles
from zdqn.wire.model_messages import Configuration
from zdqn.wire.protocol import ErrorReply, Refusal

CONFIG = Config().replace("replay.samples_per_insert", 8.0)


class Learner:
    """Tells a configuration, or raises what it is given, and counts who has asked."""

    def __init__(self, monkeypatch):
        self.says: dict[str, Any] | Exception = to_dict(CONFIG)
        self.asked = []
        monkeypatch.setattr("zdqn.wire.remote_control.fetch_configuration", self.fetch)

    def fetch(self, address, _timeout_s, keys=None):
        self.asked.append((address, keys))
        if isinstance(self.says, Exception):
            raise self.says
        return self.says


@pytest.fixture
def learner(monkeypatch):
    return Learner(monkeypatch)


def answers(run_id="r1", role="learner"):
    return {role: {"address": "tcp://l:1", "run": {"run_id": run_id}}}


def test_a_learner_is_asked_once_for_each_run(learner):
    found = FoundConfig(None)
    found.look({})
    assert (found.config, "Nobody has answered" in found.why) == (None, True)
    for _ in range(3):
        found.look(answers())
    assert (found.config, found.why) == (CONFIG, "")
    assert learner.asked == [("tcp://l:1", None)]
    found.look(answers("r2"))
    assert len(learner.asked) == 2


def test_who_does_not_answer_is_asked_again(learner):
    found = FoundConfig(None)
    learner.says = PeerUnavailableError("no answer")
    found.look(answers())
    assert found.why == "The configuration cannot be shown: no answer"
    learner.says = to_dict(CONFIG)
    found.look(answers())
    assert (found.config, found.why) == (CONFIG, "")


@pytest.mark.parametrize(
    "says", [MismatchError("unknown kind 40"), NotAllowedError("a key is wanted"), {"no": 1}]
)
def test_who_cannot_tell_it_is_not_asked_again_and_the_reason_is_said(learner, says):
    found = FoundConfig(None)
    learner.says = says
    for _ in range(2):
        found.look(answers())
    assert len(learner.asked) == 1
    assert found.config is None
    assert found.why.startswith("The configuration cannot be shown: ")
    assert (str(says) if isinstance(says, Exception) else "no") in found.why


def test_a_memory_is_not_asked_and_the_way_out_is_said(learner):
    found = FoundConfig(None)
    found.look(answers(role="memory"))
    assert learner.asked == []
    assert "Give the learner's address" in found.why


def test_the_folder_tells_it_and_nobody_is_asked(tmp_path, learner):
    found = FoundConfig(tmp_path)
    found.look({})
    assert "when training begins" in found.why
    RunFiles(tmp_path).config.write_text(to_toml(CONFIG))
    found.look(answers())
    assert (found.config, found.why, learner.asked) == (CONFIG, "", [])


@pytest.mark.parametrize("text", [None, "nonsense"])
def test_where_the_folder_has_none_that_can_be_read_the_learner_is_asked(tmp_path, learner, text):
    if text is not None:
        RunFiles(tmp_path).config.write_text(text)
    found = FoundConfig(tmp_path)
    for _ in range(2):
        found.look(answers())
    assert (found.config, found.why) == (CONFIG, "")
    assert len(learner.asked) == 1


def test_a_file_that_cannot_be_read_is_said_and_a_better_one_is_read(tmp_path, learner):
    path = RunFiles(tmp_path).config
    path.write_text("nonsense")
    found = FoundConfig(tmp_path)
    found.look({})
    assert found.why.startswith("The configuration cannot be shown: ")
    path.write_text(to_toml(CONFIG))
    found.look({})
    assert (found.config, found.why) == (CONFIG, "")
    path.write_text("nonsense again, of another length")
    found.look({})
    assert (found.config, found.why) == (CONFIG, "")  # it is still what the run trains with


def test_over_a_socket_it_is_what_the_learner_has(fake):
    server = fake(ConfigurationRequest=[Configuration(values=to_dict(CONFIG))])
    found = FoundConfig(None)
    found.look({"learner": {"address": str(server.address)}})
    assert found.config == CONFIG


@pytest.mark.parametrize(
    "answer", [PONG, ErrorReply(code=Refusal.PROTOCOL, message="unknown kind 40")]
)
def test_over_a_socket_who_answers_something_else_is_said(fake, answer):
    server = fake(ConfigurationRequest=[answer])
    found = FoundConfig(None)
    found.look({"learner": {"address": str(server.address)}})
    assert found.config is None
    assert found.why.startswith("The configuration cannot be shown: ")
