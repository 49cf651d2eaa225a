"""The effect of each value; one test per special case of a cluster."""

import json
import re
import shutil
import stat
import subprocess
import sys
from typing import Any

import pytest
import yaml

from gpuwise.config import load
from gpuwise.sources.prices import read_prices

from .conftest import CHART, REQUIRED, ROOT, Helm, of_kind, pod_of
from .test_monitoring import script

Objects = list[dict[str, Any]]
OLD_VALUES = ROOT / "tests" / "helm" / "values-0.1.0.yaml"


def render(helm: Helm, **settings: Any) -> Objects:
    return helm.render(values=None, **REQUIRED | settings)


def pods(objects: Objects) -> dict[str, dict[str, Any]]:
    """Pod specs by component."""
    found = [one for kind in ("Deployment", "DaemonSet", "CronJob", "Pod") for one in of_kind(objects, kind)]
    return {one["metadata"]["labels"]["app.kubernetes.io/component"]: pod_of(one) for one in found}


def configuration(objects: Objects) -> dict[str, Any]:
    (config,) = of_kind(objects, "ConfigMap", "prod-gpuwise")
    return config["data"]


def test_the_schema_is_generated_by_its_script():
    assert (CHART / "values.schema.json").read_text() == script("values_schema").build()


def test_the_schema_knows_every_value_that_has_a_default():
    def unknown(values: dict[str, Any], schema: dict[str, Any], path: str = "") -> list[str]:
        named = schema.get("properties", {})
        missing = [f"{path}{key}" for key in values if key not in named and schema.get("additionalProperties") is False]
        inner = [(key, value) for key, value in values.items() if key in named and isinstance(value, dict)]
        return missing + [name for key, value in inner for name in unknown(value, named[key], f"{path}{key}.")]

    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert unknown(values, schema) == []
    assert schema["properties"].keys() - values.keys() == {"global"}


@pytest.mark.parametrize("page", ["docs/install.md", "README.md", "helm/gpuwise/templates/NOTES.txt"])
def test_each_value_named_in_the_docs_exists(page: str):
    def has(values: Any, path: str) -> bool:
        first, _, rest = path.partition(".")
        return isinstance(values, dict) and first in values and (not rest or has(values[first], rest))

    values = yaml.safe_load((CHART / "values.yaml").read_text())
    text = (ROOT / page).read_text()
    named = set(re.findall(r"--set(?:-json|-file)? '?([a-zA-Z.]+)=", text))
    named |= {name for name in re.findall(r"`([a-zA-Z.]+)[`:=]", text) if "." in name and name.split(".")[0] in values}
    own = {"policy", "config"}  # keys of gpuwise's configuration, which are in the schema
    missing = {name for name in named if name.split(".")[0] not in own and not has(values, name)}
    assert missing <= {"exporter.podSecurityContext.seLinuxOptions.type"}
    assert named


@pytest.mark.parametrize("settings", [{}, {"service__tokenSecret__name": "mine"}])
def test_two_renderings_are_equal_as_argo_cd_needs_it(helm: Helm, settings: dict[str, Any]):
    """Argo CD renders without the cluster's state: a token generated in a template would change with every sync."""
    first, second = (helm.template(values=None, **REQUIRED | settings) for _ in range(2))
    assert first.returncode == 0, first.stderr
    assert first.stdout == second.stdout
    assert not list(of_kind([one for one in yaml.safe_load_all(first.stdout) if one], "Secret"))


def test_the_first_start_creates_a_token_and_later_starts_keep_it(helm: Helm, tmp_path):
    (drawer,) = pods(render(helm))["service"]["initContainers"]
    program = drawer["args"][0].replace("/var/lib/gpuwise", str(tmp_path))
    tokens = []
    for _ in range(2):
        subprocess.run([sys.executable, "-c", program], check=True, timeout=300)
        tokens.append((tmp_path / "service-token").read_text())
    assert tokens[0] == tokens[1]
    assert len(tokens[0]) == 40
    assert [path.name for path in tmp_path.iterdir()] == ["service-token"]
    assert stat.S_IMODE((tmp_path / "service-token").stat().st_mode) & 0o007 == 0


def test_a_users_token_is_mounted_and_none_is_created(helm: Helm):
    objects = render(helm, service__tokenSecret={"name": "mine", "key": "password"})
    service = pods(objects)["service"]
    assert "initContainers" not in service
    (volume,) = (one for one in service["volumes"] if one["name"] == "service-token")
    assert volume["secret"] == {"secretName": "mine", "items": [{"key": "password", "path": "token"}]}
    written = yaml.safe_load(configuration(objects)["gpuwise.yaml"])
    assert written["service"]["token_file"] == "/etc/gpuwise-service/token"


