"""`zdqn launch`, without ssh: what it prints, what it hands on, and how it ends."""

import shlex
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from zdqn.cli.application import application
from zdqn.launch.cluster.preflight import HostFinding

CLUSTER = """
[config.run]
seed = 3
[memory]
host = "m"
[learner]
host = "g"
[[collectors]]
hosts = ["c[1-2]"]
"""


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lab.toml").write_text(CLUSTER)
    return "lab.toml"


def invoke(*words):
    return CliRunner().invoke(application, ["launch", *words])


def test_a_dry_run_prints_commands_and_runs_none(cluster, tmp_path):
    result = invoke(cluster, "--dry-run")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[::2] == ["# m: memory", "# g: learner", "# c1: collector-0@c1",
                          "# c2: collector-0@c2"]  # fmt: skip
    assert shlex.split(lines[1])[0] == "ssh"
    assert invoke(cluster, "--dry-run", "--local").stdout.splitlines()[1].startswith("sh -c ")
    assert [path.name for path in tmp_path.iterdir()] == ["lab.toml"]


def test_a_check_prints_what_was_found_and_ends_with_the_first_that_is_bad(cluster, monkeypatch):
    found = [HostFinding("m", "good", "2 cores"), HostFinding("c1", "bad", "down", "Start it.", 69)]
    monkeypatch.setattr("zdqn.launch.cluster.cluster_entry.check", lambda plan, *, local: found)
    result = invoke(cluster, "--check")
    assert result.exit_code == 69
    assert result.stdout.splitlines() == [
        "ok   m   2 cores",
        "BAD  c1  down. Start it.",
        "2 things looked at: 1 would keep a run from working",
    ]
    found.pop()
    assert invoke(cluster, "--check").exit_code == 0


def test_what_is_asked_for_is_handed_on(cluster, monkeypatch):
    launched = []

    def launch(plan, options, *, stop):
        launched.append((plan, options))
        return SimpleNamespace(to_dict=dict)

    monkeypatch.setattr("zdqn.launch.cluster.cluster_entry.launch", launch)
    result = invoke(cluster, "--local", "--insecure", "--run-dir", "r", "--set", "run.seed=4", "-v")
    assert result.exit_code == 0
    ((plan, options),) = launched
    assert plan.config.run.seed == 4
    assert str(options.directory) == "r"
    assert (options.local, options.secure, options.resume, options.verbose) == (
        True, False, False, True,
    )  # fmt: skip
    invoke(cluster)
    assert launched[1][1].secure
    assert launched[1][0].config.run.seed == 3


def test_a_detached_run_is_left_with_words_of_how_to_find_it(cluster, monkeypatch):
    launched = []
    monkeypatch.setattr(
        "zdqn.launch.cluster.cluster_entry.launch_detached",
        lambda plan, options, *, stop: launched.append(options),
    )
    result = invoke(cluster, "--detach", "--run-dir", "r")
    assert result.exit_code == 0
    assert launched
    assert "`zdqn stop r` ends it" in result.output


def test_a_run_is_changed_by_its_folder(cluster, monkeypatch):
    changed = []

    def change(directory, kind, what, say):
        changed.append((str(directory), kind, what))
        return "done"

    monkeypatch.setattr("zdqn.launch.cluster.changes.change_run", change)
    assert invoke("--add", "collectors=8@h", "runs/x").stdout == "done\n"
    invoke("--remove", "h", "runs/x")
    assert changed == [("runs/x", "add", "collectors=8@h"), ("runs/x", "remove", "h")]


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        (CLUSTER.replace('"m"', "3"), 78, "memory.host is 3"),
        (CLUSTER.replace("seed = 3", "sed = 3"), 78, 'Did you mean "seed"'),
        (CLUSTER.replace("c[1-2]", "c[2-1]"), 78, "is no range"),
    ],
)
def test_a_mistake_is_one_paragraph(cluster, tmp_path, text, code, words):
    (tmp_path / "lab.toml").write_text(text)
    result = invoke(cluster)
    assert result.exit_code == code
    assert words in result.output
    assert "Traceback" not in result.output
    assert not (tmp_path / "runs").exists()


def test_a_file_that_is_not_there_is_named(cluster):
    result = invoke("no.toml")
    assert result.exit_code == 74
    assert "no.toml" in result.output


def test_only_a_launched_run_is_gone_on_with(cluster, tmp_path):
    result = invoke(cluster, "--resume", str(tmp_path))
    assert result.exit_code == 74
    assert "no run of `zdqn launch`" in result.output
