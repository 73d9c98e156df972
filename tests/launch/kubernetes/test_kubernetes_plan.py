"""What a cluster's file means on Kubernetes."""

from pathlib import Path

import pytest

from tests.launch.kubernetes.plans import plan
from zdqn.config import Config
from zdqn.config.cluster_sections import (
    ClientsSection,
    Cluster,
    HostDefaults,
    HostsSection,
    ServerSection,
    SshSection,
    SyncSection,
)
from zdqn.config.kubernetes_sections import KubernetesSection
from zdqn.errors import ConfigError
from zdqn.launch.kubernetes.kubernetes_plan import plan_kubernetes


def test_servers_listen_to_all_on_ports_that_are_known_before():
    planned = plan(learner=ServerSection(port=7000))
    assert planned.config.memory.bind == "tcp://0.0.0.0:5556"
    assert planned.config.learner.bind == "tcp://0.0.0.0:7000"
    assert planned.address_of(planned.memory) == "tcp://cluster-memory:5556"
    assert planned.address_of(planned.learner) == "tcp://cluster-learner:7000"


@pytest.mark.parametrize(
    ("changes", "collectors", "evaluators"),
    [
        ({}, [2], [1]),  # hosts c1 and c2
        ({"collectors": ()}, [2], [1]),
        ({"collectors": (ClientsSection(hosts=("c[1-3]",), each=4),)}, [12], [1]),
        ({"collectors": (ClientsSection(hosts=("a",)), ClientsSection(hosts=("b",), each=3))},
         [1, 3], [1]),
        ({"evaluators": (ClientsSection(hosts=("a", "b")),)}, [2], [2]),
        ({"kubernetes": {"collectors": {"replicas": 5}, "evaluators": {"replicas": 0}}}, [5], [0]),
    ],
)  # fmt: skip
def test_there_are_as_many_pods_as_the_file_plans_processes(changes, collectors, evaluators):
    planned = plan(**changes)
    found = {
        role: [pods.replicas for pods in planned.clients if pods.role == role]
        for role in ("collector", "evaluator")
    }
    assert found == {"collector": collectors, "evaluator": evaluators}
    assert planned.config.launch.collectors == sum(collectors)
    assert planned.config.launch.evaluators == sum(evaluators)
    components = [pods.component for pods in planned.clients]
    assert len(set(components)) == len(components)


def test_collectors_may_begin_with_none():
    planned = plan(kubernetes={"collectors": {"replicas": 0}})
    assert planned.clients[0].replicas == 0
    assert planned.config.launch.collectors == 1  # a ladder has a rung


def test_each_role_has_its_variables_besides_those_of_all():
    planned = plan(
        defaults=HostDefaults(environment={"A": "1", "B": "1"}),
        learner=ServerSection(environment={"B": "2"}),
        collectors=(ClientsSection(hosts=("c",), environment={"B": "3"}),),
    )
    assert planned.memory.environment == {"A": "1", "B": "1"}
    assert planned.learner.environment == {"A": "1", "B": "2"}
    assert planned.clients[0].environment == {"A": "1", "B": "3"}
    assert planned.clients[1].environment == {"A": "1", "B": "1"}


@pytest.mark.parametrize(
    ("overrides", "storage"),
    [
        ({}, ""),
        ({"replay.storage": "disk"}, "10Gi"),
        ({"replay.snapshot_period_s": 60.0}, "10Gi"),
    ],
)
def test_a_memory_has_a_volume_where_it_keeps_its_replay(overrides, storage):
    planned = plan(overrides=overrides)
    assert planned.memory.storage == storage
    assert planned.learner.storage == "10Gi"


def test_volumes_are_as_large_as_the_file_says():
    planned = plan(
        overrides={"replay.storage": "disk"},
        kubernetes={"memory": {"storage": "50Gi"}, "learner": {"storage": "1Gi"}},
    )
    assert (planned.memory.storage, planned.learner.storage) == ("50Gi", "1Gi")


@pytest.mark.parametrize(
    ("stem", "name"),
    [("lab", "lab"), ("Lab_2 (new)", "lab-2-new"), ("42", "zdqn-42"), ("é", "zdqn"),
     ("x" * 60, "x" * 40), ("a" * 39 + "-b", "a" * 39)],
)  # fmt: skip
def test_a_run_is_called_as_its_file_as_far_as_kubernetes_allows(stem, name):
    cluster = Cluster(kubernetes=KubernetesSection(image="i"))
    assert plan_kubernetes(cluster, Config(), source=Path(f"{stem}.toml")).name == name


def test_it_may_be_called_otherwise():
    assert plan(kubernetes={"name": "other"}).name == "other"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kubernetes": {"image": ""}}, r"kubernetes\.image is missing"),
        ({"memory": ServerSection(port=0)}, r"memory\.port is 0"),
        ({"learner": ServerSection(port=0)}, r"learner\.port is 0"),
        ({"defaults": HostDefaults(setup=("module load x",))}, r"defaults\.setup"),
        ({"defaults": HostDefaults(sync=(SyncSection(source="a", target="b"),))}, r"\.sync"),
        ({"hosts": (HostsSection(names=("c1",), environment={"A": "1"}),)}, r"hosts\[0\]\.env"),
        ({"hosts": (HostsSection(names=("c1",), setup=("x",)),)}, r"hosts\[0\]\.setup"),
        ({"kubernetes": {"memory": {"storage": "5Gi"}}}, "keeps no replay"),
        ({"kubernetes": {"memory": {"storage_class": "fast"}}}, "keeps no replay"),
        ({"overrides": {"replay.path": "/data"}}, r"replay\.path"),
        ({"overrides": {"security.keys": "keys"}}, r"security\.keys.*--keys"),
    ],
)
def test_what_has_no_meaning_and_would_change_something_is_refused(changes, words):
    with pytest.raises(ConfigError, match=words) as error:
        plan(**changes)
    assert "cluster.toml" in str(error.value)


def test_what_says_nothing_is_named():
    planned = plan(
        memory=ServerSection(host="m"),
        defaults=HostDefaults(python="p"),
        hosts=(HostsSection(names=("c1",), python="q", address="10.0.0.1"),),
        ssh=SshSection(at_once=2),
    )
    told = "\n".join(planned.unused)
    for name in ("memory.host", "collectors.hosts", "[[hosts]]", "defaults.python", "[ssh]"):
        assert name in told
    assert "learner.host" not in told
    assert not plan(collectors=()).unused


@pytest.mark.parametrize(
    ("kubernetes", "words"),
    [
        ({"learner": {"cpu": "two"}}, "kubernetes|cpu"),
        ({"learner": {"grace_s": 3}}, "grace_s"),
        ({"name": "Lab"}, "name"),
        ({"user": 0}, "user"),
        ({"learner": {"gpu": 1}}, 'no key "gpu".*Did you mean "gpus"'),
        ({"imag": "x"}, 'no key "imag".*Did you mean "image"'),
        ({"memory": {"replicas": 2}}, 'no key "replicas"'),
    ],
)
def test_a_key_that_is_wrong_or_unknown_is_refused(kubernetes, words):
    with pytest.raises(ConfigError, match=words):
        plan(kubernetes=kubernetes)
