"""`zdqn launch` on two hosts with an sshd each: what a person types, and what is left behind."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.network.cable import ADDRESSES
from tests.network.ssh_laboratory import SshLaboratory, make_key

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
DEADLINE_S = 60.0
ODD = "a lab's $(touch pwned) `touch pwned`; folder"
"""A name in which a shell would do something, if anybody forgot to quote it."""

CLUSTER = """\
[config.environment]
id = "CartPole-v1"
[config.stop]
environment_steps = {steps}
[config.replay]
capacity = 10_000
min_size = 500
samples_per_insert = 1.0
[config.learner]
compile = false
checkpoint_period_updates = 100
[config.evaluator]
period_environment_steps = {period}
episodes = 2

[ssh]
config = "{ssh_config}"
timeout_s = 3
alive_s = 4

[defaults]
python = "{python}"
directory = "{directory}"
setup = {setup}
environment = {{ ODD = "{odd}" }}

[memory]
host = "alpha"
[learner]
host = "alpha"
[[collectors]]
hosts = ["alpha", "{other}"]
[[evaluators]]
hosts = ["alpha"]
"""


class Person:
    """Types commands on `alpha`, in a folder of a name that has to be quoted."""

    def __init__(self, laboratory):
        self.laboratory = laboratory
        self.home = laboratory.folder / ODD
        self.home.mkdir()
        self.runs = self.home / "runs"
        self._typed = []

    def writes(self, *, steps=0, setup=(), other="beta", python=sys.executable):
        """Write the cluster's file."""
        lines = [f'export PYTHONPATH="{ROOT}"', *setup]
        text = CLUSTER.format(
            steps=steps,
            period=max(steps // 2, 100_000 * (not steps)),
            ssh_config=self.laboratory.ssh_config,
            python=python,
            directory=self.home / "there",
            setup=json.dumps(lines),
            odd=ODD,
            other=other,
        )
        (self.home / "cluster.toml").write_text(text)

    def types(self, *words, timeout_s=DEADLINE_S):
        """Type a command, and give its exit code and all that it prints."""
        done = subprocess.run(
            self._zdqn(*words), cwd=self.home, capture_output=True, text=True, timeout=timeout_s
        )
        return done.returncode, done.stdout + done.stderr

    def begins(self, *words):
        """Type a command that goes on; gives where it prints to."""
        path = self.home / "terminal"
        with path.open("w") as terminal:
            self._typed.append(
                subprocess.Popen(
                    self._zdqn(*words), cwd=self.home, stdout=terminal, stderr=subprocess.STDOUT
                )
            )
        return path

    def ends(self):
        """Wait for the command that goes on; gives its exit code."""
        return self._typed[-1].wait(DEADLINE_S)

    def dies(self):
        """Kill the command that goes on."""
        self._typed[-1].kill()
        self._typed[-1].wait(DEADLINE_S)

    def _zdqn(self, *words):
        return [*self.laboratory.on("near"), sys.executable, "-m", "zdqn", *words]

    def run(self):
        """Give the folder of the only run."""
        (folder,) = self.runs.iterdir()
        return folder

    def left(self):
        """Give what still runs on either host."""
        return {**self.laboratory.processes_on("near"), **self.laboratory.processes_on("far")}

    def close(self):
        for process in self._typed:
            if process.poll() is None:
                process.kill()
                process.wait(DEADLINE_S)


def eventually(condition, what):
    by_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < by_s, f"never: {what}"
        time.sleep(0.05)


def eventually_in(path, pattern, count=1):
    """Wait until a file has a pattern so often."""

    def is_there():
        return len(re.findall(pattern, path.read_text() if path.exists() else "")) >= count

    by_s = time.monotonic() + DEADLINE_S
    while not is_there():
        assert time.monotonic() < by_s, f"never {pattern!r} in:\n{path.read_text()[-3_000:]}"
        time.sleep(0.05)


@pytest.fixture
def laboratory(tmp_path):
    try:
        made = SshLaboratory(tmp_path)
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"no laboratory of two hosts with sshd here: {error}")
    yield made
    made.close()


