"""The pods of a run: one container of a role, its keys, its probes, what it may and gets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from zdqn.config.kubernetes_sections import PodsSection
from zdqn.launch.kubernetes.kubernetes_plan import ClientPods, KubernetesPlan, ServerPod
from zdqn.launch.kubernetes.pod_secrets import Secrets, path_in_folder

CONFIG_FOLDER = "/config"
CONFIG_FILE = "run.toml"
KEYS_FOLDER = "/keys/own"
"""Below what is mounted: that belongs to root, and keys are in a folder of their user's alone."""
_SECRET = "/secret"  # noqa: S105 - a folder
_TMP = "/tmp"  # noqa: S108 - an empty volume of the pod
_HOME = f"{_TMP}/home"

_PROBE_LIMIT_S = 10
"""Python starts, and asks for 2 s at the most; a core that is busy takes its time."""


def instance_labels(plan: KubernetesPlan) -> dict[str, str]:
    """Give the labels by which everything of a run is found."""
    return {"app.kubernetes.io/name": "zdqn", "app.kubernetes.io/instance": plan.name}


def component_labels(plan: KubernetesPlan, component: str) -> dict[str, str]:
    """Give the labels by which the pods of a component are found."""
    return {**instance_labels(plan), "app.kubernetes.io/component": component}


@dataclass(frozen=True)
class ReadOnce:
    """What pods read when they start, and not again.

    Attributes:
        secrets: of each role; None for a run without keys.
        digest: of all that they read: pods of another one are replaced.
    """

    secrets: Secrets | None
    digest: str


