"""`zdqn compare`: two runs as a table, or as JSON."""

import json

import pytest
from click.testing import CliRunner

from tests.experiments.made_runs import make_run
from zdqn.cli.application import application
from zdqn.cli.compare_command import aligned
from zdqn.config import Config


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
    assert values["configuration"] == {"algorithm.double": ["false", "true"]}
    assert values["results"]["environment steps"] == ["200", "200"]


def test_the_same(runs):
    result = CliRunner().invoke(application, ["compare", "one", "one"])
    assert "The configurations are the same." in result.stdout


def test_a_folder_without_a_run(runs):
    result = CliRunner().invoke(application, ["compare", "one", "three"])
    assert result.exit_code == 74


def test_cells_stand_below_each_other_and_long_ones_by_themselves():
    assert aligned([("key", "a", "b"), ("k", "long" * 20, "c"), ("longer key", "aaa", "")]) == [
        "key         a    b",
        f"k           {'long' * 20}",
        "            c",
        "longer key  aaa",
    ]
