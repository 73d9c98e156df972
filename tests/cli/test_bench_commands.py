"""`zdqn bench`: each benchmark is a command with its own options, alone and as one of all."""

import inspect
import json
import signal
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from zdqn.benchmarks import bench_parity, page
from zdqn.benchmarks.bench_configs import ConfigurationRow
from zdqn.benchmarks.measuring import Effort, Figure, Result
from zdqn.cli.bench_commands import ALL, bench

EVERY = {"repeats", "seconds", "quick", "as_json"}
"""What each command takes."""


@pytest.fixture
def asked(monkeypatch):
    """What the benchmarks were asked for, by name."""
    options = {}

    def measure(name, effort, *, place="", **given):
        options[name] = given
        return Result([Figure(f"{name}.a", "s", (1.0,))])

    monkeypatch.setattr("zdqn.cli.bench_commands._measure", measure)
    return options


def own_options(command):
    return {parameter.name for parameter in bench.commands[command].params} - EVERY


@pytest.mark.parametrize("name", ALL)
def test_what_a_benchmark_takes_its_function_knows(name):
    measure = inspect.signature(import_module(f"zdqn.benchmarks.bench_{name}").measure)
    keywords = {
        parameter.name
        for parameter in measure.parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    assert own_options(name) <= keywords
    assert {parameter.name for parameter in bench.commands[name].params} >= EVERY


def test_all_takes_the_options_of_each_but_what_belongs_to_one():
    of_each = {option for name in ALL for option in own_options(name)}
    assert own_options("all") == of_each - {"config", "task", "lags"} | {"output"}


def test_the_tasks_of_parity_are_those_that_it_knows():
    (task,) = (option for option in bench.commands["parity"].params if option.name == "task")
    assert isinstance(task.type, click.Choice)
    assert set(task.type.choices) == {*bench_parity.TASKS, "both"}


@pytest.mark.parametrize(
    ("words", "given"),
    [
        (["scaling"], {"policy": "local"}),
        (["scaling", "--policy", "remote"], {"policy": "remote"}),
        (
            ["peers", "--reverb-python", "r"],
            {"sb3_python": "", "sbx_python": "", "reverb_python": "r"},
        ),
        (
            ["solve", "--seeds", "2", "--config", "c.toml"],
            {"seeds": 2, "config": Path("c.toml"), "sb3_python": ""},
        ),
        (["parity"], {"seeds": 5, "task": "both", "lags": False, "sb3_python": ""}),
        (
            ["parity", "--task", "pendulum", "--lags"],
            {"seeds": 5, "task": "pendulum", "lags": True, "sb3_python": ""},
        ),
    ],
)
def test_a_benchmark_is_given_its_own(asked, words, given):
    done = CliRunner().invoke(bench, words)
    assert done.exit_code == 0, done.output
    assert asked == {words[0]: given}


def test_all_hands_each_its_own(asked):
    words = "all --policy remote --seeds 3 --sb3-python s --sbx-python x --reverb-python r --json"
    done = CliRunner().invoke(bench, words.split())
    assert done.exit_code == 0, done.output
    assert {name: given for name, given in asked.items() if given} == {
        "scaling": {"policy": "remote"},
        "peers": {"sb3_python": "s", "sbx_python": "x", "reverb_python": "r"},
        "solve": {"seeds": 3, "sb3_python": "s"},
        "parity": {"seeds": 3, "sb3_python": "s"},
    }
    assert tuple(asked) == ALL


def test_a_benchmark_that_is_terminated_closes_what_it_started(monkeypatch):
    closed: list[str] = []

    def measure(effort, say):
        with ExitStack() as stack:
            stack.callback(closed.append, "closed")
            signal.raise_signal(signal.SIGTERM)
            raise AssertionError("it went on")

    monkeypatch.setattr("zdqn.benchmarks.bench_frames.measure", measure)
    before = signal.getsignal(signal.SIGTERM)
    result = CliRunner().invoke(bench, ["frames", "--quick"])
    assert result.exit_code == 128 + signal.SIGTERM
    assert closed == ["closed"]
    assert signal.getsignal(signal.SIGTERM) is before


def test_every_benchmark_is_a_command_has_a_title_and_is_part_of_all_but_configs():
    assert {*ALL, "all", "configs"} == set(bench.commands)
    assert set(ALL) == set(page._TITLES) == set(page._BOUNDS)
    for name in ALL:
        assert bench.commands[name].get_short_help_str(), name


@pytest.fixture
def configurations(monkeypatch):
    """What configurations were measured with; two rows come back."""
    asked = {}

    def measure(say, **options):
        asked.update(options)
        yield ConfigurationRow("one", "A-v0", None)
        yield ConfigurationRow("two", "B-v0", 7.0)

    monkeypatch.setattr("zdqn.benchmarks.bench_configs.measure", measure)
    return asked


def test_configurations_are_a_table(configurations, tmp_path):
    page_path = tmp_path / "page.md"
    words = [
        "configs",
        "--seeds",
        "2",
        "--limit-s",
        "9",
        "--config",
        "a.toml",
        "--config",
        "b.toml",
    ]
    done = CliRunner().invoke(bench, [*words, "--output", str(page_path)])
    assert done.exit_code == 0, done.output
    assert configurations == {
        "seeds": 2, "limit_s": 9.0, "configs": (Path("a.toml"), Path("b.toml")),
    }  # fmt: skip
    assert "| `two` | `B-v0` |" in done.stdout
    assert page_path.read_text() == done.stdout


def test_configurations_as_json(configurations):
    done = CliRunner().invoke(bench, ["configs", "--json"])
    assert done.exit_code == 0, done.output
    assert configurations == {"seeds": 3, "limit_s": 0.0, "configs": ()}
    assert json.loads(done.stdout)["two"]["goal"] == 7.0


def test_the_command_prints_json():
    done = CliRunner().invoke(bench, ["frames", "--quick", "--json"])
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout)
    assert figures["frames.blocks_of_32.wire"]["unit"] == "bytes/transition"


def test_all_writes_the_page(tmp_path, monkeypatch):
    asked = {}

    def measure(name, effort, **options):
        asked[name] = effort, options
        return Result([Figure(f"{name}.a", "s", (1.0,))])

    monkeypatch.setattr("zdqn.cli.bench_commands._measure", measure)
    path = tmp_path / "page.md"
    words = ["all", "--quick", "--repeats", "7", "--output", str(path), "--policy", "remote"]
    done = CliRunner().invoke(bench, words)
    assert done.exit_code == 0, done.output
    assert list(asked) == list(ALL)
    place = f", {ALL.index('scaling') + 1} of {len(ALL)}"
    assert asked["scaling"][1] == {"policy": "remote", "place": place}
    assert asked["frames"][0] == Effort(repeats=7, seconds=0.5, quick=True)
    text = path.read_text()
    assert all(f"{name}.a" in text for name in ALL)
