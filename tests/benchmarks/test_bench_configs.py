"""What the configurations reach: run as their first lines say, and written as a table."""

import json

import pytest

from tests.benchmarks.tiny import quiet
from zdqn.benchmarks import bench_configs
from zdqn.benchmarks.bench_configs import COLUMNS, FOLDER, ConfigurationRow, RunOutcome
from zdqn.config import load_config
from zdqn.errors import ConfigError, FileError

PAGE = FOLDER.parent / "docs" / "configurations.md"
TINY = """# A toy: `zdqn {command} configs/{name}.toml`.
[stop]
updates = 20
{stop}
[network]
hidden = [8]
[replay]
min_size = 64
samples_per_insert = 8.0
[evaluator]
episodes = 1
environments = 1
period_updates = 10
[launch]
collectors = 1
"""


def write(folder, name, command="run", stop=""):
    path = folder / f"{name}.toml"
    path.write_text(TINY.format(command=command, name=name, stop=stop))
    return path


def outcome(**changes):
    values = {"wall_s": 10.0, "environment_steps": 1000, "best": 480.0, "again": 450.0,
              "final": 470.0, "ended_by": "goal"}  # fmt: skip
    return RunOutcome(**{**values, **changes})


@pytest.mark.slow
@pytest.mark.parametrize("command", ["run", "train"])
def test_a_configuration_is_run_to_its_end(command, tmp_path):
    path = write(tmp_path, "toy", command)
    (row,) = bench_configs.measure(quiet, seeds=2, configs=[path])
    assert (row.name, row.environment, row.goal) == ("toy", "CartPole-v1", None)
    assert [run.ended_by for run in row.outcomes] == ["20 updates"] * 2
    for run in row.outcomes:
        assert run.best is not None
        assert run.final is not None
        assert run.wall_s > 0
        assert run.environment_steps >= 64


@pytest.fixture
def started(monkeypatch):
    """What was started, in the place of runs, which end as `ending` says."""
    commands = []

    def run_to_end(command, log, timeout_s):
        commands.append((command[command.index("zdqn") + 1 :], timeout_s))
        return 12.0

    ending = {"environment_steps": 500, "best_evaluation_return": None,
              "best_rescored_return": None, "final_evaluation_return": None,
              "stop_reason": "wall_s"}  # fmt: skip
    monkeypatch.setattr(bench_configs, "run_to_end", run_to_end)
    monkeypatch.setattr(bench_configs, "read_summary", lambda _: ending)
    return commands, ending


def test_each_seed_is_run_as_the_header_says_within_the_limit(started, tmp_path):
    commands, _ = started
    paths = [write(tmp_path, "one", "run"), write(tmp_path, "two", "train")]
    said: list[str] = []
    rows = list(bench_configs.measure(said.append, seeds=2, limit_s=30, configs=paths))
    assert said == [
        f"configs: {name}, {place} of 2, seed {seed}"
        for place, name in ((1, "one"), (2, "two"))
        for seed in (0, 1)
    ]
    words = [command for command, _ in commands]
    assert [command[:4] for command in words] == [
        [kind, str(path), "--seed", seed]
        for kind, path in zip(("run", "train"), paths, strict=True)
        for seed in ("0", "1")
    ]
    assert all(command[-2:] == ["--set", "stop.wall_s=30"] for command in words)
    assert all(timeout_s > 30 for _, timeout_s in commands)
    assert [run.ended_by for run in rows[0].outcomes] == ["**limit of 30 s**"] * 2


def test_without_a_limit_nothing_is_set(started, tmp_path):
    commands, ending = started
    ending["stop_reason"] = "updates"
    (row,) = bench_configs.measure(quiet, seeds=1, configs=[write(tmp_path, "one")])
    assert "--set" not in commands[0][0]
    assert row.outcomes[0].ended_by == "20 updates"


def test_an_own_limit_that_is_nearer_stays(started, tmp_path):
    commands, _ = started
    path = write(tmp_path, "one", stop="wall_s = 20.0")
    (row,) = bench_configs.measure(quiet, seeds=1, limit_s=30, configs=[path])
    assert "--set" not in commands[0][0]
    assert row.outcomes[0].ended_by == "20.0 wall s"


def test_what_wants_a_missing_extra_is_left_out_with_the_reason(started, tmp_path, monkeypatch):
    commands, _ = started

    def build_environments(*_, **__):
        raise ConfigError('it needs a package. Install it: pip install "zdqn[box2d]".')

    monkeypatch.setattr("zdqn.roles.building.build_environments", build_environments)
    (row,) = bench_configs.measure(quiet, configs=[write(tmp_path, "one")])
    assert not commands
    assert not row.outcomes
    cells = dict(zip(COLUMNS, row.cells("2031-02-03"), strict=True))
    assert "zdqn[box2d]" in cells["ended by"]
    assert cells["seeds"] == "0"


