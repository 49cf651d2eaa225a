import base64
import contextlib
import itertools
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from tests.http_server import answering

from gpuwise.config import load
from gpuwise.model.command import Mode
from gpuwise.store.kubernetes_collections import COLLECTIONS, OPTIONAL_COLLECTIONS

from .conftest import CHART, CI_VALUES, Helm, of_kind

Objects = list[dict[str, Any]]
Find = Callable[[str, str], dict[str, Any]]

URL = {"prometheus__url": "http://prometheus:9090"}
OPERATOR_KINDS = {"ServiceMonitor", "PrometheusRule"}
# RBAC of which each is a way to more rights (safety.md, security checklist 4).
FORBIDDEN_RESOURCES = {"*", "secrets", "pods/exec", "nodes/proxy", "serviceaccounts/token"}
FORBIDDEN_VERBS = {"*", "escalate", "bind", "impersonate", "create", "delete", "deletecollection"}
FORBIDDEN_RESOURCES |= {"mutatingwebhookconfigurations", "validatingwebhookconfigurations"}


def test_lint_is_strict_and_clean(helm: Helm):
    done = helm.run("lint", "--strict", CHART, "-f", CI_VALUES)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[WARNING]" not in done.stdout


def test_every_object_is_valid_kubernetes(rendered: Objects):
    for one in rendered:
        if one["kind"] not in OPERATOR_KINDS:
            kubernetes_validate.validate(one, "1.33", strict=True)


def test_every_object_carries_the_common_labels(rendered: Objects):
    for one in rendered:
        labels = one["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == "gpuwise"
        assert labels["app.kubernetes.io/instance"] == "prod"
        assert {"app.kubernetes.io/component", "app.kubernetes.io/version", "helm.sh/chart"} <= labels.keys()


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({}, "url"),
        (URL | {"prometheus__ulr": "typo"}, "ulr"),
        (URL | {"replicas": 3}, "replicas"),
        (URL | {"exporter__securityContext": {}}, "securityContext"),
        (URL | {"mode": "yolo"}, "mode"),
        (URL | {"mode": True}, "mode"),
        ({"prometheus__url": "prometheus:9090"}, "url"),
        (URL | {"enforce__namespaces": ["kube-system"]}, "namespaces"),
        (URL | {"enforce__namespaces": ["*"]}, "namespaces"),
        (URL | {"persistence__enabled": False}, "report.enabled needs persistence.enabled"),
    ],
)
def test_values_that_are_not_meant_are_refused(helm: Helm, settings: dict[str, Any], complaint: str):
    done = helm.template(values=None, **settings)
    assert done.returncode != 0
    assert complaint in done.stderr


def test_by_default_nothing_can_be_written(helm: Helm):
    objects = helm.render(values=None, **URL)
    assert not list(of_kind(objects, "Role"))
    assert {kind["kind"] for kind in objects}.isdisjoint({*OPERATOR_KINDS, "NetworkPolicy"})
    (config,) = of_kind(objects, "ConfigMap")
    assert yaml.safe_load(config["data"]["gpuwise.yaml"]) == {
        "policy": {"mode": "recommend"},
        "cluster_name": "default",
        "prometheus": {"url": "http://prometheus:9090"},
        "service": {"token_file": "/etc/gpuwise-service/token"},
        "ledger": {"path": "/var/lib/gpuwise/ledger.db"},
    }


def test_gpuwise_reads_the_configuration_that_the_chart_writes(rendered: Objects, tmp_path: Path):
    (config,) = of_kind(rendered, "ConfigMap", "prod-gpuwise")
    file = tmp_path / "gpuwise.yaml"
    file.write_text(config["data"]["gpuwise.yaml"])
    found = load(file, {}, {})
    assert found.policy.mode is Mode.ENFORCE
    assert str(found.prometheus.bearer_token_file) == "/etc/gpuwise-prometheus/token"
    assert found.prometheus.headers == {"X-Scope-OrgID": "research"}


