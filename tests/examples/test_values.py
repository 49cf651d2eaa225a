"""The values of each platform: the chart accepts them, the objects are valid, and they have their effect."""

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from tests.helm.conftest import CHART, Helm, of_kind, pod_of

from gpuwise.config import Config, load

from .conftest import EXAMPLES

Objects = list[dict[str, Any]]
VALUES = sorted(EXAMPLES.glob("values-*.yaml"))
OPERATOR_KINDS = {"ServiceMonitor", "PrometheusRule"}
EVERYWHERE = {"service", "report", "exporter"}


def render(helm: Helm, platform: str, *more: object) -> Objects:
    done = helm.run(
        "template", "gpuwise", CHART, "--namespace", "gpuwise", "-f", EXAMPLES / f"values-{platform}.yaml", *more
    )
    assert done.returncode == 0, done.stderr
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def pods(objects: Objects) -> dict[str, dict[str, Any]]:
    """Pod specs by component, without the pod of `helm test`."""
    found = [one for kind in ("Deployment", "DaemonSet", "CronJob") for one in of_kind(objects, kind)]
    return {one["metadata"]["labels"]["app.kubernetes.io/component"]: pod_of(one) for one in found}


def configuration(objects: Objects, folder: Path) -> Config:
    """The configuration that the chart writes, read by gpuwise."""
    (config,) = of_kind(objects, "ConfigMap", "gpuwise")
    (folder / "gpuwise.yaml").write_text(config["data"]["gpuwise.yaml"])
    return load(folder / "gpuwise.yaml", {}, {})


def mounted(pod: dict[str, Any], path: str) -> dict[str, Any]:
    """The volume at this path of the pod's container."""
    (name,) = (one["name"] for one in pod["containers"][0]["volumeMounts"] if one["mountPath"] == path)
    (volume,) = (one for one in pod["volumes"] if one["name"] == name)
    return volume


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_lint_is_strict_and_clean(helm: Helm, values: Path):
    done = helm.run("lint", "--strict", CHART, "-f", values)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[WARNING]" not in done.stdout


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_every_object_is_valid_kubernetes(helm: Helm, values: Path):
    objects = render(helm, values.stem.removeprefix("values-"))
    assert pods(objects).keys() == EVERYWHERE
    for one in objects:
        if one["kind"] not in OPERATOR_KINDS:
            kubernetes_validate.validate(one, "1.33", strict=True)


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_it_cannot_change_workloads(helm: Helm, values: Path, tmp_path: Path):
    objects = render(helm, values.stem.removeprefix("values-"))
    assert configuration(objects, tmp_path).policy.mode == "recommend"
    assert [role["metadata"]["name"] for role in of_kind(objects, "Role")] == ["gpuwise-ledger-head"]


def test_eks_uses_ecr_gp3_and_a_node_group(helm: Helm):
    objects = render(helm, "eks")
    found = pods(objects)
    for pod in found.values():
        assert ".dkr.ecr." in pod["containers"][0]["image"]
        assert "imagePullSecrets" not in pod
    assert found["service"]["nodeSelector"] == {"eks.amazonaws.com/nodegroup": "system"}
    assert found["exporter"]["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
    assert "runtimeClassName" not in found["exporter"]
    (claim,) = of_kind(objects, "PersistentVolumeClaim")
    assert claim["spec"]["storageClassName"] == "gp3"


def test_eks_is_scraped_by_kube_prometheus_stack(helm: Helm):
    objects = render(helm, "eks")
    kinds = [one for kind in OPERATOR_KINDS for one in of_kind(objects, kind)]
    assert {one["kind"] for one in kinds} == OPERATOR_KINDS
    assert {one["metadata"]["labels"]["release"] for one in kinds} == {"kube-prometheus-stack"}


def test_gke_runs_the_exporter_on_the_node_pools_of_the_gpu_operator(helm: Helm):
    found = pods(render(helm, "gke"))
    exporter = found["exporter"]
    assert exporter["runtimeClassName"] == "nvidia"
    assert exporter["nodeSelector"] == {"gke-no-default-nvidia-gpu-device-plugin": "true"}
    (term,) = exporter["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][
        "nodeSelectorTerms"
    ]
    assert term["matchExpressions"] == [{"key": "cloud.google.com/gke-accelerator", "operator": "Exists"}]
    assert {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in exporter["tolerations"]
    # Outside kube-system, GKE admits the priority system-node-critical only with a quota for it.
    assert "priorityClassName" not in exporter
    assert found["service"]["nodeSelector"] == {"cloud.google.com/gke-nodepool": "system"}


def test_on_premises_reads_a_tenant_of_mimir_over_tls(helm: Helm, tmp_path: Path):
    objects = render(helm, "on-premises")
    prometheus = configuration(objects, tmp_path).prometheus
    assert prometheus.url == "https://mimir.corp.example/prometheus"
    assert prometheus.headers == {"X-Scope-OrgID": "ml-platform"}
    assert prometheus.username == "gpuwise"
    assert prometheus.ca_file
    assert prometheus.password_file
    for component in ("service", "report"):
        for file in (prometheus.ca_file, prometheus.password_file):
            volume = mounted(pods(objects)[component], str(file.parent))
            assert volume["secret"]["secretName"] == file.parent.name


def test_on_premises_pulls_with_a_secret_and_allows_its_egress(helm: Helm):
    objects = render(helm, "on-premises")
    for pod in pods(objects).values():
        assert pod["imagePullSecrets"] == [{"name": "registry-login"}]
    ports = {
        port["port"]
        for policy in of_kind(objects, "NetworkPolicy")
        for rule in policy["spec"].get("egress", [])
        for port in rule.get("ports", [])
    }
    assert {443, 6443} <= ports
    assert 9090 not in ports


def test_on_premises_uses_the_example_prices_and_grid(helm: Helm, tmp_path: Path):
    files = [f"--set-file={name}.csv={EXAMPLES / f'{name}.csv'}" for name in ("prices", "grid")]
    objects = render(helm, "on-premises", *files)
    found = configuration(objects, tmp_path)
    written = {
        key: text for one in of_kind(objects, "ConfigMap") for key, text in one["data"].items() if key.endswith(".csv")
    }
    assert {path.name for path in (found.prices, found.grid) if path} == written.keys()
    for name, text in written.items():
        assert text.strip() == (EXAMPLES / name).read_text().strip()


def test_openshift_sets_the_user_and_its_monitoring_is_read_with_a_token(helm: Helm, tmp_path: Path):
    objects = render(helm, "openshift")
    prometheus, found = configuration(objects, tmp_path).prometheus, pods(objects)
    assert prometheus.url == "https://thanos-querier.openshift-monitoring.svc:9091"
    assert prometheus.bearer_token_file
    assert prometheus.ca_file
    for component in ("service", "report"):
        pod = found[component]
        assert {"runAsUser", "runAsGroup", "fsGroup"}.isdisjoint(pod["securityContext"])
        assert mounted(pod, str(prometheus.bearer_token_file.parent))["secret"]["secretName"] == "metrics-token"
        assert mounted(pod, str(prometheus.ca_file.parent))["configMap"]["name"] == "openshift-service-ca.crt"
    assert found["exporter"]["securityContext"]["seLinuxOptions"] == {"type": "spc_t"}
