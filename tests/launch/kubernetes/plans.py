"""Plans of runs on Kubernetes, and what is printed of them, for tests."""

from pathlib import Path
from typing import Any

import yaml

from zdqn.config import Config
from zdqn.config.cluster_sections import ClientsSection, Cluster
from zdqn.launch.kubernetes.kubernetes_plan import plan_kubernetes
from zdqn.launch.kubernetes.manifests import write_manifests

SOURCE = Path("lab/cluster.toml")
SECRETS = {
    "memory": {"memory.secret": "secret 01\n", "allowed.learner": "02 learner@lab\n"},
    "learner": {"learner.secret": "secret 03\n", "memory.public": "04\n"},
    "collector": {"collector.secret": "secret 05\n"},
    "evaluator": {"evaluator.secret": "secret 06\n"},
}


def plan(config=None, overrides=None, **changes):
    """Two collectors and an evaluator."""
    kubernetes: Any = {"image": "lab/zdqn:1", **changes.pop("kubernetes", {})}
    values = {"collectors": (ClientsSection(hosts=("c[1-2]",)),), **changes}
    config = (config or Config()).replace(overrides or {})
    cluster = Cluster(kubernetes=kubernetes, **values)
    return plan_kubernetes(cluster, config, source=SOURCE)


def printed(planned, secrets=SECRETS, log_level="info"):
    """Give what is printed, read again: (kind, name) to the object."""
    documents = yaml.safe_load_all(write_manifests(planned, secrets, log_level=log_level))
    return {(found["kind"], found["metadata"]["name"]): found for found in documents}


def pod_of(found):
    """Give the pod that an object makes."""
    return found["spec"]["template"]["spec"]


def container_of(found):
    """Give the only container of such a pod."""
    (container,) = pod_of(found)["containers"]
    return container
