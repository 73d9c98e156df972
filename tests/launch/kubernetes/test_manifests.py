"""The objects of a run: by themselves, against each other, and against the published schema."""

import re
import tomllib

import click
import msgspec
import pytest

from tests.launch.kubernetes.plans import SECRETS, container_of, plan, pod_of, printed
from zdqn import errors
from zdqn.cli.application import application
from zdqn.config import load_config, to_toml
from zdqn.config.cluster_sections import ClientsSection, ServerSection
from zdqn.config.kubernetes_sections import KubernetesSection
from zdqn.launch.kubernetes.manifests import HOPELESS, write_manifests
from zdqn.launch.plan import RESTARTABLE_EXIT_CODES

KEPT = {"replay.storage": "disk"}
EVERYTHING = {
    "pull_policy": "Always",
    "pull_secrets": ("registry",),
    "namespace": "rl",
    "memory": {"storage": "20Gi", "storage_class": "fast"},
    "learner": {"gpus": 1, "node_selector": {"pool": "gpu"},
                "tolerations": ({"key": "gpu", "operator": "Exists"},)},
}  # fmt: skip
DEPLOYED = [("StatefulSet", "cluster-memory"), ("Job", "cluster-learner"),
            ("Deployment", "cluster-collectors"), ("Deployment", "cluster-evaluators")]  # fmt: skip


def test_a_run_is_these_objects():
    assert list(printed(plan())) == [
        ("ConfigMap", "cluster-config"),
        ("Secret", "cluster-memory-keys"),
        ("Secret", "cluster-learner-keys"),
        ("Secret", "cluster-collector-keys"),
        ("Secret", "cluster-evaluator-keys"),
        ("Service", "cluster-memory"),
        ("Service", "cluster-learner"),
        ("StatefulSet", "cluster-memory"),
        ("PersistentVolumeClaim", "cluster-run"),
        ("Job", "cluster-learner"),
        ("Deployment", "cluster-collectors"),
        ("Deployment", "cluster-evaluators"),
    ]


def test_pods_read_the_very_configuration(tmp_path):
    planned = plan(overrides={"environment.kwargs": {"odd": "yes: 'no' \\ \"x\"\n\ttab"}})
    found = printed(planned)
    path = tmp_path / "run.toml"
    path.write_text(found["ConfigMap", "cluster-config"]["data"]["run.toml"])
    assert path.read_text() == to_toml(planned.config)
    assert load_config(path) == planned.config


def test_each_pod_mounts_its_own_secret_and_no_other():
    found = printed(plan())
    for (kind, name), role in zip(DEPLOYED, SECRETS, strict=True):
        pod = pod_of(found[kind, name])
        secrets = [volume["secret"] for volume in pod["volumes"] if "secret" in volume]
        assert [secret["secretName"] for secret in secrets] == [f"cluster-{role}-keys"]
        assert found["Secret", f"cluster-{role}-keys"]["stringData"] == SECRETS[role]
        assert [mount["name"] for mount in container_of(found[kind, name])["volumeMounts"]] == [
            "config", "tmp", "keys", *({"learner": ["runs"]}.get(role, [])),
        ]  # fmt: skip  # keys were copied; Secrets are seen by the first container alone


def test_no_secret_stands_anywhere_but_in_its_secret():
    text = write_manifests(plan(), SECRETS, log_level="info")
    for number in ("01", "03", "05", "06"):
        assert text.count(f"secret {number}") == 1


def test_without_keys_servers_are_told_so_and_nothing_has_any():
    found = printed(plan(), None)
    assert not [kind for kind, _ in found if kind == "Secret"]
    for kind, name in DEPLOYED:
        arguments = container_of(found[kind, name])["args"]
        assert ("--insecure" in arguments) == (kind != "Deployment")
        assert "--keys" not in arguments
        assert "initContainers" not in pod_of(found[kind, name])


def test_services_lead_to_the_ports_and_pods_of_their_servers():
    found = printed(plan(learner=ServerSection(port=7000)))
    for role, kind, ports in (
        ("memory", "StatefulSet", {"samples": 5556, "transitions": 5555}),
        ("learner", "Job", {"model": 7000, "weights": 6999}),
    ):
        service = found["Service", f"cluster-{role}"]["spec"]
        template = found[kind, f"cluster-{role}"]["spec"]["template"]
        container = template["spec"]["containers"][0]
        assert {port["name"]: port["port"] for port in service["ports"]} == ports
        assert {port["name"]: port["containerPort"] for port in container["ports"]} == ports
        assert service["selector"].items() <= template["metadata"]["labels"].items()
        pods = [
            pods for pods in found.values()
            if "template" in pods.get("spec", {})
            and service["selector"].items()
            <= pods["spec"]["template"]["metadata"]["labels"].items()
        ]  # fmt: skip
        assert len(pods) == 1