@pytest.fixture
def person(laboratory, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with tempfile.TemporaryDirectory() as runtime:  # connections of its own, under short names
        monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
        made = Person(laboratory)
        yield made
        made.close()
    try:
        eventually(lambda: not made.left(), "nothing left on either host")
    except AssertionError:
        raise AssertionError(f"left running: {made.left()}") from None
    assert not list(made.home.rglob("pwned"))
    assert not list(Path.home().glob("pwned"))


def test_two_hosts_train_encrypted_and_leave_nothing(person):
    person.writes(steps=4_000)
    code, said = person.types("launch", "cluster.toml")
    assert code == 0, said
    assert "stop.environment_steps was reached" in said
    folder = person.run()
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["environment_steps"] >= 4_000
    assert summary["blocks_lost"] == 0
    assert (folder / "best.pt").stat().st_size > 1_000
    assert (folder / "metrics.jsonl").read_text().count("\n") > 0
    there = person.home / "there" / folder.name
    assert (there / "summary.json").read_bytes() == (folder / "summary.json").read_bytes()
    assert sorted(path.name for path in (there / "hosts" / "beta" / "keys").iterdir()) == [
        "allowed", "collector.public", "collector.secret", "learner.public", "memory.public",
    ]  # fmt: skip
    assert [path.name for path in (there / "hosts/beta/keys/allowed").iterdir()] == ["collector"]
    for secret in there.rglob("*.secret"):
        assert secret.stat().st_mode & 0o777 == 0o600
        assert secret.parent.stat().st_mode & 0o777 == 0o700


def test_check_looks_at_all_and_starts_nothing(person):
    person.writes()
    code, said = person.types("launch", "cluster.toml", "--check")
    assert code == 0, said
    assert re.search(r"ok +alpha +zdqn .*, Python 3.* GB disk", said)
    assert re.search(r"ok +beta +zdqn", said)
    assert not person.runs.exists()
    assert not (person.home / "there").exists()


def test_check_names_all_problems_at_once(person):
    person.writes(other="nowhere")
    text = (person.home / "cluster.toml").read_text()
    text = text.replace('["alpha", "nowhere"]', '["alpha", "nowhere", "beta"]')
    (person.home / "cluster.toml").write_text(text)
    make_key(person.laboratory.folder / "other")
    known = person.laboratory.known.read_text().splitlines()
    other = " ".join((person.laboratory.folder / "other.pub").read_text().split()[:2])
    person.laboratory.known.write_text(f"{known[0]}\n{ADDRESSES['far']} {other}\n")
    code, said = person.types("launch", "cluster.toml", "--check")
    assert code == 69
    assert re.search(r"BAD +nowhere +it cannot be reached", said)
    assert re.search(r"BAD +beta +its host key is another than the one in known_hosts", said)
    assert re.search(r"ok +alpha", said)
    assert "2 would keep a run from working" in said


def test_a_port_that_is_taken_is_found(person):
    person.writes()
    holder = subprocess.Popen(
        [*person.laboratory.on("near"), sys.executable, "-c",
         "import socket; s = socket.socket(); s.bind(('', 5558)); s.listen(); print(flush=True); "
         "s.accept()[0].recv(1); input()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        code, said = person.types("launch", "cluster.toml", "--check")
        assert code == 73
        assert re.search(r"BAD +alpha +port 5558 is taken\. Another run", said)
        code, said = person.types("launch", "cluster.toml")
        assert code == 73, said
        assert not list(person.runs.iterdir())
        assert not list((person.home / "there").iterdir())
    finally:
        holder.kill()
        holder.communicate()


def test_a_host_key_that_is_not_known_is_refused(person):
    person.writes()
    known = person.laboratory.known.read_text().splitlines()
    person.laboratory.known.write_text(known[0] + "\n")
    code, said = person.types("launch", "cluster.toml")
    assert code == 77
    assert "its host key is not known here. Run `ssh beta` once" in said
    assert person.laboratory.known.read_text() == known[0] + "\n"


def test_another_version_is_refused(person):
    stub = person.home / "stub"
    stub.mkdir()
    (stub / "sitecustomize.py").write_text(
        "import importlib.metadata as m\nm.version = lambda name: '0.0.9'\n"
    )
    person.writes(setup=[f"export PYTHONPATH={shlex.quote(f'{ROOT}:{stub}')}"])
    code, said = person.types("launch", "cluster.toml")
    assert code == 76, said
    assert "has zdqn 0.0.9" in said
    assert "Install the same on both" in said


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"python": "/no/python"}, 78, "its python cannot be run"),
        ({"setup": ["module load zdqn-of-nobody"]}, 78,
         "a line of setup failed: module load zdqn-of-nobody"),
        ({"setup": ["export PYTHONPATH=/nowhere", "cd /"], "python": "/usr/bin/python3"}, 76,
         "its Python has no zdqn"),
    ],
)  # fmt: skip
def test_a_host_that_is_not_set_up_says_what_is_missing(person, change, code, words):
    if not Path(change.get("python", "/")).exists() and change["python"] != "/no/python":
        pytest.skip("no other Python here")
    person.writes(**change)
    found, said = person.types("launch", "cluster.toml", "--check")
    if "unknown option" in said.lower():
        pytest.skip("the other Python is too old to be asked")
    assert found == code, said
    assert words in said