def test_a_file_that_the_configuration_names_is_mounted_wherever_it_is_read(find: Find):
    for kind, name, path in (
        ("Deployment", "prod-gpuwise", ()),
        ("CronJob", "prod-gpuwise-report", ("jobTemplate", "spec")),
    ):
        spec = find(kind, name)["spec"]
        for key in path:
            spec = spec[key]
        pod = spec["template"]["spec"]
        mounted = {mount["mountPath"]: mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        assert volumes[mounted["/etc/gpuwise-secrets/prometheus-ca"]]["secret"]["secretName"] == "prometheus-ca"


def test_the_service_demands_a_token_whether_or_not_one_is_given(helm: Helm, rendered: Objects):
    assert not list(of_kind(rendered, "Secret"))
    objects = helm.render(values=None, **URL)
    (secret,) = of_kind(objects, "Secret")
    (service,) = of_kind(objects, "Deployment")
    volumes = {v["name"]: v for v in service["spec"]["template"]["spec"]["volumes"]}
    assert volumes["service-token"]["secret"]["secretName"] == secret["metadata"]["name"]
    assert len(base64.b64decode(secret["data"]["token"])) == 40


def test_no_rule_is_a_way_to_more_rights(rendered: Objects):
    roles = [one for one in rendered if one["kind"] in {"Role", "ClusterRole"}]
    for rule in itertools.chain.from_iterable(role["rules"] for role in roles):
        assert FORBIDDEN_RESOURCES.isdisjoint(rule["resources"])
        assert "*" not in rule["apiGroups"]
        assert {"*", "escalate", "bind", "impersonate", "create", "delete", "deletecollection"}.isdisjoint(
            rule["verbs"]
        )


def test_the_cluster_wide_role_only_reads(rendered: Objects):
    for role in of_kind(rendered, "ClusterRole"):
        for rule in role["rules"]:
            assert set(rule["verbs"]) == {"get", "list", "watch"}


@pytest.mark.parametrize("path", [*COLLECTIONS.values(), *OPTIONAL_COLLECTIONS.values()])
def test_every_collection_of_the_inventory_may_be_listed(rendered: Objects, path: str):
    """A 403 on one list is no inventory at all."""
    group, resource = path.split("/")[2] if path.startswith("/apis/") else "", path.rpartition("/")[2]
    (role,) = of_kind(rendered, "ClusterRole")
    assert any(group in rule["apiGroups"] and resource in rule["resources"] for rule in role["rules"])


def test_writes_are_given_by_namespace_to_the_service_alone(rendered: Objects):
    assert {role["metadata"]["namespace"] for role in of_kind(rendered, "Role")} == {"research", "serving"}
    for binding in of_kind(rendered, "RoleBinding"):
        assert [subject["name"] for subject in binding["subjects"]] == ["prod-gpuwise-service"]


def test_the_exporter_holds_no_token_and_no_capability(find: Find):
    exporter = find("DaemonSet", "prod-gpuwise-exporter")
    pod = exporter["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert exporter["metadata"]["namespace"] == "gpuwise-exporter"
    assert pod["automountServiceAccountToken"] is False
    assert find("ServiceAccount", "prod-gpuwise-exporter")["automountServiceAccountToken"] is False
    assert {"hostNetwork", "hostPID", "hostIPC"}.isdisjoint(pod)
    assert pod["runtimeClassName"] == "nvidia"
    assert pod["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
    assert [mount["readOnly"] for mount in container["volumeMounts"]] == [True]
    env = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert (env["NVIDIA_VISIBLE_DEVICES"], env["NVIDIA_MIG_MONITOR_DEVICES"]) == ("all", "all")
    assert "nvidia.com/gpu" not in str(container["resources"])


def pod_specs(objects: Objects) -> Iterator[tuple[str, dict[str, Any]]]:
    for one in objects:
        spec = one.get("spec", {})
        if one["kind"] == "Pod":
            yield one["metadata"]["name"], spec
        elif one["kind"] == "CronJob":
            yield one["metadata"]["name"], spec["jobTemplate"]["spec"]["template"]["spec"]
        elif "template" in spec:
            yield one["metadata"]["name"], spec["template"]["spec"]


def test_every_container_is_locked_down(rendered: Objects):
    specs = list(pod_specs(rendered))
    assert len(specs) == 4
    for _, spec in specs:
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in spec["containers"]:
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False
            assert security["readOnlyRootFilesystem"] is True
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert "memory" in container["resources"]["limits"]


def test_all_but_the_exporter_pass_pod_security_restricted(rendered: Objects):
    for name, spec in pod_specs(rendered):
        if not name.endswith("exporter"):
            assert spec["securityContext"]["runAsNonRoot"] is True
            assert not [volume for volume in spec["volumes"] if "hostPath" in volume] if "volumes" in spec else True


def test_one_writer_never_two(find: Find):
    spec = find("Deployment", "prod-gpuwise")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def test_the_report_runs_beside_the_service_whose_claim_it_shares(find: Find):
    pod = find("CronJob", "prod-gpuwise-report")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    service = find("Deployment", "prod-gpuwise")["spec"]["template"]
    (rule,) = pod["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert rule["labelSelector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    claims = [volume["persistentVolumeClaim"] for volume in pod["volumes"] if "persistentVolumeClaim" in volume]
    assert claims == [{"claimName": "prod-gpuwise"}]
    assert pod["serviceAccountName"] == "prod-gpuwise-report"


def test_services_and_monitors_select_what_runs(rendered: Objects, find: Find):
    for service in of_kind(rendered, "Service"):
        owner = "DaemonSet" if service["metadata"]["name"].endswith("exporter") else "Deployment"
        template = find(owner, service["metadata"]["name"])["spec"]["template"]
        assert service["spec"]["selector"].items() <= template["metadata"]["labels"].items()
        monitor = find("ServiceMonitor", service["metadata"]["name"])["spec"]
        assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
        assert monitor["namespaceSelector"]["matchNames"] == [service["metadata"]["namespace"]]
        assert monitor["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"]


def test_the_exporters_own_pod_never_stands_on_a_devices_series(find: Find):
    (endpoint,) = find("ServiceMonitor", "prod-gpuwise-exporter")["spec"]["endpoints"]
    assert endpoint["honorLabels"] is True
    assert endpoint["relabelings"] == [{"action": "labeldrop", "regex": "namespace|pod|container"}]


def test_rules_and_dashboard_travel_unchanged(find: Find):
    assert find("PrometheusRule", "prod-gpuwise")["spec"] == yaml.safe_load((CHART / "files/alerts.yaml").read_text())
    board = find("ConfigMap", "prod-gpuwise-dashboard")
    assert board["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert yaml.safe_load(board["data"]["gpuwise.json"]) == yaml.safe_load((CHART / "files/dashboard.json").read_text())


@contextlib.contextmanager
def api_server() -> Iterator[str]:
    """As much of an API server as helm 3 wants to see before it prints the notes of a chart without objects."""
    with answering(lambda _: (200, b'{"major":"1","minor":"33","gitVersion":"v1.33.0"}')) as url:
        yield url


@pytest.mark.parametrize(
    ("mode", "namespaces", "says"),
    [
        ("recommend", [], "It changes nothing"),
        ("enforce", [], "enforce.namespaces is empty"),
        ("enforce", ["research"], "It may patch Deployments, StatefulSets and Jobs in: research."),
    ],
)
def test_the_notes_tell_the_mode_and_the_next_command(
    helm: Helm, tmp_path: Path, mode: str, namespaces: list[str], says: str
):
    notes_only = shutil.copytree(CHART, tmp_path / "gpuwise", ignore=shutil.ignore_patterns("*.yaml", "tests"))
    for name in ("Chart.yaml", "values.yaml"):
        shutil.copy(CHART / name, notes_only)
    where = f"--set-json=enforce.namespaces={json.dumps(namespaces)}"
    sets = [f"--set=mode={mode},prometheus.url=http://p:9090", where]
    with api_server() as url:
        done = helm.run("install", "prod", notes_only, "--dry-run=client", "--kube-apiserver", url, *sets)
    assert done.returncode == 0, done.stderr
    notes = done.stdout.partition("NOTES:")[2]
    assert f"mode: {mode}" in notes
    assert says in notes
    assert "gpuwise doctor" in notes
