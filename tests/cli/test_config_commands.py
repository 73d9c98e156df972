"""`zdqn config show`: the resolved configuration as TOML, and where each value came from."""

import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from zdqn.cli.application import application
from zdqn.cli.config_commands import field_descriptions
from zdqn.config import Config, flatten, from_dict, load_config

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.toml"))


def show(*arguments):
    result = CliRunner().invoke(application, ["config", "show", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result.output


def test_there_are_configurations():
    names = {path.name for path in CONFIGS}
    assert names >= {
        "acrobot.toml", "apex.toml", "cartpole.toml", "lunarlander.toml", "seed-single.toml",
        "seed.toml",
    }  # fmt: skip


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
@pytest.mark.parametrize("options", [(), ("--describe",)])
def test_what_is_shown_is_the_configuration(path, options):
    assert from_dict(tomllib.loads(show(path, *options))) == load_config(path)


def test_origins(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("[replay]\ncapacity = 5000\n")
    lines = show(path, "--set", "run.seed=7").splitlines()
    origin = {line.split(" = ")[0]: line.rpartition("# ")[2] for line in lines if " = " in line}
    assert origin["capacity"] == str(path)
    assert origin["seed"] == "--set"
    assert origin["min_size"] == "default"


def test_sections_come_in_order_and_absent_values_are_named():
    lines = show(CONFIGS[0]).splitlines()
    sections = [line[1:-1] for line in lines if line.startswith("[")]
    assert sections == list(Config.__struct_fields__)
    assert any("max_episode_steps is absent" in line for line in lines)


def test_every_key_is_described():
    described = field_descriptions(Config())
    assert set(described) >= set(flatten(Config()))
    assert all(text.strip() for text in described.values())


def seed_config():
    return load_config(CONFIGS[0].parent / "seed.toml")


def test_the_seeds_hyperparameters():
    seed = seed_config()
    steps_per_update = seed.algorithm.batch_size / seed.replay.samples_per_insert
    assert steps_per_update == pytest.approx(10)
    assert seed.algorithm.target_update_period_updates * steps_per_update == pytest.approx(2000)
    assert (seed.replay.capacity, seed.algorithm.discount) == (2000, 0.99)
    assert (seed.network.hidden, seed.network.activation) == ((256, 64), "tanh")
    assert (seed.launch.collectors, seed.launch.evaluators) == (4, 4)
    assert (seed.evaluator.period_episodes, seed.evaluator.episodes) == (50, 30)
    assert (seed.collector.policy, seed.environment.id) == ("remote", "zdqn/SlowCartPole-v0")
    assert seed.stop.episodes == 10_000


def test_the_single_core_version_learns_the_same_way():
    seed, single = seed_config(), load_config(CONFIGS[0].parent / "seed-single.toml")
    assert single.algorithm == seed.algorithm
    assert single.network == seed.network
    assert single.replay == seed.replay
    assert single.exploration == seed.exploration
    assert single.environment.max_episode_steps == 200
