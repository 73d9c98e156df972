"""Shorthands of [sinks]: what they set, and what is set without them."""

import click
import pytest
from click.testing import CliRunner

from zdqn.cli.options import set_option
from zdqn.cli.sink_options import sink_options
from zdqn.config import SinksSection, load_config


@pytest.fixture
def sinks():
    """Give what a command's configuration has in [sinks] with these words."""

    def of(*words):
        taken = []

        @click.command()
        @set_option
        @click.option("--other", default="")
        @sink_options
        def command(overrides, other):
            taken.append((load_config(None, overrides).sinks, other))

        result = CliRunner().invoke(command, words)
        assert result.exit_code == 0, result.output
        ((section, other),) = taken
        assert other == ("kept" if "--other" in words else "")
        return section

    return of


@pytest.mark.parametrize(
    ("words", "section"),
    [
        ((), SinksSection()),
        (("--tensorboard",), SinksSection(tensorboard=True)),
        (("--csv", "--other", "kept"), SinksSection(csv=True)),
        (("--wandb",), SinksSection(wandb=True)),
        (("--mlflow", 'a "b" ü'), SinksSection(mlflow='a "b" ü')),
        (("--metrics-port", "9464"), SinksSection(prometheus="127.0.0.1:9464")),
        (("--metrics-port", "0"), SinksSection(prometheus="127.0.0.1:0")),
    ],
)
def test_each_sets_its_key_and_no_other(sinks, words, section):
    assert sinks(*words) == section


def test_they_win_over_set(sinks):
    words = (
        "--metrics-port",
        "1",
        "--set",
        "sinks.prometheus=127.0.0.1:2",
        "--set",
        "sinks.csv=true",
    )
    assert sinks(*words) == SinksSection(csv=True, prometheus="127.0.0.1:1")


@pytest.mark.parametrize("command", ["run", "train", "learner"])
def test_whoever_writes_a_runs_files_has_them(command):
    from zdqn.cli.application import application

    found = application.get_command(click.Context(application), command)
    assert found is not None
    flags = {flag for parameter in found.params for flag in parameter.opts}
    assert {"--tensorboard", "--csv", "--wandb", "--mlflow", "--metrics-port"} <= flags