def test_status_logs_restart_and_stop_from_another_terminal(person):
    person.writes()
    terminal = person.begins("launch", "cluster.toml", "-v")
    eventually_in(terminal, r"collector-0@\w+ *\| \S+ info collecting", 2)
    run = str(person.run())
    code, said = person.types("status", run, "--all")
    assert code == 0, said
    assert re.search(r"security +keys", said)
    code, said = person.types("status", run)
    assert "collector-0@beta" in said
    code, said = person.types("logs", run, "--role", "collector-0@beta")
    assert "collecting as collector" in said
    code, said = person.types("restart", "collector-0@beta", run)
    assert (code, said) == (0, "collector-0@beta was told to end, and is started again\n")
    eventually_in(terminal, r"collector-0@beta *\| \S+ info collecting", 2)
    code, said = person.types("stop", run)
    assert code == 0, said
    assert person.ends() == 0
    assert "zdqn stop by" in terminal.read_text()
    code, said = person.types("status", run)
    assert "the run has ended" in said


def test_a_host_comes_and_goes(person):
    person.writes(other="alpha")
    terminal = person.begins("launch", "cluster.toml", "-v")
    eventually_in(terminal, "info collecting")
    run = str(person.run())
    code, said = person.types("launch", "--add", "collectors=2@beta", run)
    assert (code, said) == (0, "added collector-0@beta, collector-1@beta\n")
    eventually_in(terminal, r"collector-\d@beta *\| \S+ info collecting", 2)
    code, said = person.types("launch", "--remove", "beta", run)
    assert code == 0, said
    assert not person.laboratory.processes_on("far")
    eventually_in(terminal, r"collector's key \w+ \(collector@beta\) is let in no more", 2)
    assert person.types("stop", run)[0] == 0
    assert person.ends() == 0


def test_a_host_that_is_killed_comes_back(person):
    person.writes()
    terminal = person.begins("launch", "cluster.toml", "-v")
    eventually_in(terminal, r"collector-0@beta *\| \S+ info collecting")
    person.laboratory.kill_host("far")
    eventually_in(terminal, r"run +\| collector-0@beta was lost with its host; starting it again")
    eventually_in(terminal, r"run +\| waiting for beta, to start collector-0@beta there")
    person.laboratory.start_sshd("far")
    eventually_in(terminal, r"run +\| beta is back")
    eventually_in(terminal, r"collector-0@beta *\| \S+ info collecting", 2)
    assert person.types("stop", str(person.run()))[0] == 0
    assert person.ends() == 0


def test_a_cut_ends_what_is_behind_it_and_heals(person):
    person.writes()
    terminal = person.begins("launch", "cluster.toml", "-v")
    eventually_in(terminal, r"collector-0@beta *\| \S+ info collecting")
    person.laboratory.hosts.order("cut", "both")
    eventually_in(terminal, r"run +\| waiting for beta, to start collector-0@beta there")
    eventually(
        lambda: not any("zdqn.launch" in " ".join(words) for words in
                        person.laboratory.processes_on("far").values()),
        "the roles behind the cut end",
    )  # fmt: skip
    person.laboratory.hosts.order("heal")
    eventually_in(terminal, r"collector-0@beta *\| \S+ info collecting", 2)
    assert person.types("stop", str(person.run()))[0] == 0
    assert person.ends() == 0


def test_a_launcher_that_is_killed_leaves_no_role(person):
    person.writes()
    terminal = person.begins("launch", "cluster.toml", "-v")
    eventually_in(terminal, r"collector-0@beta *\| \S+ info collecting")
    person.dies()
    eventually(lambda: not person.left(), "nothing left on either host")


def test_a_detached_run_is_kept_shown_and_stopped(person):
    person.writes()
    code, said = person.types("launch", "cluster.toml", "--detach")
    assert code == 0, said
    run = str(person.run())
    code, said = person.types("status", run)
    assert code == 0, said
    eventually(lambda: "info collecting" in person.types("logs", run)[1], "a collector")
    (agent,) = (person.home / "there").rglob("hosts/beta/agent.json")
    os.kill(json.loads(agent.read_text())["processes"]["collector-0@beta"][0], 9)
    eventually(
        lambda: (
            "starting collector-0@beta again (1 of 3)"
            in person.types("logs", run, "--role", "collector-0@beta")[1]
        ),
        "the agent starts it again",
    )
    code, said = person.types("stop", run)
    assert code == 0, said
    assert "zdqn stop by" in said
    assert (person.run() / "summary.json").exists()


@pytest.mark.skipif(shutil.which("rsync") is None, reason="needs rsync")
def test_files_are_copied_first_and_nothing_is_removed(person):
    person.writes(steps=1_000)
    source = person.home / "my code"
    source.mkdir()
    (source / "new.py").write_text("new = 1\n")
    target = person.home / "code $(touch pwned) there"
    target.mkdir()
    (target / "theirs.txt").write_text("kept")
    text = (person.home / "cluster.toml").read_text()
    sync = f'sync = [{{ source = "my code/", target = "{target}" }}]\n[memory]'
    (person.home / "cluster.toml").write_text(text.replace("[memory]", sync, 1))
    code, said = person.types("launch", "cluster.toml")
    assert code == 0, said
    assert (target / "new.py").read_text() == "new = 1\n"
    assert (target / "theirs.txt").read_text() == "kept"