@pytest.mark.parametrize("secrets", [SECRETS, None])
@pytest.mark.parametrize("overrides", [{}, KEPT])
def test_zdqn_takes_the_arguments_of_every_container(secrets, overrides):
    found = printed(plan(overrides=overrides), secrets)
    for kind, name in DEPLOYED:
        role, *arguments = container_of(found[kind, name])["args"]
        command = application.get_command(click.Context(application), role)
        assert command is not None
        context = command.make_context(role, arguments)
        assert str(context.params["config_path"]) == "/config/run.toml"
        if role == "learner":
            assert context.params["memory"] == "tcp://cluster-memory:5556"
            assert context.params["preemptible"]
        if role in ("collector", "evaluator"):
            assert context.params["learner"] == "tcp://cluster-learner:5558"
        if role == "memory":
            kept = context.params["run_dir"]
            assert (str(kept) == "/replay/cluster") if overrides else kept is None


def test_probes_ask_the_server_as_a_person_would():
    found = printed(plan())
    for (kind, name), port in zip(DEPLOYED[:2], (5556, 5558), strict=True):
        container = container_of(found[kind, name])
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            command, *arguments = container[probe]["exec"]["command"]
            assert command == "zdqn"
            assert arguments == ["status", "--keys", "/keys/own", f"tcp://127.0.0.1:{port}"]
    for kind, name in DEPLOYED[2:]:
        assert not [key for key in container_of(found[kind, name]) if "Probe" in key]


def test_a_finished_learner_is_not_started_again_and_a_hopeless_one_neither():
    job = printed(plan(overrides={"launch.max_restarts": 7}))["Job", "cluster-learner"]["spec"]
    assert job["template"]["spec"]["restartPolicy"] == "Never"
    assert job["backoffLimit"] == 7
    lost, hopeless = job["podFailurePolicy"]["rules"]
    assert lost["action"] == "Ignore"
    assert hopeless["action"] == "FailJob"
    assert hopeless["onExitCodes"]["values"] == list(HOPELESS)


def test_those_exit_codes_are_hopeless_after_which_nobody_starts_again():
    codes = {
        kind.exit_code
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.ZdqnError)
    }
    assert set(HOPELESS) == codes - RESTARTABLE_EXIT_CODES


def test_other_values_replace_the_pods_that_have_read_the_old_ones():
    def digests(planned, secrets=SECRETS):
        found = printed(planned, secrets)
        return {
            found[which]["spec"]["template"]["metadata"]["annotations"]["zdqn/read-once"]
            for which in DEPLOYED
        }

    (before,) = digests(plan())
    assert digests(plan()) == {before}
    assert digests(plan(overrides={"run.seed": 9})) != {before}
    assert digests(plan(), {**SECRETS, "learner": {"learner.secret": "secret 09\n"}}) != {before}


def test_nobody_is_root_and_nothing_can_be_written_but_volumes():
    found = printed(plan(overrides=KEPT, kubernetes={"user": 1234}))
    for which in DEPLOYED:
        pod = pod_of(found[which])
        assert pod["securityContext"]["runAsNonRoot"]
        assert {pod["securityContext"][key] for key in ("runAsUser", "runAsGroup", "fsGroup")} == {
            1234
        }
        assert pod["automountServiceAccountToken"] is False
        for container in [*pod["containers"], *pod["initContainers"]]:
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"]
            assert not context["allowPrivilegeEscalation"]
            assert context["capabilities"] == {"drop": ["ALL"]}


def test_every_volume_that_is_mounted_is_there():
    found = printed(plan(overrides=KEPT))
    for which in DEPLOYED:
        pod, spec = pod_of(found[which]), found[which]["spec"]
        claims = spec.get("volumeClaimTemplates", [])
        there = {volume["name"] for volume in pod["volumes"]}
        there |= {claim["metadata"]["name"] for claim in claims}
        for container in [*pod["containers"], *pod["initContainers"]]:
            assert {mount["name"] for mount in container["volumeMounts"]} <= there
        for volume in pod["volumes"]:
            claim = volume.get("persistentVolumeClaim", {"claimName": "cluster-run"})["claimName"]
            assert ("PersistentVolumeClaim", claim) in found


