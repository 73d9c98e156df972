"""`zdqn dashboard`, and `zdqn run --dashboard`."""

import signal
import threading
from contextlib import contextmanager

import pytest
from click.testing import CliRunner

from zdqn.cli import dashboard_command
from zdqn.cli.application import application
from zdqn.errors import ConfigError
from zdqn.records.endpoints import record_endpoints


class Shown:
    """What a dashboard was made with."""

    made: list["Shown"] = []  # noqa: RUF012 - one list for all
    has_token = False

    def __init__(self, target, directory, **given):
        self.target, self.directory, self.given = target, directory, given
        self.url, self.is_closed = "http://127.0.0.1:1/", False
        Shown.made.append(self)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.is_closed = True


@pytest.fixture
def made(monkeypatch):
    @contextmanager
    def stopped(*_):
        stop = threading.Event()
        stop.set()
        yield stop

    monkeypatch.setattr("zdqn.experiments.dashboard.server.Dashboard", Shown)
    monkeypatch.setattr(dashboard_command, "stop_on_signals", stopped)
    monkeypatch.setattr(Shown, "made", [])
    return Shown.made


@pytest.fixture
def opened(monkeypatch):
    urls: list[str] = []
    monkeypatch.setattr("zdqn.experiments.dashboard.server.open_browser", urls.append)
    return urls


def invoke(*arguments):
    return CliRunner().invoke(application, [str(argument) for argument in arguments])


def test_the_url_is_printed_and_a_browser_asked(made, opened, tmp_path):
    result = invoke(
        "dashboard", tmp_path, "--bind", "127.0.0.1:0", "--no-film", "--allow-code", "my_envs"
    )
    assert result.exit_code == 0
    assert "dashboard: http://127.0.0.1:1/" in result.stderr
    (shown,) = made
    assert (shown.directory, shown.is_closed) == (tmp_path, True)
    assert shown.given == {
        "bind": "127.0.0.1:0", "keys": None, "film": False, "allow_code": ("my_envs",)
    }  # fmt: skip
    assert opened == [shown.url]


def test_an_address_is_no_directory(made, opened):
    assert invoke("dashboard", "tcp://l:1").exit_code == 0
    assert (made[0].target, made[0].directory) == ("tcp://l:1", None)


def test_a_url_with_a_token_is_given_to_no_browser_unless_it_is_wanted(made, opened, monkeypatch):
    monkeypatch.setattr(Shown, "has_token", True)
    invoke("dashboard", "tcp://l:1")
    assert opened == []
    invoke("dashboard", "tcp://l:1", "--open")
    assert len(opened) == 1
    monkeypatch.setattr(Shown, "has_token", False)
    invoke("dashboard", "tcp://l:1", "--no-open")
    assert len(opened) == 1


def test_without_a_run_it_says_so(made, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    result = invoke("dashboard")
    assert result.exit_code == 2
    assert "There is no run under" in result.stderr
    assert made == []


def test_a_package_that_is_missing_is_named(monkeypatch, tmp_path):
    def refuse(*_, **__):
        raise ConfigError('The dashboard needs two packages: pip install "zdqn[dashboard]".')

    monkeypatch.setattr("zdqn.experiments.dashboard.server.Dashboard", refuse)
    result = invoke("dashboard", tmp_path)
    assert result.exit_code == 78
    assert "zdqn[dashboard]" in result.stderr


@pytest.mark.parametrize("wanted", [True, False])
def test_a_run_has_a_dashboard_beside_it_for_as_long_as_it_goes_on(
    made, opened, monkeypatch, tmp_path, wanted
):
    class Result:
        def to_dict(self):
            return {}

    def run(_config, **_given):
        assert [shown.is_closed for shown in made] == [False] * wanted
        return Result()

    monkeypatch.setattr("zdqn.launch.entry.run", run)
    config = tmp_path / "a.toml"
    config.write_text('[environment]\nid = "my_envs:make"\n')
    handlers = signal.getsignal(signal.SIGINT)
    flag = ["--dashboard"] if wanted else []
    result = invoke("run", config, "--run-dir", tmp_path / "run", *flag)
    assert result.exit_code == 0, result.output
    assert [(shown.directory, shown.is_closed) for shown in made] == [
        (tmp_path / "run", True)
    ] * wanted
    assert [shown.given["allow_code"] for shown in made] == [["my_envs"]] * wanted
    assert ("dashboard:" in result.stderr) == wanted
    assert signal.getsignal(signal.SIGINT) is handlers


def test_a_run_directory_gives_its_keys(made, opened, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr("zdqn.wire.keys.role_keys.open_keys", lambda *args: asked.append(args))
    record_endpoints(tmp_path, "learner", {"model": "tcp://l:1"})
    invoke("dashboard", tmp_path, "--keys", tmp_path / "keys")
    assert asked == [(tmp_path / "keys", "operator")]