def test_prices_and_policy_can_be_set(helm: Helm, tmp_path):
    csv = "gpu_type,capacity_type,usd_per_gpu_h\nA100-80GB,on-demand,2.5\n"
    objects = render(helm, prices__csv=csv, policy__max_risk=2, config__score__half_life_s=1_000_000)
    data = configuration(objects)
    (tmp_path / "gpuwise.yaml").write_text(data["gpuwise.yaml"])
    (tmp_path / "prices.csv").write_text(data["prices.csv"])
    found = load(tmp_path / "gpuwise.yaml", {}, {})
    assert (found.policy.max_risk, found.score.half_life_s) == (2, 1_000_000)
    mounts = {one["mountPath"] for one in pods(objects)["service"]["containers"][0]["volumeMounts"]}
    assert str(found.prices.parent) in mounts
    assert set(read_prices(tmp_path / "prices.csv").usd_per_gpu_h.values()) == {2.5}


def test_prices_of_a_users_config_map_are_mounted_where_they_are_read(helm: Helm):
    objects = render(helm, prices={"existingConfigMap": "finance", "key": "gpus.csv"})
    assert yaml.safe_load(configuration(objects)["gpuwise.yaml"])["prices"] == "/etc/gpuwise-prices/gpus.csv"
    for component in ("service", "report"):
        pod = pods(objects)[component]
        mounted = {one["name"]: one["mountPath"] for one in pod["containers"][0]["volumeMounts"]}
        assert mounted["prices"] == "/etc/gpuwise-prices"
        assert {"name": "prices", "configMap": {"name": "finance"}} in pod["volumes"]


def test_a_new_configuration_restarts_the_service(helm: Helm):
    annotations = [
        next(of_kind(render(helm, **change), "Deployment"))["spec"]["template"]["metadata"]["annotations"]
        for change in ({}, {"policy__max_risk": 2}, {"prices__csv": "x"})
    ]
    assert len({one["checksum/config"] for one in annotations}) == 3


