"""The commands with which hosts are reached, word by word; shells find nothing to do in them."""

import shlex
import subprocess
from pathlib import Path

import pytest

from zdqn.config.cluster_sections import SshSection, SyncSection
from zdqn.launch.cluster.cluster_plan import PlannedHost
from zdqn.launch.cluster.ssh_commands import (
    SshUse,
    agent_command,
    agent_script,
    hostname_argv,
    hostname_from,
    rsync_argv,
    ssh_argv,
)
from zdqn.launch.shell_words import SETUP_FAILED, shell_path

USE = SshUse(SshSection(), "/run/user/7/zdqn/%C", Path("/lab"))
OPTIONS = [
    "-oBatchMode=yes", "-oConnectTimeout=10", "-oServerAliveInterval=10", "-oServerAliveCountMax=3",
    "-oControlMaster=auto", "-oControlPath=/run/user/7/zdqn/%C", "-oControlPersist=no",
]  # fmt: skip
EVIL = """a'b "$(touch pwned)" `touch pwned`; touch pwned"""


def test_ssh_is_called_so():
    assert ssh_argv(USE, "me@gpu1", "true") == ["ssh", "-T", *OPTIONS, "--", "me@gpu1", "true"]
    assert hostname_argv(USE, "gpu1") == ["ssh", "-T", *OPTIONS, "-G", "--", "gpu1"]


def test_a_configuration_of_its_own_is_beside_the_clusters_file():
    use = SshUse(SshSection(config="my ssh", timeout_s=3, alive_s=4), "c", Path("/lab"))
    argv = ssh_argv(use, "h", "true")
    assert argv[:3] == ["ssh", "-F", "/lab/my ssh"]
    assert "-oConnectTimeout=3" in argv
    assert "-oServerAliveInterval=1" in argv


def test_nobody_says_which_host_keys_to_trust():
    words = " ".join(ssh_argv(USE, "h", "true") + rsync_argv(USE, "h", SYNC)).lower()
    assert "stricthostkeychecking" not in words
    assert "knownhosts" not in words


SYNC = SyncSection(source="src/", target="~/zdqn src", exclude=(".git",))


def test_rsync_goes_over_the_same_ssh_and_removes_nothing():
    assert rsync_argv(USE, "h", SYNC) == [
        "rsync", "--archive", "--compress", "--protect-args", "--mkpath", "--exclude=.git",
        f"--rsh={shlex.join(['ssh', '-T', *OPTIONS])}", "--", "/lab/src/", "h:zdqn src",
    ]  # fmt: skip
    assert not [word for word in rsync_argv(USE, "h", SYNC) if "delete" in word]


def test_an_agent_is_started_so():
    assert agent_command(PlannedHost("h")) == "exec sh -c 'exec python3 -P -m zdqn.launch.cluster'"
    host = PlannedHost("h", python="~/v/bin/python", setup=("module load cuda",))
    assert agent_command(host).startswith("exec bash -lc ")
    assert agent_script(host).splitlines() == [
        "{ module load cuda",
        "} || { echo 'setup failed: module load cuda' >&2; exit 113; }",
        'exec "$HOME"/v/bin/python -P -m zdqn.launch.cluster',
    ]


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_what_a_shell_would_do_in_a_name_is_not_done(tmp_path, shell):
    python = tmp_path / EVIL
    python.write_text('#!/bin/sh\nprintf \'%s|\' "$0" "$@"\n')
    python.chmod(0o700)
    host = PlannedHost("h", python=str(python), setup=("export X=1",))
    command = agent_command(host)
    done = subprocess.run(
        [shell, "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{python}|-P|-m|zdqn.launch.cluster|"
    assert not (tmp_path / "pwned").exists()


def test_a_setup_line_that_fails_ends_the_start_by_name(tmp_path):
    host = PlannedHost(
        "h", python="true", setup=("export X=1", f"no-such-command {shlex.quote(EVIL)}")
    )
    done = subprocess.run(
        ["sh", "-c", agent_command(host)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == SETUP_FAILED
    assert f"setup failed: no-such-command {shlex.quote(EVIL)}" in done.stderr
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    ("path", "quoted"),
    [("~/a b", "\"$HOME\"/'a b'"), ("~/", '"$HOME"'), ("/a/$b", "'/a/$b'"), ("python3", "python3")],
)
def test_the_home_folder_is_the_one_there(path, quoted):
    assert shell_path(path) == quoted


def test_the_host_name_is_what_ssh_says():
    assert hostname_from("user me\nhostname gpu1.lab\nport 22\n") == "gpu1.lab"
    assert hostname_from("") == ""
