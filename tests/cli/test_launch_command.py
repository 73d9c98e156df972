"""`zdqn launch`, without ssh: what it prints, what it hands on, and how it ends."""

import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
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


# --- Kubernetes -----------------------------------------------------------------------------------

ON_KUBERNETES = f'{CLUSTER}\n[kubernetes]\nimage = "lab/zdqn:1"\n'


@pytest.fixture
def kubernetes(cluster, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    (tmp_path / "lab.toml").write_text(ON_KUBERNETES)
    return cluster


def read(text):
    return {(found["kind"], found["metadata"]["name"]): found for found in yaml.safe_load_all(text)}


def test_manifests_are_all_that_is_printed_and_printed_twice_they_are_the_same(
    kubernetes, tmp_path
):
    result = invoke(kubernetes, "--kubernetes", "--set", "run.seed=9")
    assert result.exit_code == 0, result.output
    found = read(result.stdout)
    assert found["Deployment", "lab-collectors"]["spec"]["replicas"] == 2
    assert "seed = 9" in found["ConfigMap", "lab-config"]["data"]["run.toml"]
    folder = tmp_path / "settings" / "zdqn" / "kubernetes" / "lab"
    assert str(folder) in result.stderr
    assert "memory.host" in result.stderr
    secret = (folder / "memory.secret").read_text()
    assert found["Secret", "lab-memory-keys"]["stringData"]["memory.secret"] == secret
    assert invoke(kubernetes, "--kubernetes", "--set", "run.seed=9").stdout == result.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lab.toml", "settings"]


def test_keys_may_be_kept_elsewhere_or_not_be(kubernetes, tmp_path):
    result = invoke(kubernetes, "--kubernetes", "--keys", "own")
    assert result.exit_code == 0, result.output
    secret = (tmp_path / "own" / "learner.secret").read_text()
    printed = read(result.stdout)["Secret", "lab-learner-keys"]["stringData"]
    assert printed["learner.secret"] == secret
    result = invoke(kubernetes, "--kubernetes", "--insecure")
    assert not [kind for kind, _ in read(result.stdout) if kind == "Secret"]
    assert not (tmp_path / "settings").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--kubernetes", "--local"], "--local"),
        (["--kubernetes", "--dry-run"], "--dry-run"),
        (["--kubernetes", "--run-dir", "r"], "--run-dir"),
        (["--kubernetes", "--resume", "r"], "--resume"),
        (["--kubernetes", "--detach"], "--detach"),
        (["--kubernetes", "--add", "collectors=1@h"], "--add"),
        (["--kubernetes", "--insecure", "--keys", "own"], "--insecure"),
        (["--keys", "own"], "makes keys of its own"),
    ],
)
def test_what_says_nothing_beside_it_is_refused(kubernetes, words, says):
    result = invoke(kubernetes, *words)
    assert result.exit_code == 2
    assert says in result.stderr
    assert not result.stdout


def test_a_mistake_in_its_section_is_one_paragraph_and_nothing_is_printed(kubernetes, tmp_path):
    for text, says in (
        (f"{ON_KUBERNETES}[kubernetes.learner]\ncpu = 2\n", "kubernetes.learner.cpu is 2"),
        (f"{ON_KUBERNETES}[kubernetes.memry]\n", 'no key "memry" in section [kubernetes]'),
        (f"{ON_KUBERNETES}[kubernetes.learner]\ngpu = 1\n", "section [kubernetes.learner]"),
        (f"{ON_KUBERNETES}learner = 3\n", "kubernetes.learner is 3"),
        (CLUSTER, "kubernetes.image is missing"),
    ):
        (tmp_path / "lab.toml").write_text(text)
        result = invoke(kubernetes, "--kubernetes")
        assert result.exit_code == 78
        assert says in result.stderr
        assert not result.stdout
    assert not (tmp_path / "settings").exists()


def test_the_file_of_a_lab_that_is_shown_is_planned_both_ways(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    lab = str(Path(__file__).parents[2] / "configs" / "clusters" / "lab.toml")
    dry = invoke(lab, "--dry-run")
    assert dry.exit_code == 0, dry.output
    assert [line for line in dry.stdout.splitlines() if line.startswith("#")] == [
        "# alpha: memory",
        "# beta: learner, evaluator-0@beta",
        "# gamma1: collector-0@gamma1, collector-1@gamma1, collector-2@gamma1, collector-3@gamma1",
        "# gamma2: collector-0@gamma2, collector-1@gamma2, collector-2@gamma2, collector-3@gamma2",
    ]
    printed = invoke(lab, "--kubernetes")
    assert printed.exit_code == 0, printed.output
    found = read(printed.stdout)
    assert found["Deployment", "lab-collectors"]["spec"]["replicas"] == 8
    assert found["Deployment", "lab-evaluators"]["spec"]["replicas"] == 1
