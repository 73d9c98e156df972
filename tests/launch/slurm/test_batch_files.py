"""The text of batch files: each key changes it, and nothing in a value says more than it is."""

import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.launch.slurm.plans import PLACE, asking, slurm_plan
from zdqn.config.cluster_sections import ClientsSection, HostDefaults
from zdqn.config.slurm_sections import SlurmJobSection, SlurmSection
from zdqn.errors import FileError
from zdqn.launch.slurm.batch_files import (
    RunPlace,
    array_file,
    batch_files,
    option_value,
    servers_file,
    submit_commands,
)

ODD = 'a lab\'s $(touch pwned) `touch pwned`; "x" #y'

SERVERS = """\
#!/bin/bash -l
#SBATCH --job-name=zdqn-a
#SBATCH --partition=long
#SBATCH --time=2-00:00:00
#SBATCH --cpus-per-task=4
#SBATCH --mem=8G
#SBATCH --gres=gpu:1
#SBATCH --chdir=/shared
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=/shared/runs/a/logs/servers.log
#SBATCH --signal=B:USR2@120
#SBATCH --constraint=skylake

{ module load cuda
} || { echo 'setup failed: module load cuda' >&2; exit 113; }

export OMP_NUM_THREADS=1

exec "$HOME"/venv/bin/python -P -m zdqn.launch.slurm servers /shared/runs/a  # in place of this \
shell, so that Slurm's signals reach it
"""

COLLECTORS = """\
#!/bin/bash -l
#SBATCH --job-name=zdqn-a-collectors
#SBATCH --partition=spare
#SBATCH --account=lab
#SBATCH --qos=low
#SBATCH --chdir=/shared
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --array=0-15%4
#SBATCH --output=/shared/runs/a/logs/collector-%a.log

{ module load cuda
} || { echo 'setup failed: module load cuda' >&2; exit 113; }

export OMP_NUM_THREADS=1
export D=1

exec "$HOME"/venv/bin/python -P -m zdqn.launch.slurm collector /shared/runs/a \
"$SLURM_ARRAY_TASK_ID"  # in place of this shell, so that Slurm's signals reach it
"""


def test_the_files_of_a_run():
    plan = slurm_plan(
        defaults=HostDefaults(
            python="~/venv/bin/python",
            setup=("module load cuda",),
            environment={"OMP_NUM_THREADS": "1"},
        ),
        slurm=SlurmSection(
            at_once=4,
            servers=SlurmJobSection(
                partition="long", time="2-00:00:00", cpus=4, memory="8G", gres="gpu:1",
                sbatch=("--constraint=skylake",),
            ),
            collectors=SlurmJobSection(partition="spare", account="lab", qos="low"),
        ),
        collectors=(ClientsSection(count=16, environment={"D": "1"}),),
    )  # fmt: skip
    assert batch_files(plan, PLACE) == {"servers": SERVERS, "collectors-0": COLLECTORS}


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"partition": "p"}, "--partition=p"),
        ({"account": "a b"}, '--account="a b"'),
        ({"qos": "q"}, "--qos=q"),
        ({"time": "90"}, "--time=90"),
        ({"cpus": 3}, "--cpus-per-task=3"),
        ({"memory": "4G"}, "--mem=4G"),
        ({"gres": "gpu:2"}, "--gres=gpu:2"),
        ({"sbatch": ("--nice=5",)}, "--nice=5"),
    ],
)
def test_each_key_is_an_option_of_all_jobs(values, line):
    bare = batch_files(asking(), PLACE)
    for name, text in batch_files(asking(**values), PLACE).items():
        assert f"#SBATCH {line}\n" in text
        assert line.partition("=")[0] not in bare[name]


def test_the_number_of_tasks_at_a_time_may_be_limited():
    plan = asking()
    assert "--array=3-4\n" in array_file(plan, plan.arrays[1], PLACE)
    assert "--array=3-4%1\n" in array_file(replace(plan, at_once=1), plan.arrays[1], PLACE)


def test_collectors_hear_of_their_time_limit_only_if_they_come_back():
    end, again = asking(checkpoint_s=9), asking(checkpoint_s=9, at_time_limit="requeue")
    signal = "#SBATCH --signal=B:USR2@9\n"
    assert signal in servers_file(end, PLACE)
    assert signal in servers_file(again, PLACE)
    assert signal not in array_file(end, end.arrays[0], PLACE)
    assert signal in array_file(again, again.arrays[0], PLACE)


def test_whatever_a_user_writes_is_one_word_to_the_shell(tmp_path):
    place = RunPlace(tmp_path / ODD, tmp_path)
    python = tmp_path / "odd's" / "python"
    python.parent.mkdir()
    python.write_text('#!/bin/sh\nprintf "%s\\0" "$ODD" "$@"\n')
    python.chmod(0o755)
    value = ODD + "\nand a line \\"
    plan = slurm_plan(defaults=HostDefaults(python=str(python), environment={"ODD": value}))
    for text, words in (
        (servers_file(plan, place), ["servers", str(place.directory)]),
        (array_file(plan, plan.arrays[0], place), ["collector", str(place.directory), "7"]),
    ):
        done = subprocess.run(
            ["bash"], input=text, capture_output=True, text=True, cwd=tmp_path, timeout=30,
            env={"SLURM_ARRAY_TASK_ID": "7", "PATH": "/usr/bin:/bin"},
        )  # fmt: skip
        assert done.stdout.split("\0")[:-1] == [value, "-P", "-m", "zdqn.launch.slurm", *words]
        assert done.stderr == ""
    assert not list(tmp_path.rglob("pwned"))


def test_a_folder_with_a_percent_sign_is_no_pattern():
    text = servers_file(asking(), RunPlace(Path("/shared/100%a"), Path("/")))
    assert "#SBATCH --output=/shared/100%%a/logs/servers.log\n" in text


@pytest.mark.parametrize("path", ["/a\nb", "/a\\b", "/a\x07"])
def test_a_folder_that_no_batch_file_can_name_is_refused(path):
    with pytest.raises(FileError, match=r"cannot stand in a batch file.*--run-dir"):
        RunPlace(Path(path), Path("/"))
    with pytest.raises(FileError):
        RunPlace(Path("/"), Path(path))


def test_a_value_is_quoted_as_sbatch_reads_it():
    assert option_value("gpu:a100,b=2") == "gpu:a100,b=2"
    assert option_value('a "b" #c') == '"a \\"b\\" #c"'
    assert option_value("a\\b") == '"a\\\\b"'
    assert option_value("") == '""'


def test_commands_can_be_copied_into_a_shell():
    place = RunPlace(Path(f"/shared/{ODD}"), Path("/"))
    first, *arrays = submit_commands(slurm_plan(), place)
    assert shlex.split(first.removeprefix("servers=$(").removesuffix(")")) == [
        "sbatch", "--parsable", str(place.batch_file("servers")),
    ]  # fmt: skip
    assert [shlex.split(line)[2:] for line in arrays] == [
        ["--dependency=after:$servers", str(place.batch_file(f"collectors-{first}"))]
        for first in (0, 3)
    ]
