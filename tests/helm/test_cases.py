"""Cases of public bug reports about charts, as a user plays them: `helm template x CHART -f values.yaml`."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.given_cases import given_case

from gpuwise.config import load

from .conftest import CHART, CI_VALUES, REQUIRED, Helm, of_kind, pod_of

Objects = list[dict[str, Any]]
PODS = ("Deployment", "DaemonSet", "CronJob", "Pod")
CHANGING = r"\b(rand\w*|uuidv4|now|date\w*|gen\w*Cert\w*|genCA\w*|genPrivateKey|derivePassword|htpasswd|encryptAES)\b"
"""Functions of a template whose result differs between two renderings."""


def rendered(helm: Helm, *arguments: object) -> Objects:
    done = helm.run("template", "x", CHART, *arguments)
    assert done.returncode == 0, done.stderr
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def pods(objects: Objects) -> dict[str, dict[str, Any]]:
    found = [one for kind in PODS for one in of_kind(objects, kind)]
    return {one["metadata"]["labels"]["app.kubernetes.io/component"]: pod_of(one) for one in found}


def test_prices_policy_and_service_account_of_the_case(helm: Helm, tmp_path: Path):
    """Case helm-no-prices-or-policy (sentry-kubernetes/charts#1878): the schema rejected them."""
    values = given_case("acting", "helm-no-prices-or-policy") / "values.yaml"
    objects = rendered(helm, "-f", values)
    (config,) = of_kind(objects, "ConfigMap", "x-gpuwise")
    assert config["data"]["prices.csv"].strip() == yaml.safe_load(values.read_text())["prices"]["csv"].strip()
    (tmp_path / "gpuwise.yaml").write_text(config["data"]["gpuwise.yaml"])
    found = load(tmp_path / "gpuwise.yaml", {}, {})
    assert (found.policy.max_risk, str(found.prices)) == (2, "/etc/gpuwise/prices.csv")
    assert pods(objects)["service"]["serviceAccountName"] == "finops-irsa"
    assert "finops-irsa" not in {one["metadata"]["name"] for one in of_kind(objects, "ServiceAccount")}


def test_the_node_selector_of_the_case(helm: Helm):
    """Case helm-nodeselector-merge: helm merged it with the default, and no node had both labels."""
    values = given_case("acting", "helm-nodeselector-merge") / "values.yaml"
    exporter = pods(rendered(helm, "-f", values))["exporter"]
    assert exporter["nodeSelector"] == {"cloud.google.com/gke-accelerator": "nvidia-l4"}


@pytest.mark.parametrize("arguments", [(), ("-f", CI_VALUES), ("--is-upgrade",)], ids=["default", "all", "upgrade"])
def test_a_rendering_is_the_same_every_time(helm: Helm, arguments: tuple[object, ...]):
    """Case helm-argocd-token (hcengineering/huly-selfhost#321): Argo CD renders without lookup."""
    flags = ("--set=prometheus.url=http://p", *arguments)
    first, second = (helm.run("template", "x", CHART, *flags) for _ in range(2))
    assert first.returncode == 0, first.stderr
    assert first.stdout == second.stdout


def test_an_upgrade_renders_what_the_installation_rendered(helm: Helm):
    flags = ("template", "x", CHART, "--set=prometheus.url=http://p", "-f", CI_VALUES)
    assert helm.run(*flags).stdout == helm.run(*flags, "--is-upgrade").stdout


def test_no_template_uses_a_function_that_changes_with_time_or_chance():
    for path in sorted((CHART / "templates").rglob("*")):
        if path.is_file():
            actions = " ".join(re.findall(r"{{.*?}}", path.read_text(), re.DOTALL))
            actions = re.sub(r"/\*.*?\*/|\"[^\"]*\"", "", actions, flags=re.DOTALL)
            assert re.findall(CHANGING, actions) == [], path
            assert ".Release.Revision" not in actions


@pytest.mark.parametrize(
    ("value", "given"),
    [
        ("affinity", {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}}),
        ("nodeSelector", {"pool": "infra"}),
        ("tolerations", [{"key": "infra", "operator": "Exists"}]),
    ],
)
def test_where_pods_run_is_what_the_user_gives_and_nothing_else(helm: Helm, value: str, given: Any):
    settings = {value: given, f"exporter__{value}": given}
    objects = helm.render(values=None, **REQUIRED, **settings)
    found = pods(objects)
    assert found["service"][value] == found["exporter"][value] == given
    if value != "affinity":  # helm test's pod must get to a node as well
        assert found["test"][value] == given