def test_pods_get_what_the_file_says():
    found = printed(
        plan(
            kubernetes={
                **EVERYTHING,
                "collectors": {"cpu": "500m", "ram": "256Mi", "grace_s": 45},
            },
            overrides=KEPT,
        )
    )
    collectors = found["Deployment", "cluster-collectors"]
    assert container_of(collectors)["resources"] == {
        "requests": {"cpu": "500m", "memory": "256Mi"},
        "limits": {"memory": "256Mi"},
    }
    assert pod_of(collectors)["terminationGracePeriodSeconds"] == 45
    learner = found["Job", "cluster-learner"]
    assert container_of(learner)["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert pod_of(learner)["nodeSelector"] == {"pool": "gpu"}
    assert pod_of(learner)["tolerations"] == [{"key": "gpu", "operator": "Exists"}]
    assert "nodeSelector" not in pod_of(collectors)
    assert container_of(learner)["imagePullPolicy"] == "Always"
    assert pod_of(learner)["imagePullSecrets"] == [{"name": "registry"}]
    assert {found["metadata"]["namespace"] for found in found.values()} == {"rl"}
    (claim,) = found["StatefulSet", "cluster-memory"]["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["storageClassName"] == "fast"
    assert claim["spec"]["resources"]["requests"]["storage"] == "20Gi"


def test_variables_come_as_they_are_written():
    odd = {"A": "$(HOME) $$ $x", "B": "yes", "C": 'say "hi"\n', "D": "1"}
    found = printed(plan(collectors=(ClientsSection(hosts=("c",), environment=odd),)))
    given = container_of(found["Deployment", "cluster-collectors"])["env"]
    values = {variable["name"]: variable["value"] for variable in given}
    for name, value in odd.items():  # Kubernetes makes one $ of two
        assert re.sub(r"\$\$", "$", values[name]) == value
        assert not re.search(r"(?<!\$)(\$\$)*\$\(", values[name])


def test_deployments_of_several_kinds_do_not_share_pods():
    found = printed(
        plan(collectors=(ClientsSection(hosts=("a",)), ClientsSection(hosts=("b",), each=3)))
    )
    first, second = (found["Deployment", f"cluster-collectors{end}"]["spec"] for end in ("", "-2"))
    assert (first["replicas"], second["replicas"]) == (1, 3)
    assert first["selector"] != second["selector"]
    for spec in (first, second):
        assert spec["selector"]["matchLabels"] == spec["template"]["metadata"]["labels"]


def test_the_log_level_is_handed_on():
    for which in DEPLOYED:
        arguments = container_of(printed(plan(), log_level="debug")[which])["args"]
        assert arguments[arguments.index("--log-level") + 1] == "debug"


def test_its_head_says_how_to_watch_scale_and_end_it_and_what_says_nothing():
    text = write_manifests(
        plan(memory=ServerSection(host="m"), kubernetes={"namespace": "rl"}), SECRETS,
        log_level="info",
    )  # fmt: skip
    head = text.partition("---\n")[0]
    assert all(line.startswith("#") for line in head.splitlines())
    assert "SECRET" in head
    assert "memory.host" in head
    assert "kubectl -n rl exec job/cluster-learner -- zdqn stop --keys /keys/own" in head
    assert "# kubectl -n rl scale deployment/cluster-collectors --replicas=8\n" in text
    assert "SECRET" not in write_manifests(plan(), None, log_level="info")


@pytest.mark.parametrize("kubernetes", [{}, EVERYTHING])
@pytest.mark.parametrize("secrets", [SECRETS, None])
@pytest.mark.parametrize("version", ["1.31", "1.34"])
def test_kubernetes_knows_every_key_of_them(kubernetes, secrets, version):
    validate = pytest.importorskip("kubernetes_validate", reason="needs kubernetes-validate (dev)")
    planned = plan(overrides=KEPT, kubernetes=kubernetes)
    for document in printed(planned, secrets).values():
        validate.validate(document, version, strict=True)


def test_what_kubernetes_would_refuse_is_seen():
    validate = pytest.importorskip("kubernetes_validate", reason="needs kubernetes-validate (dev)")
    job = printed(plan())["Job", "cluster-learner"]
    job["spec"]["podFailurePolicy"]["rules"][1]["onExitCode"] = {}
    with pytest.raises(validate.ValidationError):
        validate.validate(job, "1.34", strict=True)


def test_the_configuration_stands_there_to_be_read():
    text = write_manifests(plan(), None, log_level="info")
    assert "  run.toml: |\n    [run]\n    seed = 0\n" in text
    assert tomllib.loads(to_toml(plan().config))["run"]["seed"] == 0


@pytest.mark.parametrize("key", ["name", "namespace", "pull_policy"])
def test_the_end_of_a_line_is_no_part_of_a_name(key):
    """It would end the comment in which the name stands, and be YAML from there on."""
    with pytest.raises(msgspec.ValidationError, match="regex"):
        msgspec.convert({"image": "zdqn:1", key: "prod\n"}, KubernetesSection)