def test_an_environment_that_cannot_be_made_is_no_missing_extra(tmp_path):
    config = load_config(None, ("environment.id=CartPoole-v1",))
    with pytest.raises(ConfigError, match="CartPole-v1"):
        bench_configs.missing_extra(config)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.toml")), ids=lambda path: path.stem)
def test_every_configuration_says_how_it_is_run(path):
    expected = "train" if path.stem == "seed-single" else "run"
    assert bench_configs.command_of(path) == expected


@pytest.mark.parametrize(
    "text",
    ["", "[stop]\n# `zdqn run configs/mine.toml`\n", "# `zdqn run configs/other.toml`\n"],
    ids=["empty", "below the first lines", "another's"],
)
def test_one_that_does_not_say_it_is_refused(text, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"zdqn train configs/mine\.toml"):
        list(bench_configs.measure(quiet, configs=[path]))


def test_no_configurations_at_all(tmp_path, monkeypatch):
    monkeypatch.setattr(bench_configs, "FOLDER", tmp_path)
    with pytest.raises(FileError, match="--config"):
        list(bench_configs.measure(quiet))
    with pytest.raises(FileError, match="Cannot read"):
        bench_configs.command_of(tmp_path / "none.toml")


def cells_of(row):
    return dict(zip(COLUMNS, row.cells("2031-02-03"), strict=True))


def test_a_row_has_means_with_the_least_and_the_greatest_and_counts_what_was_reached():
    runs = (outcome(), outcome(best=300.0, final=100.0, ended_by="9 updates"), outcome(best=475.0))
    cells = cells_of(ConfigurationRow("toy", "CartPole-v1", 475.0, runs))
    assert cells["configuration"] == "`toy`"
    assert cells["seeds"] == "3"
    assert cells["best evaluation"] == "418 (300 to 480)"
    assert cells["final evaluation"] == "347 (100 to 470)"
    assert cells["reached"] == "2 of 3"
    assert cells["ended by"] == "2 x goal, 1 x 9 updates"
    assert cells["measured"] == "2031-02-03"


def test_a_row_without_a_goal_or_an_evaluation_says_so():
    cells = cells_of(
        ConfigurationRow("toy", "CartPole-v1", None, (outcome(best=None, again=None),))
    )
    assert (cells["goal"], cells["reached"], cells["best evaluation"]) == ("-", "-", "-")
    assert cells["wall time, s"] == "10.0"


def test_a_mean_says_of_how_many_seeds_it_is_where_some_have_no_number():
    cells = cells_of(
        ConfigurationRow("toy", "CartPole-v1", None, (outcome(again=None), outcome(again=7.0)))
    )
    assert cells["the same network again"] == "7.00 in 1 of 2"


def test_the_page_keeps_rows_of_what_was_not_measured_again(tmp_path):
    path = tmp_path / "docs" / "page.md"
    first = [
        ConfigurationRow("b", "B-v0", None, (outcome(),)),
        ConfigurationRow("c", "C-v0", None, (outcome(),)),
    ]
    bench_configs.write_page(path, first)
    kept = next(line for line in path.read_text().splitlines() if line.startswith("| `c`"))
    changed = [
        ConfigurationRow("a", "A-v0", None),
        ConfigurationRow("b", "B-v0", None, (outcome(best=-7.0),)),
    ]
    bench_configs.write_page(path, changed)
    lines = path.read_text().splitlines()
    rows = [line for line in lines if line.startswith("| `")]
    assert [line[3] for line in rows] == ["a", "b", "c"]
    assert "-7.00" in rows[1]
    assert rows[2] == kept


def test_a_page_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="Cannot write"):
        bench_configs.write_page(tmp_path / "file" / "page.md", [])


def test_rows_as_json():
    values = json.loads(bench_configs.to_json([ConfigurationRow("a", "A-v0", 3.0, (outcome(),))]))
    assert values["a"]["goal"] == 3.0
    assert values["a"]["outcomes"][0]["ended_by"] == "goal"


def test_every_configuration_has_a_row_in_the_documentation():
    shipped = {path.stem: load_config(path) for path in FOLDER.glob("*.toml")}
    rows = bench_configs._rows_of(PAGE.read_text(encoding="utf-8"))
    assert set(rows) == {f"`{name}`" for name in shipped}
    for name, config in shipped.items():
        cells = dict(zip(COLUMNS, rows[f"`{name}`"], strict=True))
        goal = config.stop.evaluation_return
        assert cells["environment"] == f"`{config.environment.id}`", name
        assert cells["goal"] == ("-" if goal is None else f"{goal:g}"), name
