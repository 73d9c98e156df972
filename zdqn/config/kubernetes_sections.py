"""What ``[kubernetes]`` of a cluster's file holds: the image, and what each role's pods get."""

from __future__ import annotations

from typing import Annotated

from zdqn.config.section import Section, key

_QUANTITY = r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti|P|Pi)?\Z"
_LABEL = r"^([a-z]([-a-z0-9]*[a-z0-9])?)?\Z"  # where $ would let the end of a line pass
_MOST_NAME = 40
"""Kubernetes makes names of at most 63 letters of it: of pods, and labels with a hash."""


class PodsSection(Section, frozen=True, kw_only=True):
    """The pods of a role; memory and learner have one each."""

    cpu: Annotated[
        str,
        key("Processor cores that are reserved, such as `2` or `500m`.", pattern=_QUANTITY),
    ] = "1"
    ram: Annotated[
        str,
        key(
            "Memory that is reserved, such as `4Gi`; a pod that takes more is killed.",
            pattern=_QUANTITY,
        ),
    ] = "1Gi"
    gpus: Annotated[int, key("GPUs (`nvidia.com/gpu`).", ge=0, le=16)] = 0
    grace_s: Annotated[
        int,
        key("Seconds from the signal to end until a pod is killed.", ge=15, le=86_400),
    ] = 30
    node_selector: Annotated[
        dict[str, str], key("Labels of the nodes that will do, such as `{ pool = 'gpu' }`.")
    ] = {}  # noqa: RUF012 - msgspec copies it
    tolerations: Annotated[
        tuple[dict[str, str], ...],
        key("Taints of nodes that do not matter, as `{ key = 'gpu', operator = 'Exists' }`."),
    ] = ()


class StoringPodsSection(PodsSection, frozen=True, kw_only=True):
    """The pod of a server, and its volume."""

    ram: Annotated[
        str,
        key(
            "Memory that is reserved, such as `4Gi`; a pod that takes more is killed.",
            pattern=_QUANTITY,
        ),
    ] = "4Gi"
    grace_s: Annotated[
        int,
        key(
            "Seconds from the signal to end until a pod is killed: room for the last checkpoint, "
            "or for the last snapshot of the replay.",
            ge=15,
            le=86_400,
        ),
    ] = 120
    storage: Annotated[
        str,
        key(
            "Size of its volume, such as `50Gi`. Empty chooses 10Gi: of the learner always, of the "
            "memory where the replay is kept (`replay.storage`, `replay.snapshot_period_s`).",
            pattern=rf"^\Z|{_QUANTITY}",
        ),
    ] = ""
    storage_class: Annotated[
        str, key("Class of its volume. Empty: what the cluster takes by default.")
    ] = ""


class ClientPodsSection(PodsSection, frozen=True, kw_only=True):
    """The pods of collectors, or of evaluators."""

    replicas: Annotated[
        int,
        key(
            "Pods of each `[[collectors]]` or `[[evaluators]]`, or in all where the file has none. "
            "-1 chooses: as many as hosts times `each`, or 2 collectors and 1 evaluator. "
            "`kubectl scale` changes it.",
            ge=-1,
            le=10_000,
        ),
    ] = -1


class KubernetesSection(Section, frozen=True, kw_only=True):
    """A run on Kubernetes: what `zdqn launch --kubernetes` needs besides."""

    image: Annotated[
        str, key("Image with zdqn, as docs/deploy/Containerfile makes it. It must be given.")
    ] = ""
    pull_policy: Annotated[
        str,
        key(
            "`Always`, `IfNotPresent` or `Never`. Empty: as Kubernetes chooses.", pattern=r"^\w*\Z"
        ),
    ] = ""
    pull_secrets: Annotated[
        tuple[str, ...], key("Names of Secrets by which the image may be pulled.")
    ] = ()
    name: Annotated[
        str,
        key(
            "What the run's objects are called: small letters, digits and dashes. Empty: as the "
            "file.",
            pattern=_LABEL,
            max_length=_MOST_NAME,
        ),
    ] = ""
    namespace: Annotated[
        str,
        key(
            "Namespace of the objects, which must be there. Empty: that of kubectl.",
            pattern=_LABEL,
            max_length=63,
        ),
    ] = ""
    user: Annotated[
        int, key("Number of user and group of the processes; never root.", ge=1, le=2**31 - 1)
    ] = 1000
    memory: StoringPodsSection = StoringPodsSection()
    learner: StoringPodsSection = StoringPodsSection()
    collectors: ClientPodsSection = ClientPodsSection()
    evaluators: ClientPodsSection = ClientPodsSection()