def required(*products: str) -> dict[str, Any]:
    term = {"key": "cloud.google.com/gke-accelerator", "operator": "In", "values": list(products)}
    terms = {"nodeSelectorTerms": [{"matchExpressions": [term]}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}


def test_a_required_affinity_replaces_the_default_node_selector(helm: Helm):
    """A nodeSelector has one value per label; who has two types of GPU nodes uses an affinity, and no node had both."""
    given = required("nvidia-l4", "nvidia-tesla-t4")
    alone = pods(helm.render(values=None, **REQUIRED, exporter__affinity=given))["exporter"]
    assert "nodeSelector" not in alone
    assert alone["affinity"] == given
    pool = {"pool": "gpu"}
    both = helm.render(values=None, **REQUIRED, exporter={"affinity": given, "nodeSelector": pool})
    assert pods(both)["exporter"]["nodeSelector"] == pool
    for other in ({}, None, {"nodeAffinity": None}, {"podAffinity": {}}):
        usual = pods(helm.render(values=None, **REQUIRED, exporter={"affinity": other}))["exporter"]
        assert usual["nodeSelector"] == {"nvidia.com/gpu.present": "true"}


def test_tolerations_of_the_exporter_can_be_removed(helm: Helm):
    """A list replaces the default; an exporter without tolerations runs on nodes without taints only."""
    objects = helm.render(values=None, **REQUIRED, exporter__tolerations=[])
    assert "tolerations" not in pods(objects)["exporter"]


@pytest.mark.parametrize("how", ["--set=openshift=true", "--api-versions=security.openshift.io/v1"])
def test_no_pod_has_a_fixed_user_on_openshift(helm: Helm, how: str):
    """Case helm-openshift-uid (jordigilh/kubernaut#335): restricted-v2 refuses a fixed uid."""
    objects = rendered(helm, "--set=prometheus.url=http://p", "--set=exporter.runAsUser=null", how)
    for component, pod in pods(objects).items():
        contexts = [pod["securityContext"], *(one.get("securityContext", {}) for one in pod["containers"])]
        contexts += [one.get("securityContext", {}) for one in pod.get("initContainers", [])]
        for context in contexts:
            assert context.keys().isdisjoint({"runAsUser", "runAsGroup", "fsGroup", "supplementalGroups"}), component
        assert True in {context.get("runAsNonRoot") for context in contexts}, component


@pytest.mark.parametrize("one", ["runAsUser", "runAsGroup", "fsGroup", "seccompProfile"])
def test_each_key_of_the_security_context_can_be_unset(helm: Helm, one: str):
    objects = helm.render(values=None, **REQUIRED, podSecurityContext={one: None})
    for component in ("service", "report", "test"):
        context = pods(objects)[component]["securityContext"]
        assert one not in context
        assert len(context) == 4


@pytest.mark.parametrize(("given", "expected"), [(0, (0, False)), (65532, (65532, True)), (None, (None, True))])
def test_the_user_of_the_exporter(helm: Helm, given: int | None, expected: tuple[int | None, bool]):
    """A null must not become user 0."""
    (container,) = pods(helm.render(values=None, **REQUIRED, exporter__runAsUser=given))["exporter"]["containers"]
    context = container["securityContext"]
    assert (context.get("runAsUser"), context["runAsNonRoot"]) == expected


VALUES = {
    "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
    "extraVolumes": [{"name": "ca", "configMap": {"name": "ca"}}],
    "extraVolumeMounts": [{"name": "ca", "mountPath": "/ca"}],
    "priorityClassName": "low",
    "affinity": {"nodeAffinity": {}},
    "commonLabels": {"cost-centre": "42"},
    "podLabels": {"team": "ml"},
    "config": {"observe": {"look_back_h": 168}},
    "policy": {"budget": {"disruptions": 1}},
    "prices": {"existingConfigMap": "prices", "key": "p.csv"},
    "grid": {"csv": "region,gco2_per_kwh\n"},
    "serviceAccount": {"create": False, "name": "mine"},
    "report": {"enabled": False},
    "exporter": {"enabled": False},
    "persistence": {"existingClaim": "ledger"},
    "enforce": {"namespaces": ["research"]},
    "networkPolicy": {"enabled": True},
}


@pytest.mark.parametrize("name", VALUES)
def test_each_value_renders_alone(helm: Helm, name: str):
    done = helm.template(values=None, **REQUIRED, **{name: VALUES[name]})
    assert done.returncode == 0, done.stderr


def test_all_values_render_together(helm: Helm, tmp_path: Path):
    together = tmp_path / "values.yaml"
    together.write_text(yaml.safe_dump(VALUES | {"prometheus": {"url": "http://p:9090"}}))
    done = helm.run("lint", "--strict", CHART, "-f", together)
    assert done.returncode == 0, done.stdout
    assert rendered(helm, "-f", together)


def test_without_a_cluster_a_missing_image_is_the_one_that_make_image_builds(helm: Helm):
    for component, pod in pods(rendered(helm, "--set=prometheus.url=http://p")).items():
        name = "gpuwise-exporter" if component == "exporter" else "gpuwise"
        assert pod["containers"][0]["image"].startswith(f"localhost/{name}:")
