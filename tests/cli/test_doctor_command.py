"""`zdqn doctor`: what it prints, and how it ends."""

import json

import pytest
from click.testing import CliRunner

from zdqn.cli.application import application
from zdqn.doctor import Finding, Verdict
from zdqn.wire.keys.key_folder import KeyFolder

GOOD = Finding("disk", Verdict.GOOD, "large")
ODD = Finding("GPU", Verdict.ODD, "slow", "Buy one.")
BAD = Finding("memory", Verdict.BAD, "Is it up?", "Start it.", 69)
WORSE = Finding("port", Verdict.BAD, "taken", "", 73)


def invoke(monkeypatch, found, *words):
    asked = []

    def examine(config, *, say, **named):
        say("what there is")
        asked.append((config, named))
        return iter(found)

    monkeypatch.setattr("zdqn.doctor.examine", examine)
    return CliRunner().invoke(application, ["doctor", *words]), asked


def test_each_finding_is_a_line_with_its_remedy(monkeypatch):
    result, _ = invoke(monkeypatch, [GOOD, ODD, BAD, WORSE])
    assert result.stdout.splitlines() == [
        "ok   disk                 large",
        "look GPU                  slow. Buy one.",
        "BAD  memory               Is it up? Start it.",
        "BAD  port                 taken",
        "4 things looked at: 2 would keep a run from working, 1 to look at",
    ]
    assert result.exit_code == 69, "that of the first"


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([GOOD], "1 thing looked at: all are well"),
        ([GOOD, ODD], "2 things looked at: 1 to look at"),
    ],
)
def test_what_does_not_keep_a_run_from_working_ends_with_0(monkeypatch, found, said):
    result, _ = invoke(monkeypatch, found)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == said


def test_json_is_one_list(monkeypatch):
    result, _ = invoke(monkeypatch, [GOOD, WORSE], "--json")
    assert json.loads(result.stdout) == [
        {"subject": "disk", "verdict": "good", "text": "large", "remedy": "", "exit_code": 0},
        {"subject": "port", "verdict": "bad", "text": "taken", "remedy": "", "exit_code": 73},
    ]
    assert result.exit_code == 73


def test_what_is_named_is_passed_on(monkeypatch, tmp_path):
    path = tmp_path / "c.toml"
    path.write_text('[environment]\nid = "CartPole-v1"\n')
    words = [str(path), "--set", "run.seed=7", "--memory", "m", "--learner", "l"]
    _, [(config, named)] = invoke(monkeypatch, [], *words, "--run", str(tmp_path))
    assert config.run.seed == 7
    assert named == {"memory": "m", "learner": "l", "run_directory": tmp_path, "keys": None}
    _, [(config, named)] = invoke(monkeypatch, [])
    assert config is None
    assert named == {"memory": None, "learner": None, "run_directory": None, "keys": None}


def test_servers_are_asked_with_an_operators_key(monkeypatch, tmp_path):
    KeyFolder(tmp_path / "keys").init()
    _, [(_, named)] = invoke(monkeypatch, [], "--keys", str(tmp_path / "keys"))
    assert named["keys"].own.role == "operator"
    path = tmp_path / "c.toml"
    path.write_text(f'[security]\nkeys = "{tmp_path / "keys"}"\n')
    _, [(_, named)] = invoke(monkeypatch, [], str(path))
    assert named["keys"].own.role == "operator"


def test_a_mistake_in_the_configuration_is_one_paragraph(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text("nonsense = 1\n")
    result = CliRunner().invoke(application, ["doctor", str(path)])
    assert result.exit_code == 78
    assert "nonsense" in result.stderr