def test_a_users_node_selector_replaces_the_default(helm: Helm):
    """GKE does not set the label nvidia.com/gpu.present on nodes."""
    gke = {"cloud.google.com/gke-accelerator": "nvidia-l4"}
    assert pods(render(helm))["exporter"]["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
    assert pods(render(helm, exporter__nodeSelector=gke))["exporter"]["nodeSelector"] == gke
    # What users write if they know that helm merges maps.
    old = {"nvidia.com/gpu.present": None, **gke}
    assert pods(render(helm, exporter__nodeSelector=old))["exporter"]["nodeSelector"] == gke


def test_a_users_dashboard_labels_replace_the_default(helm: Helm):
    def label(**settings: Any) -> set[str]:
        (board,) = of_kind(
            render(helm, grafana__dashboards__enabled=True, **settings), "ConfigMap", "prod-gpuwise-dashboard-gpus"
        )
        return {name for name in board["metadata"]["labels"] if "/" not in name}

    assert label() == {"grafana_dashboard"}
    assert label(grafana__dashboards__labels={"boards": "on"}) == {"boards"}


def users(pod: dict[str, Any]) -> set[str]:
    return pod["securityContext"].keys() & {"runAsUser", "runAsGroup", "fsGroup"}


@pytest.mark.parametrize(
    "how", [{"openshift": True}, {"podSecurityContext": dict.fromkeys(["runAsUser", "runAsGroup", "fsGroup"])}]
)
def test_openshift_sets_the_user(helm: Helm, how: dict[str, Any]):
    """OpenShift's SCC restricted-v2 rejects a pod with another uid than its namespace's."""
    for component, pod in pods(render(helm, **how)).items():
        if component != "exporter":
            assert users(pod) == set(), component
            assert pod["securityContext"]["runAsNonRoot"] is True
    assert "65532" not in helm.template(values=None, **REQUIRED | how).stdout


def test_openshift_is_detected(helm: Helm):
    sets = [f"--set={key.replace('__', '.')}={value}" for key, value in REQUIRED.items()]
    done = helm.run("template", "prod", CHART, *sets, "--api-versions", "security.openshift.io/v1")
    assert done.returncode == 0, done.stderr
    assert "65532" not in done.stdout


def test_on_other_clusters_the_user_is_the_images(helm: Helm):
    for component, pod in pods(render(helm)).items():
        assert users(pod) == (set() if component == "exporter" else {"runAsUser", "runAsGroup", "fsGroup"})


def test_the_exporter_has_a_namespace_that_admits_host_paths(helm: Helm):
    objects = render(helm)
    (namespace,) = of_kind(objects, "Namespace")
    assert namespace["metadata"]["name"] == "gpuwise-exporter"
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "privileged"
    assert namespace["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    (exporter,) = of_kind(objects, "DaemonSet")
    assert exporter["metadata"]["namespace"] == "gpuwise-exporter"
    for without in ({"exporter__namespace": ""}, {"exporter__createNamespace": False}, {"exporter__enabled": False}):
        assert not list(of_kind(render(helm, **without), "Namespace"))


def test_existing_service_accounts_can_be_used(helm: Helm):
    settings = {"serviceAccount": {"create": False, "name": "finops-irsa"}, "report__serviceAccount__name": "weekly"}
    objects = render(helm, **settings)
    assert {one["metadata"]["name"] for one in of_kind(objects, "ServiceAccount")} == {
        "weekly",
        "prod-gpuwise-exporter",
    }
    found = {component: pod.get("serviceAccountName") for component, pod in pods(objects).items()}
    assert (found["service"], found["report"]) == ("finops-irsa", "weekly")
    (binding,) = of_kind(objects, "ClusterRoleBinding")
    assert [subject["name"] for subject in binding["subjects"]] == ["finops-irsa", "weekly"]


def test_scheduling_and_extra_values_apply_to_all_pods(helm: Helm):
    taint = {"key": "infra", "operator": "Exists"}
    affinity = {"nodeAffinity": {}}
    env, volume, mount = {"name": "A", "value": "b"}, {"name": "v", "emptyDir": {}}, {"name": "v", "mountPath": "/v"}
    extras = {"extraEnv": [env], "extraVolumes": [volume], "extraVolumeMounts": [mount]}
    settings = {"priorityClassName": "low", "affinity": affinity, "tolerations": [taint], "nodeSelector": {"pool": "x"}}
    node_side = {f"exporter__{key}": value for key, value in extras.items()} | {"exporter__affinity": affinity}
    found = pods(render(helm, **settings, **extras, **node_side, commonLabels={"team": "ml"}))
    assert (found["service"]["affinity"], found["service"]["nodeSelector"]) == (affinity, {"pool": "x"})
    assert found["exporter"]["affinity"] == affinity
    for component in ("service", "report", "exporter"):
        pod = found[component]
        (container,) = pod["containers"]
        assert pod["priorityClassName"] == "low"
        assert env in container["env"]
        assert volume in pod["volumes"]
        assert mount in container["volumeMounts"]
    assert found["service"]["tolerations"] == found["report"]["tolerations"] == [taint]
    special = pods(render(helm, **settings, service__tolerations=[], service__nodeSelector={"pool": "y"}))
    assert special["service"]["nodeSelector"] == {"pool": "y"}


def test_common_labels_are_on_every_object_and_in_no_selector(helm: Helm):
    objects = render(helm, commonLabels={"team": "ml"})
    assert {one["metadata"]["labels"]["team"] for one in objects} == {"ml"}
    (service,) = of_kind(objects, "Deployment")
    assert service["spec"]["template"]["metadata"]["labels"]["team"] == "ml"
    assert "team" not in service["spec"]["selector"]["matchLabels"]


def test_pod_labels_are_on_every_pod(helm: Helm):
    objects = render(helm, podLabels={"sidecar.istio.io/inject": "false"})
    (service,), (exporter,) = of_kind(objects, "Deployment"), of_kind(objects, "DaemonSet")
    (report,) = of_kind(objects, "CronJob")
    for owner in (service, exporter, report["spec"]["jobTemplate"]):
        assert owner["spec"]["template"]["metadata"]["labels"]["sidecar.istio.io/inject"] == "false"
        assert "sidecar.istio.io/inject" not in owner.get("metadata", {}).get("labels", {})


@pytest.mark.parametrize(("given", "expected"), [("", None), ("fast", "fast"), ("-", "")])
def test_the_claim_has_the_configured_storage_class(helm: Helm, given: str, expected: str | None):
    (claim,) = of_kind(render(helm, persistence__storageClass=given), "PersistentVolumeClaim")
    assert claim["spec"].get("storageClassName") == expected


def test_an_image_can_be_named_by_its_digest(helm: Helm):
    digest, exporters = (f"0.1.0@sha256:{number * 64}" for number in "01")
    found = pods(render(helm, image__tag=digest, exporter__image__tag=exporters))
    for component, pod in found.items():
        expected = f"gpuwise-exporter:{exporters}" if component == "exporter" else f"gpuwise:{digest}"
        assert pod["containers"][0]["image"] == f"registry.example.com/{expected}"


def test_a_digest_is_not_used_for_another_image(helm: Helm):
    digest = {"image__tag": f"0.1.0@sha256:{'0' * 64}"}
    done = helm.template(values=None, **REQUIRED, **digest)
    assert done.returncode != 0
    assert "set exporter.image.tag to the tag and digest of that one" in done.stderr
    assert "exporter" not in pods(render(helm, **digest, exporter__enabled=False))


EXPORTER_IMAGES = [
    ({}, "registry.example.com/gpuwise-exporter:0.1.0", "IfNotPresent"),
    (
        {"image__tag": "0.2.0-rc1", "image__pullPolicy": "Always"},
        "registry.example.com/gpuwise-exporter:0.2.0-rc1",
        "Always",
    ),
    ({"exporter__image__tag": "0.2.0"}, "registry.example.com/gpuwise-exporter:0.2.0", "IfNotPresent"),
    (
        {"exporter__image__repository": "mirror.example.com/nodes/gpuwise"},
        "mirror.example.com/nodes/gpuwise:0.1.0",
        "IfNotPresent",
    ),
    (
        {"image__pullPolicy": "Always", "exporter__image__pullPolicy": "Never"},
        "registry.example.com/gpuwise-exporter:0.1.0",
        "Never",
    ),
]


@pytest.mark.parametrize(("settings", "image", "policy"), EXPORTER_IMAGES)
def test_the_exporter_has_an_image_beside_the_other_one(helm: Helm, settings: dict[str, str], image: str, policy: str):
    found = {name: pod["containers"][0] for name, pod in pods(render(helm, **settings)).items()}
    exporter = found.pop("exporter")
    assert (exporter["image"], exporter["imagePullPolicy"]) == (image, policy)
    assert all(one["image"].startswith("registry.example.com/gpuwise:") for one in found.values())


def test_the_service_can_be_exposed_outside_the_cluster(helm: Helm):
    annotations = {"service.beta.kubernetes.io/aws-load-balancer-scheme": "internal"}
    objects = render(helm, service__type="LoadBalancer", service__annotations=annotations)
    (service,) = of_kind(objects, "Service", "prod-gpuwise")
    assert (service["spec"]["type"], service["metadata"]["annotations"]) == ("LoadBalancer", annotations)


def test_all_parts_listen_on_ipv4_and_ipv6(helm: Helm):
    found = pods(render(helm))
    assert ":8080" in found["service"]["containers"][0]["args"]
    assert "--listen=:9400" in found["exporter"]["containers"][0]["args"]


def test_values_files_of_the_previous_version_still_work(helm: Helm):
    objects = helm.render(values=OLD_VALUES, prometheus__url="http://p:9090")
    assert pods(objects)["exporter"]["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
    (exporter,) = of_kind(objects, "DaemonSet")
    assert exporter["metadata"]["namespace"] == "gpuwise"  # as set in that file: the release's namespace


def test_reused_values_of_the_previous_version_are_an_error_with_a_hint(helm: Helm, tmp_path):
    """helm upgrade --reuse-values also uses the old chart's defaults, and so lacks new values."""
    older = shutil.copytree(CHART, tmp_path / "gpuwise")
    shutil.copy(OLD_VALUES, older / "values.yaml")
    done = helm.run("template", "prod", older, "--set=prometheus.url=http://p:9090")
    assert done.returncode != 0
    assert "--reset-then-reuse-values" in done.stderr


@pytest.mark.parametrize(
    "path", ["service", "exporter", "grafana.dashboards", "prometheus.settings", "exporter.webConfig"]
)
def test_a_null_section_is_an_error_that_names_it(helm: Helm, path: str):
    done = helm.template(values=None, **REQUIRED | {path.replace(".", "__"): None})
    assert done.returncode
    assert path.rpartition(".")[2] in done.stderr
    assert "nil pointer" not in done.stderr


@pytest.mark.parametrize(
    "settings",
    [{"prometheus__settings": {"passwrd_file": "x"}}, {"fullnameOverride": "Upper"}, {"nameOverride": "a_b"}],
)
def test_values_that_no_server_would_accept_are_rejected_by_the_schema(helm: Helm, settings: dict[str, Any]):
    done = helm.template(values=None, **REQUIRED | settings)
    assert done.returncode
    assert "meet the specifications of the schema" in done.stderr
