"""The objects of a run on Kubernetes, as YAML for ``kubectl apply -f -``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from zdqn.config import to_toml
from zdqn.config.kubernetes_sections import StoringPodsSection
from zdqn.launch.kubernetes.kubernetes_plan import ClientPods, KubernetesPlan, ServerPod
from zdqn.launch.kubernetes.pod_secrets import Secrets
from zdqn.launch.kubernetes.pod_templates import (
    CONFIG_FILE,
    CONFIG_FOLDER,
    KEYS_FOLDER,
    ReadOnce,
    component_labels,
    instance_labels,
    pod_template,
    ports_of,
)
from zdqn.launch.kubernetes.yaml_text import to_yaml

HOPELESS = (2, 73, 76, 77, 78)
"""Exit codes after which starting again cannot help; see `zdqn.errors`."""

_REPLAY = "/replay"
_RUNS = "/runs"


class Manifest(NamedTuple):
    """An object, and what a reader is told of it."""

    document: dict[str, Any]
    comment: str = ""


def write_manifests(plan: KubernetesPlan, secrets: Secrets | None, *, log_level: str) -> str:
    """Write everything that a run needs.

    Args:
        plan: of the run.
        secrets: of each role; None for a run without keys.
        log_level: of the roles.
    """
    head = "\n".join(f"# {line}".rstrip() for line in _head(plan, secure=secrets is not None))
    documents = [to_yaml(*manifest) for manifest in make_manifests(plan, secrets, log_level)]
    return "---\n".join([f"{head}\n", *documents])


def make_manifests(
    plan: KubernetesPlan, secrets: Secrets | None, log_level: str
) -> Iterator[Manifest]:
    """Give every object of a run: what others need comes before them."""
    config = to_toml(plan.config)
    digest = hashlib.sha256(json.dumps([config, secrets]).encode()).hexdigest()[:16]
    read_once = ReadOnce(secrets, digest)
    words = ["--log-level", log_level] + (["--insecure"] if secrets is None else [])
    yield Manifest(_object(plan, "v1", "ConfigMap", "config", data={CONFIG_FILE: config}))
    for role, files in (secrets or {}).items():
        yield Manifest(
            _object(plan, "v1", "Secret", f"{role}-keys", type="Opaque", stringData=dict(files))
        )
    for server in (plan.memory, plan.learner):
        yield Manifest(_service(plan, server))
    yield Manifest(_memory(plan, [*_command(plan.memory.role), *words], read_once), _MEMORY_IS)
    yield Manifest(_claim(plan), "What the run leaves: checkpoints, best.pt, metrics, summary.")
    yield Manifest(_learner(plan, [*_command(plan.learner.role), *words], read_once), _LEARNER_IS)
    for pods in plan.clients:
        yield Manifest(_deployment(plan, pods, words[:2], read_once), _scaling(plan, pods))


# --- objects --------------------------------------------------------------------------------------


def _object(
    plan: KubernetesPlan, version: str, kind: str, component: str, **parts: Any
) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": plan.named(component)}
    if plan.kubernetes.namespace:
        metadata["namespace"] = plan.kubernetes.namespace
    metadata["labels"] = component_labels(plan, component)
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **parts}


def _service(plan: KubernetesPlan, server: ServerPod) -> dict[str, Any]:
    ports = [
        {"name": name, "port": port, "targetPort": name} for name, port in ports_of(server).items()
    ]
    selector = component_labels(plan, server.role)
    return _object(plan, "v1", "Service", server.role, spec={"selector": selector, "ports": ports})


def _memory(plan: KubernetesPlan, arguments: list[str], read_once: ReadOnce) -> dict[str, Any]:
    memory = plan.memory
    kept = {"replay": _REPLAY} if memory.storage else {}
    if kept:
        arguments += ["--run-dir", f"{_REPLAY}/{plan.name}"]
    spec: dict[str, Any] = {
        "replicas": 1,
        "serviceName": plan.named(memory.role),
        "selector": {"matchLabels": component_labels(plan, memory.role)},
        "template": pod_template(plan, memory, read_once, arguments=arguments, mounts=kept),
    }
    if kept:
        metadata = {"name": "replay", "labels": instance_labels(plan)}
        claim = {"metadata": metadata, "spec": _claim_spec(memory.pods, memory.storage)}
        spec["volumeClaimTemplates"] = [claim]
    return _object(plan, "apps/v1", "StatefulSet", memory.role, spec=spec)


def _learner(plan: KubernetesPlan, arguments: list[str], read_once: ReadOnce) -> dict[str, Any]:
    learner = plan.learner
    claim = {"claimName": plan.named("run")}
    arguments += ["--memory", plan.address_of(plan.memory)]
    arguments += ["--run-dir", f"{_RUNS}/{plan.name}", "--preemptible"]
    template = pod_template(
        plan,
        learner,
        read_once,
        arguments=arguments,
        restart="Never",
        mounts={"runs": _RUNS},
        volumes=[{"name": "runs", "persistentVolumeClaim": claim}],
    )
    hopeless = {"containerName": learner.role, "operator": "In", "values": list(HOPELESS)}
    rules = [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {"action": "FailJob", "onExitCodes": hopeless},
    ]
    spec = {
        "backoffLimit": plan.config.launch.max_restarts,
        "podFailurePolicy": {"rules": rules},
        "template": template,
    }
    return _object(plan, "batch/v1", "Job", learner.role, spec=spec)


def _claim(plan: KubernetesPlan) -> dict[str, Any]:
    learner = plan.learner
    spec = _claim_spec(learner.pods, learner.storage)
    return _object(plan, "v1", "PersistentVolumeClaim", "run", spec=spec)


def _claim_spec(pods: StoringPodsSection, storage: str) -> dict[str, Any]:
    spec: dict[str, Any] = {"accessModes": ["ReadWriteOnce"]}
    if pods.storage_class:
        spec["storageClassName"] = pods.storage_class
    return {**spec, "resources": {"requests": {"storage": storage}}}


def _deployment(
    plan: KubernetesPlan, pods: ClientPods, words: list[str], read_once: ReadOnce
) -> dict[str, Any]:
    arguments = [*_command(pods.role), "--learner", plan.address_of(plan.learner), *words]
    spec = {
        "replicas": pods.replicas,
        "selector": {"matchLabels": component_labels(plan, pods.component)},
        "template": pod_template(plan, pods, read_once, arguments=arguments),
    }
    return _object(plan, "apps/v1", "Deployment", pods.component, spec=spec)


def _command(role: str) -> list[str]:
    return [role, f"{CONFIG_FOLDER}/{CONFIG_FILE}"]


# --- words ----------------------------------------------------------------------------------------

_MEMORY_IS = """\
The memory: one, with the name that the others know. What it keeps outlives its pod."""

_LEARNER_IS = """\
The learner, whose end is the run's. A Job, as Kubernetes starts the pods of a StatefulSet again
also when they have done what they were for. A pod that a node loses is no failure; one that ends
otherwise is followed by another, which goes on from the newest checkpoint. With these exit codes
(wrong arguments, a folder of another run, peers, keys or configuration that do not fit) the next
would end like the last."""


def _scaling(plan: KubernetesPlan, pods: ClientPods) -> str:
    where = f" -n {plan.kubernetes.namespace}" if plan.kubernetes.namespace else ""
    return f"kubectl{where} scale deployment/{plan.named(pods.component)} --replicas=8"


def _head(plan: KubernetesPlan, *, secure: bool) -> Iterator[str]:
    where = f" -n {plan.kubernetes.namespace}" if plan.kubernetes.namespace else ""
    learner, label = plan.named("learner"), f"app.kubernetes.io/instance={plan.name}"
    asks = f"--keys {KEYS_FOLDER} " if secure else ""
    address = f"tcp://127.0.0.1:{plan.learner.port}"
    yield f"The run {plan.name}, by `zdqn launch --kubernetes`; see docs/deploy.md of zdqn."
    if secure:
        yield "SECRET KEYS ARE IN HERE: hand it to kubectl, and keep it nowhere."
    yield ""
    yield f"kubectl{where} logs -f job/{learner}"
    for command in ("status", "stop"):
        yield f"kubectl{where} exec job/{learner} -- zdqn {command} {asks}{address}"
    yield f"kubectl{where} wait --for=condition=complete --timeout=-1s job/{learner}"
    yield f"kubectl{where} delete job,deployment,statefulset,service,secret,configmap -l {label}"
    if plan.unused:
        yield ""
        yield "Of the file this says nothing on Kubernetes:"
        yield from (f"  {line}" for line in plan.unused)
