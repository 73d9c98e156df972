"""Every mistake ends in one paragraph and a documented exit code, without a traceback."""

import logging
import socket

import click
import pytest
from click.testing import CliRunner

from zdqn import errors
from zdqn.cli.application import application


def invoke(*arguments):
    return CliRunner().invoke(application, [str(argument) for argument in arguments])


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text('[environment]\nid = "CartPole-v1"\n')
    return path


@pytest.fixture(autouse=True)
def _quiet_logger():
    yield
    logger = logging.getLogger("zdqn")
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)


def assert_one_paragraph(result, exit_code, *words):
    assert result.exit_code == exit_code, result.output
    assert result.stderr.startswith("error: ")
    assert "\n\n" not in result.stderr.strip()
    assert "Traceback" not in result.output
    for word in words:
        assert word in result.stderr


def test_unknown_key(config):
    result = invoke("memory", config, "--set", "replay.capacty=5")
    assert_one_paragraph(result, 78, "capacty", '"capacity"')


def test_value_out_of_range(config):
    result = invoke("run", config, "--set", "algorithm.discount=1.5")
    assert_one_paragraph(result, 78, "algorithm.discount", "1.5", "<= 1")


def test_configuration_that_is_not_there(tmp_path):
    assert_one_paragraph(invoke("train", tmp_path / "no.toml"), 74, "no.toml")


@pytest.mark.parametrize("address", ["127.0.0.1:5556", "tcp://127.0.0.1", "tcp://127.0.0.1:99999"])
def test_mistyped_address(config, address):
    assert_one_paragraph(invoke("memory", config, "--bind", address), 78, address, "--bind")


def test_address_that_other_machines_reach(config):
    result = invoke("memory", config, "--bind", "tcp://0.0.0.0:0")
    assert_one_paragraph(result, 78, "--insecure")


def test_port_in_use(config):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        assert_one_paragraph(invoke("memory", config, "--bind", address), 73, address, "port 0")


def test_overrides_without_a_configuration():
    result = invoke("collector", "--set", "collector.environments=2")
    assert_one_paragraph(result, 2, "collector.environments=2", "CONFIG")


def test_a_server_port_left_open_must_be_given(config):
    result = invoke("learner", config, "--set", "memory.bind=tcp://127.0.0.1:0")
    assert_one_paragraph(result, 2, "--memory")


@pytest.mark.parametrize("arguments", [["bogus"], ["run"], ["run", "x.toml", "--collectors", "0"]])
def test_usage(arguments):
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("Usage: zdqn")


@pytest.fixture
def failing(monkeypatch):
    """Make `zdqn stop` raise what a test wants."""

    def fail_with(error):
        def body(**_):
            raise error

        monkeypatch.setattr("zdqn.cli.status_commands.stop.callback", body)

    return fail_with


@pytest.mark.parametrize(
    "kind",
    [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.ZdqnError)
    ],
)
def test_every_error_ends_with_its_own_exit_code(failing, kind):
    failing(kind("This is why."))
    assert_one_paragraph(invoke("stop"), kind.exit_code, "This is why.")


def test_a_fault_of_zdqn_leaves_its_traceback_in_a_file(failing, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    failing(KeyError("lost"))
    result = invoke("stop")
    assert_one_paragraph(result, 70, "KeyError", "lost", str(tmp_path))
    (file,) = tmp_path.iterdir()
    assert "Traceback" in file.read_text()


def test_an_os_error_is_explained_too(failing, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    failing(PermissionError(13, "Permission denied"))
    assert_one_paragraph(invoke("stop"), 70, "Permission denied")


def test_ctrl_c_is_quiet(failing):
    failing(KeyboardInterrupt())
    result = invoke("stop")
    assert (result.exit_code, result.output.strip()) == (130, "")


def test_clicks_own_errors_stay_its_own(failing):
    failing(click.UsageError("odd"))
    assert invoke("stop").exit_code == 2


def test_help_has_every_command_once_in_its_group():
    result = invoke("--help")
    assert result.exit_code == 0, result.output
    blocks = [block.splitlines() for block in result.output.split("\n\n")]
    groups = {block[0].strip(): [line.split()[0] for line in block[1:]] for block in blocks}
    assert groups["Training:"] == ["run", "train", "launch", "chaos"]
    assert groups["Studies of several runs:"] == ["study", "ablate", "scale"]
    titles = list(groups)
    listed = [name for title in titles[titles.index("Training:") :] for name in groups[title]]
    assert listed == application.list_commands(click.Context(application))
    assert len(set(listed)) == len(listed)
    assert max(map(len, result.output.splitlines())) <= 80


def commands_of(group, context, path=()):
    """Give each command with the groups that it is in, and the column in which its help begins."""
    names = group.list_commands(context)
    for name in names:
        command = group.get_command(context, name)
        yield (*path, name), command, 2 + max(map(len, names)) + 2
        if isinstance(command, click.Group):
            inner = click.Context(command, info_name=name, parent=context)
            yield from commands_of(command, inner, (*path, name))


ROOT = click.Context(application, info_name="zdqn")
COMMANDS = [
    pytest.param(command, column, id=" ".join(path))
    for path, command, column in commands_of(application, ROOT)
]


def test_all_commands_are_looked_at():
    names = {str(param.id) for param in COMMANDS}
    assert {"run", "import", "config show", "keys init", "bench all"} <= names


@pytest.mark.parametrize(("command", "column"), COMMANDS)
def test_the_short_help_of_every_command_fits_its_line_at_80_columns(command, column):
    whole = command.get_short_help_str(limit=1_000)
    assert len(whole) > 10
    assert command.get_short_help_str(limit=78 - column) == whole


def test_no_help_is_cut_short():
    assert "..." not in invoke("--help").output.partition("Options:")[2]