def pod_template(
    plan: KubernetesPlan,
    of: ServerPod | ClientPods,
    read_once: ReadOnce,
    *,
    arguments: Iterable[str],
    restart: str = "Always",
    mounts: Mapping[str, str] | None = None,
    volumes: Iterable[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Give the template of pods.

    Args:
        plan: of the run.
        of: whose pods they are.
        read_once: by all pods of the run.
        arguments: of ``zdqn``.
        restart: restartPolicy.
        mounts: volume to the folder where it is mounted.
        volumes: that are mounted there, but for those that the pods' owner makes.
    """
    role, secrets = of.role, read_once.secrets
    server = of if isinstance(of, ServerPod) else None
    keyed = ["--keys", KEYS_FOLDER] if secrets is not None else []
    given = {
        "HOME": _HOME,
        "USER": "zdqn",
        **of.environment,
    }  # an image may know neither of its user
    container: dict[str, Any] = {
        "name": role,
        **_image(plan),
        "args": [_literal(word) for word in [*arguments, *keyed]],
        "env": [{"name": name, "value": _literal(value)} for name, value in given.items()],
    }
    if server is not None:
        container["ports"] = [
            {"name": name, "containerPort": port} for name, port in ports_of(server).items()
        ]
        container.update(_probes(server, keyed))
    container.update(
        resources=_resources(of.pods),
        securityContext=_LOCKED,
        terminationMessagePolicy="FallbackToLogsOnError",  # the error of one paragraph
        volumeMounts=[
            {"name": "config", "mountPath": CONFIG_FOLDER, "readOnly": True},
            {"name": "tmp", "mountPath": _TMP},
            *([{"name": "keys", "mountPath": "/keys"}] if keyed else []),
            *({"name": name, "mountPath": path} for name, path in (mounts or {}).items()),
        ],
    )
    spec: dict[str, Any] = {
        "restartPolicy": restart,
        "terminationGracePeriodSeconds": of.pods.grace_s,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": _not_root(plan.kubernetes.user),
    }
    if plan.kubernetes.pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in plan.kubernetes.pull_secrets]
    if of.pods.node_selector:
        spec["nodeSelector"] = dict(of.pods.node_selector)
    if of.pods.tolerations:
        spec["tolerations"] = [dict(taint) for taint in of.pods.tolerations]
    if secrets is not None:
        spec["initContainers"] = [_take_keys(plan, secrets[role], serves=server is not None)]
    spec["containers"] = [container]
    spec["volumes"] = [
        {"name": "config", "configMap": {"name": plan.named("config")}},
        {"name": "tmp", "emptyDir": {}},
        *(_key_volumes(plan, role) if keyed else []),
        *volumes,
    ]
    return {
        "metadata": {
            "labels": component_labels(plan, of.component),
            "annotations": {"zdqn/read-once": read_once.digest},
        },
        "spec": spec,
    }


def ports_of(server: ServerPod) -> dict[str, int]:
    """Give the ports of a server by name: the one that is asked, and the one-way one below."""
    one_way = "transitions" if server.role == "memory" else "weights"
    asked = "samples" if server.role == "memory" else "model"
    return {asked: server.port, one_way: server.port - 1}


# --- parts ----------------------------------------------------------------------------------------

_LOCKED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def _image(plan: KubernetesPlan) -> dict[str, Any]:
    image = {"image": plan.kubernetes.image}
    if plan.kubernetes.pull_policy:
        image["imagePullPolicy"] = plan.kubernetes.pull_policy
    return image


def _not_root(user: int) -> dict[str, Any]:
    return {
        "runAsNonRoot": True,
        "runAsUser": user,
        "runAsGroup": user,
        "fsGroup": user,  # whose volumes and Secrets are to be read
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def _resources(pods: PodsSection) -> dict[str, Any]:
    """Reserve; only memory and GPUs are limited too: a limit on cores makes a role stutter."""
    limits: dict[str, Any] = {"memory": pods.ram}
    if pods.gpus:
        limits["nvidia.com/gpu"] = pods.gpus
    return {"requests": {"cpu": pods.cpu, "memory": pods.ram}, "limits": limits}


def _probes(server: ServerPod, keyed: list[str]) -> dict[str, Any]:
    """Ask the server itself: it answers from its first moment on, whatever it waits for.

    A replay on disk is read before that, which may take minutes.
    """
    command = ["zdqn", "status", *keyed, f"tcp://127.0.0.1:{server.port}"]

    def probe(period_s: int, failures: int) -> dict[str, Any]:
        return {
            "exec": {"command": command},
            "periodSeconds": period_s,
            "timeoutSeconds": _PROBE_LIMIT_S,
            "failureThreshold": failures,
        }

    return {
        "startupProbe": probe(5, 180),
        "readinessProbe": probe(20, 3),
        "livenessProbe": probe(30, 6),
    }


def _take_keys(plan: KubernetesPlan, files: Mapping[str, str], *, serves: bool) -> dict[str, Any]:
    """Copy keys to where only their user reads them; what Kubernetes mounts is root's, and links.

    A server gets an operator's key besides, made in its pod and let in by this server alone: with
    it its probes ask, and whoever is let into the pod.
    """
    lines = [
        "umask 077",
        f"rm -rf {KEYS_FOLDER}",  # of an earlier start of the pod
        f"mkdir -p {KEYS_FOLDER}/allowed" if serves else f"mkdir {KEYS_FOLDER}",
        *(f"cp {_SECRET}/{name} {KEYS_FOLDER}/{path_in_folder(name)}" for name in files),
        *([f"zdqn keys init --keys {KEYS_FOLDER} --role operator"] if serves else []),
    ]
    return {
        "name": "keys",
        **_image(plan),
        "command": ["/bin/sh", "-euc", "\n".join(lines) + "\n"],
        "env": [{"name": "HOME", "value": _HOME}],
        "resources": {
            "requests": {"cpu": "100m", "memory": "128Mi"},
            "limits": {"memory": "256Mi"},
        },
        "securityContext": _LOCKED,
        "volumeMounts": [
            {"name": "secret", "mountPath": _SECRET, "readOnly": True},
            {"name": "keys", "mountPath": "/keys"},
            {"name": "tmp", "mountPath": _TMP},
        ],
    }


def _key_volumes(plan: KubernetesPlan, role: str) -> list[dict[str, Any]]:
    secret = {"secretName": plan.named(f"{role}-keys"), "defaultMode": 0o440}
    return [
        {"name": "secret", "secret": secret},
        {"name": "keys", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
    ]


def _literal(text: str) -> str:
    """Give text as Kubernetes leaves it alone: it takes $(NAME) for a variable."""
    return text.replace("$", "$$")
