"""`zdqn evaluate` and `zdqn play`: words into arguments, scores into text."""

import inspect
import json
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from zdqn.cli import checkpoint_commands
from zdqn.cli.application import application
from zdqn.data import EvaluationScores
from zdqn.experiments import scoring, showing
from zdqn.experiments.exporting import Exported

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
        monkeypatch.setattr("zdqn.experiments.showing.play", record)
        monkeypatch.setattr("zdqn.experiments.showing.show", score)
        result = CliRunner().invoke(application, list(words))
        assert result.exit_code == 0, result.output
        (call,) = calls
        return call, result.stdout

    return run


def told_of(options):
    """Give what was asked for; what is told of the progress is a function."""
    return {name: value for name, value in options.items() if not callable(value)}


def test_evaluate(invoke):
    (path, options), printed = invoke(
        "evaluate", "best.pt", "--episodes", "2", "--seed", "5", "--seeds", "3"
    )
    assert told_of(options) == {"episodes": 2, "seed": 5, "seeds": 3, "environment": None}
    assert path == Path("best.pt")
    assert printed == (
        "return 2 ± 1 over 2 episodes, from 1 to 3\n"
        "mean from 1 to 3 with 95 % confidence (bootstrap, n = 2 episodes of 3 seeds)\n"
    )


def test_of_one_episode_there_is_no_interval(invoke, monkeypatch):
    monkeypatch.setattr(f"{__name__}.SCORES", EvaluationScores((1.0,), (10,)))
    _, printed = invoke("evaluate", "best.pt", "--episodes", "1")
    assert printed == "return 1 ± 0 over 1 episodes, from 1 to 1\n"
    _, printed = invoke("evaluate", "best.pt", "--episodes", "1", "--json")
    assert json.loads(printed)["interval"] is None


def test_evaluate_as_json(invoke):
    (_, options), printed = invoke("evaluate", "best.pt", "--json")
    assert told_of(options) == {"episodes": 20, "seed": 0, "seeds": 1, "environment": None}
    assert json.loads(printed) == {
        "episodes": 2, "mean": 2.0, "deviation": 1.0, "minimum": 1.0, "maximum": 3.0,
        "returns": [1.0, 3.0], "lengths": [10, 20], "cut": 0, "seeds": 1, "confidence": 0.95,
        "interval": [1.0, 3.0],
    }  # fmt: skip


def test_evaluate_in_several_environments(monkeypatch):
    told: list[int] = []
    played = []

    def score(path, *, environment, on_episode, **_):
        played.append(environment)
        on_episode(3)
        return SCORES

    @contextmanager
    def shown(words, total, unit):
        assert (words, total, unit) == ("evaluating", 12, "episodes")
        yield told.append

    monkeypatch.setattr("zdqn.experiments.scoring.evaluate", score)
    monkeypatch.setattr("zdqn.launch.waiting.shown_progress", shown)
    words = ["evaluate", "best.pt", "--episodes", "3", "--seeds", "2",
             "--environment", "A-v1", "--environment", "B-v2"]  # fmt: skip
    printed = CliRunner().invoke(application, words).stdout.splitlines()
    assert (played, told) == (["A-v1", "B-v2"], [3, 9])
    assert printed[0] == "A-v1:"
    assert printed[3] == "B-v2:"
    assert printed[1:3] == printed[4:]
    as_json = json.loads(CliRunner().invoke(application, [*words, "--json"]).stdout)
    assert [one["environment"] for one in as_json["environments"]] == ["A-v1", "B-v2"]
    assert [one["mean"] for one in as_json["environments"]] == [2.0, 2.0]


def test_evaluate_says_how_many_episodes_were_cut_off(invoke, monkeypatch):
    monkeypatch.setattr(f"{__name__}.SCORES", EvaluationScores((1.0, 3.0), (10, 20), 1))
    assert ", 1 of them cut off after 20 steps\n" in invoke("evaluate", "best.pt")[1]


@pytest.mark.parametrize(
    ("command", "function"),
    [("evaluate", scoring.evaluate), ("play", showing.play), ("play", showing.show)],
)
def test_the_commands_have_the_defaults_of_the_functions(command, function):
    parameters = getattr(checkpoint_commands, command).params
    options = {parameter.name: parameter.default for parameter in parameters}
    for name, parameter in inspect.signature(function).parameters.items():
        if name in options and parameter.default is not parameter.empty:
            assert options[name] == parameter.default, name


def test_play(invoke, tmp_path):
    (path, options), printed = invoke("play", "best.pt", "--video", str(tmp_path))
    assert (path, told_of(options)) == (Path("best.pt"), {"video": tmp_path, "seed": 0})
    assert printed == f"return 2 in 10 steps: {tmp_path / 'film.mp4'}\n"


def test_play_in_a_window(invoke):
    (path, options), printed = invoke("play", "best.pt", "--episodes", "2", "--seed", "3")
    assert (path, told_of(options)) == (Path("best.pt"), {"episodes": 2, "seed": 3})
    assert printed == "episode 0: return 1 in 10 steps\nepisode 1: return 3 in 20 steps\n"


def test_a_film_is_of_one_episode():
    result = CliRunner().invoke(application, ["play", "b.pt", "--video", "x", "--episodes", "2"])
    assert result.exit_code == 2
    assert "--episodes is 2, but a film is of one" in result.output


def test_export_writes_what_is_asked_for_and_says_what_was_compared(monkeypatch):
    calls = []

    def write(checkpoint, file, **options):
        options["on_observation"](7)
        calls.append((checkpoint, file, told_of(options)))
        return Exported(file, options["observations"], 1.5e-7)

    monkeypatch.setattr("zdqn.experiments.exporting.export", write)
    words = ["export", "best.pt", "--onnx", "a.onnx", "--safetensors", "b.safetensors",
             "--torchscript", "c.torchscript"]  # fmt: skip
    result = CliRunner().invoke(application, [*words, "--observations", "2000", "--seed", "3"])
    assert result.exit_code == 0, result.output
    options = {"observations": 2000, "seed": 3}
    assert calls == [
        (Path("best.pt"), Path("a.onnx"), options),
        (Path("best.pt"), Path("b.safetensors"), options),
        (Path("best.pt"), Path("c.torchscript"), options),
    ]
    assert result.stdout.splitlines()[0] == (
        "a.onnx: the same actions for 2,000 of 2,000 observations, values within 1.5e-07"
    )


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ((), "--onnx FILE, --safetensors FILE or --torchscript FILE"),
        (("--onnx", "a.safetensors"), "--onnx is a.safetensors"),
        (("--torchscript", "a.pt"), "--torchscript is a.pt; its name must end in .torchscript"),
    ],
)
def test_export_wants_a_file_of_the_right_name(words, named):
    result = CliRunner().invoke(application, ["export", "best.pt", *words])
    assert result.exit_code == 2
    assert named in result.stderr


def test_it_says_of_torchscript_that_it_is_deprecated():
    result = CliRunner().invoke(application, ["export", "--help"])
    said = " ".join(result.output.split())
    assert "PyTorch deprecates it, and ONNX is the format that lasts" in said
