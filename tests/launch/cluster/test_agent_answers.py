"""What an agent can be asked."""

from pathlib import Path

import pytest

from zdqn.errors import ProtocolError, RoleFailedError
from zdqn.launch.cluster.agent_answers import AgentAnswers, absolute_there


@pytest.fixture
def settled():
    return []


@pytest.fixture
def answers(settled):
    return AgentAnswers(lambda *chosen: settled.append(chosen), lambda max_restarts: None)


def test_only_what_is_known_is_answered(answers):
    assert set(answers.answer("who", {})) == {"zdqn", "python", "host", "user"}
    with pytest.raises(ProtocolError):
        answers.answer("__class__", {})


def test_a_place_is_chosen_before_anything_is_done_there(answers, settled, tmp_path):
    with pytest.raises(RoleFailedError):
        answers.answer("make_keys", {"roles": ["collector"]})
    where = {"directory": str(tmp_path / "run"), "host": "h", "silent_s": 7.0}
    there = answers.answer("settle", where)
    assert there["directory"] == str(tmp_path / "run")
    ((place, silent_s),) = settled
    assert (place.directory, silent_s) == (tmp_path / "run", 7.0)
    assert "collector" in answers.answer("make_keys", {"roles": ["collector"]})


def test_a_visit_changes_nothing(answers, settled, tmp_path):
    told = answers.answer("visit", {"directory": str(tmp_path), "host": "h"})
    assert (told["lives"], told["ends"], settled) == (False, {}, [])


def test_relative_paths_begin_at_home():
    assert absolute_there("zdqn-runs/x") == Path.home() / "zdqn-runs/x"
    assert absolute_there("~/x") == Path.home() / "x"
    assert absolute_there("/tmp/x") == Path("/tmp/x")
