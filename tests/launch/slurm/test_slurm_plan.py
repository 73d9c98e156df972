"""Which jobs a run consists of, and what each asks for."""

import pytest

from tests.launch.slurm.plans import asking, slurm_cluster, slurm_plan
from zdqn.config import Config
from zdqn.config.cluster_sections import (
    ClientsSection,
    HostDefaults,
    HostsSection,
    ServerSection,
    SyncSection,
)
from zdqn.errors import ConfigError
from zdqn.launch.slurm.slurm_plan import time_limit_s, unused_keys

AT_HOSTS = {
    "memory": ServerSection(host="m", environment={"M": "1"}),
    "learner": ServerSection(host="g", port=7000),
    "collectors": (
        ClientsSection(hosts=("c[1-2]",), each=4),
        ClientsSection(hosts=("d",), environment={"D": "1"}),
    ),
    "evaluators": (ClientsSection(hosts=("g",), each=2),),
}


def test_servers_and_evaluators_share_a_job_and_each_group_of_collectors_is_an_array():
    plan = slurm_plan()
    assert [process.name for process in plan.processes] == ["memory", "learner", "evaluator-0"]
    assert [array.names for array in plan.arrays] == [
        ("collector-0", "collector-1", "collector-2"),
        ("collector-3", "collector-4"),
    ]
    assert (plan.config.launch.collectors, plan.config.launch.evaluators) == (5, 1)


def test_a_file_for_ssh_gives_as_many_processes():
    plan = slurm_plan(**AT_HOSTS)
    assert [array.count for array in plan.arrays] == [8, 1]
    assert [process.name for process in plan.processes][2:] == ["evaluator-0", "evaluator-1"]
    assert plan.processes[0].environment == {"M": "1"}
    assert plan.arrays[1].environment == {"D": "1"}


def test_what_names_a_host_is_said_to_mean_nothing():
    said = "\n".join(
        unused_keys(
            slurm_cluster(
                **AT_HOSTS,
                hosts=(HostsSection(names=("m",)),),
                defaults=HostDefaults(
                    directory="there", sync=(SyncSection(source="a", target="b"),)
                ),
            )
        )
    )
    for name in ("memory.host", "learner.host", "collectors.hosts", "evaluators.hosts",
                 "[[hosts]]", "defaults.directory", "defaults.sync"):  # fmt: skip
        assert name in said
    assert unused_keys(slurm_cluster()) == []


def test_servers_take_free_ports_unless_one_is_given():
    plan = slurm_plan(**AT_HOSTS)
    assert plan.config.memory.bind == "tcp://0.0.0.0:0"
    assert plan.config.learner.bind == "tcp://0.0.0.0:7000"


@pytest.mark.parametrize(
    ("key", "above", "own"),
    [
        ("partition", "all", "long"), ("account", "a", "b"), ("qos", "low", "high"),
        ("time", "60", "2-0"), ("cpus", 2, 4), ("memory", "2G", "8G"), ("gres", "gpu:1", ""),
    ],
)  # fmt: skip
def test_a_job_of_its_own_kind_wins_over_all_jobs(key, above, own):
    plan = asking(servers={key: own}, **{key: above})
    assert getattr(plan.servers, key) == own
    assert getattr(plan.collectors, key) == above


def test_how_a_job_is_set_up_is_as_over_ssh():
    plan = slurm_plan(
        defaults=HostDefaults(python="p", setup=("a",), environment={"X": "1", "Y": "1"}),
        slurm=asked({"python": "q", "setup": (), "environment": {"Y": "2"}}),
    )
    assert (plan.servers.python, plan.servers.setup) == ("q", ())
    assert plan.servers.environment == {"X": "1", "Y": "2"}
    assert (plan.collectors.python, plan.collectors.setup) == ("p", ("a",))


def asked(servers=None, **values):
    return {"servers": servers or {}, **values}


def test_options_of_all_jobs_stand_before_those_of_one_kind():
    plan = asking(sbatch=("--exclusive",), collectors={"sbatch": ("-C skylake",)})
    assert plan.servers.sbatch == ("--exclusive",)
    assert plan.collectors.sbatch == ("--exclusive", "-C skylake")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"partition": "a\nb"}, r"slurm\.servers\.partition is 'a\\nb'.*end of a line"),
        ({"time": "soon"}, r'slurm\.servers\.time is "soon", which is no time limit'),
        ({"time": "2"}, r'time is "2", 120 s, and slurm\.checkpoint_s is 120'),
        ({"time": "10", "checkpoint_s": 600}, r"checkpoint_s is 600"),
        ({"sbatch": ("exclusive",)}, "no option of sbatch"),
        ({"sbatch": ("--x\n#SBATCH --y",)}, "end of a line"),
        ({"sbatch": ("--partition=x",)}, "as the key partition"),
        ({"sbatch": ("-p x",)}, "as the key partition"),
        ({"sbatch": ("--mem=1",)}, "as the key memory"),
        ({"sbatch": ("--output=x",)}, "which zdqn sets itself"),
        ({"sbatch": ("-ox",)}, "which zdqn sets itself"),
        ({"sbatch": ("--signal=USR1",)}, "which zdqn sets itself"),
        ({"servers": {"environment": {"A;rm": "x"}}}, "'A;rm', which no shell takes"),
    ],
)
def test_what_would_say_something_else_in_a_batch_file_is_refused(values, words):
    with pytest.raises(ConfigError, match=words) as error:
        asking(**values)
    assert "lab.toml" in str(error.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"collectors": ()}, r"there is no collector.*count = 16"),
        ({"collectors": (ClientsSection(),)}, r"collectors\[0\] has neither count nor hosts"),
        ({"collectors": (ClientsSection(hosts=("h",), count=2),)}, "has hosts and count = 2"),
        ({"memory": ServerSection(environment={"1": "x"})}, "environment of the memory"),
        ({"collectors": (ClientsSection(count=1, environment={"": "x"}),)}, "of collectors"),
    ],
)
def test_what_cannot_be_is_refused(changes, words):
    with pytest.raises(ConfigError, match=words):
        slurm_plan(**changes)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0), ("90", 5400), ("1:30", 90), ("1:00:30", 3630), ("2-0", 172_800),
        ("1-2:30", 95_400), ("1-2:30:05", 95_405), ("", None), ("1h", None), ("-1", None),
        ("1:2:3:4", None),
    ],
)  # fmt: skip
def test_a_time_limit_is_read_as_sbatch_does(text, seconds):
    assert time_limit_s(text) == seconds


def test_keys_are_the_runs_own():
    with pytest.raises(ConfigError, match=r"security\.keys.*makes keys of its own"):
        slurm_plan(Config().replace("security.keys", "/keys"))


def test_another_array_counts_on():
    more = slurm_plan().with_array(2)
    assert more.arrays[-1].names == ("collector-5", "collector-6")
    assert more.config == slurm_plan().config
