"""What a launch would run."""

import shlex
from pathlib import Path

from tests.launch.cluster.clusters import small_plan
from zdqn.config.cluster_sections import HostDefaults, SshSection, SyncSection
from zdqn.launch.cluster.cluster_plan import on_this_machine
from zdqn.launch.cluster.dry_run import describe_launch
from zdqn.launch.cluster.ssh_commands import SshUse, agent_command, ssh_argv

USE = SshUse(SshSection(), "c", Path("/lab"))


def test_each_host_has_its_roles_and_the_very_command():
    plan = small_plan()
    lines = describe_launch(plan, USE)
    assert lines[0] == "# m: memory"
    assert lines[2] == "# g: learner, collector-0@g"
    assert len(lines) == 8
    assert shlex.split(lines[1]) == ssh_argv(USE, "m", agent_command(plan.hosts["m"]))


def test_what_is_copied_comes_before():
    sync = (SyncSection(source="src", target="t"),)
    lines = describe_launch(small_plan(defaults=HostDefaults(sync=sync)), USE)
    assert [line.split()[0] for line in lines[:3]] == ["#", "rsync", "ssh"]


def test_on_this_machine_there_is_no_ssh():
    plan = on_this_machine(small_plan(), python="/py", directory=Path("/runs"))
    lines = describe_launch(plan, None)
    assert shlex.split(lines[1]) == ["sh", "-c", "exec /py -P -m zdqn.launch.cluster"]


def test_variables_of_roles_stand_on_no_command_line():
    plan = small_plan(defaults=HostDefaults(environment={"TOKEN": "hidden-value"}))
    assert "hidden-value" not in "".join(describe_launch(plan, USE))
