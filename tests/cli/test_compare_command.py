"""`zdqn compare`: two runs as a table, or as JSON."""

import json
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from tests.experiments.made_runs import make_run
from zdqn.cli.application import application
from zdqn.cli.compare_command import aligned
from zdqn.config import Config
from zdqn.launch.lines import width_of


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_run(tmp_path / "one", [1, 10])
    make_run(tmp_path / "two", [1, 14], config=Config().replace("algorithm.double", True))


def test_the_table(runs):
    result = CliRunner().invoke(application, ["compare", "one", "two"])
    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[0] == ["one", "two"]
    assert ["algorithm.double", "false", "true"] in lines
    assert "last evaluation" in result.stdout
    assert "several of each" in result.stdout


def test_json(runs):
    result = CliRunner().invoke(application, ["compare", "one", "two", "--json"])
    values = json.loads(result.stdout)
    assert values["runs"] == ["one", "two"]
    assert values["configuration"] == {"algorithm.double": [False, True]}
    assert values["results"]["environment_steps"] == [200, 200]
    assert values["results"]["verdict"] == [None, None]
    one, two = values["results"]["last_evaluation"]
    (difference,) = values["results"]["second_less_first"]
    assert (one["mean"], two["mean"], difference["mean"]) == (10.0, 14.0, 4.0)
    assert difference["low"] < 4.0 < difference["high"]


def test_the_same(runs):
    result = CliRunner().invoke(application, ["compare", "one", "one"])
    assert "The configurations are the same." in result.stdout


def test_a_folder_without_a_run(runs):
    result = CliRunner().invoke(application, ["compare", "one", "three"])
    assert result.exit_code == 74


def test_cells_stand_below_each_other_and_long_ones_go_on_below():
    rows = [("key", "a", "b"), ("", "", ""), ("k", "long " * 6, "c"), ("longer key", "aaa", "")]
    assert aligned(rows, 36) == [
        "key         a                    b",
        "",
        "k           long long long long  c",
        "            long long",
        "longer key  aaa",
    ]


@given(
    st.lists(st.tuples(*[st.text("ab /-\u4e00", max_size=60)] * 3), min_size=1, max_size=6),
    st.integers(40, 140),
)
def test_no_line_is_wider_than_there_is_room_and_nothing_is_left_out(rows, width):
    lines = aligned(rows, width)
    assert all(width_of(line) <= width for line in lines)
    assert Counter("".join("".join(row) for row in rows).replace(" ", "")) == Counter(
        "".join(lines).replace(" ", "")
    )


@pytest.mark.parametrize("width", [None, 80, 120])
def test_it_fits_the_terminal_and_80_cells_elsewhere(runs, monkeypatch, width):
    monkeypatch.setattr("zdqn.launch.canvas.terminal_width", lambda _stream: width)
    names = ("runs/2026-11-29-120218-a-run-with-a-long-name", "two")
    verdict = "learner-bound: it computes 95 % of the time; collectors are held back by " * 2
    make_run(Path(names[0]), [1, 2], summary={"verdict": verdict})
    shown = CliRunner().invoke(application, ["compare", *names]).stdout
    table = shown.partition("In brackets")[0].splitlines()
    assert max(map(len, table)) <= (width or 80)
    bottleneck = next(line for line in table if line.startswith("bottleneck"))
    assert "learner-bound" in bottleneck
