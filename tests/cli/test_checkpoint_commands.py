"""`zdqn evaluate` and `zdqn play`: words into arguments, scores into text."""

import inspect
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from zdqn.cli import checkpoint_commands
from zdqn.cli.application import application
from zdqn.data import EvaluationScores
from zdqn.experiments import scoring

SCORES = EvaluationScores((1.0, 3.0), (10, 20))


@pytest.fixture
def invoke(monkeypatch):
    """Run a command without playing; give what would have been played, and what is printed."""

    def run(*words):
        calls = []

        def score(path, **options):
            calls.append((path, options))
            return SCORES

        def record(path, **options):
            return score(path, **options), options["video"] / "film.mp4"

        monkeypatch.setattr("zdqn.experiments.scoring.evaluate", score)
        monkeypatch.setattr("zdqn.experiments.scoring.play", record)
        result = CliRunner().invoke(application, list(words))
        assert result.exit_code == 0, result.output
        (call,) = calls
        return call, result.stdout

    return run


def test_evaluate(invoke):
    (path, options), printed = invoke("evaluate", "best.pt", "--episodes", "2", "--seed", "5")
    assert (path, options) == (Path("best.pt"), {"episodes": 2, "seed": 5})
    assert printed == "return 2 ± 1 over 2 episodes, from 1 to 3\n"


def test_evaluate_as_json(invoke):
    (_, options), printed = invoke("evaluate", "best.pt", "--json")
    assert options == {"episodes": 20, "seed": 0}
    assert json.loads(printed) == {
        "episodes": 2, "mean": 2.0, "deviation": 1.0, "minimum": 1.0, "maximum": 3.0,
        "returns": [1.0, 3.0], "lengths": [10, 20], "cut": 0,
    }  # fmt: skip


def test_evaluate_says_how_many_episodes_were_cut_off(invoke, monkeypatch):
    monkeypatch.setattr(f"{__name__}.SCORES", EvaluationScores((1.0, 3.0), (10, 20), 1))
    assert ", 1 of them cut off after 20 steps\n" in invoke("evaluate", "best.pt")[1]


@pytest.mark.parametrize("command", ["evaluate", "play"])
def test_the_commands_have_the_defaults_of_the_functions(command):
    parameters = getattr(checkpoint_commands, command).params
    options = {parameter.name: parameter.default for parameter in parameters}
    for name, parameter in inspect.signature(getattr(scoring, command)).parameters.items():
        if name in options and parameter.default is not parameter.empty:
            assert options[name] == parameter.default, name


def test_play(invoke, tmp_path):
    (path, options), printed = invoke("play", "best.pt", "--video", str(tmp_path))
    assert (path, options) == (Path("best.pt"), {"video": tmp_path, "seed": 0})
    assert printed == f"return 2 in 10 steps: {tmp_path / 'film.mp4'}\n"
