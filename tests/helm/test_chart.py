import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from gpuwise.config import load
from gpuwise.model.command import Mode

from .conftest import CHART, CI_VALUES, REQUIRED, Helm, of_kind

Objects = list[dict[str, Any]]
Find = Callable[[str, str], dict[str, Any]]

OPERATOR_KINDS = {"ServiceMonitor", "PrometheusRule", "RayCluster"}
RAY = {"ray__enabled": True, "ray__tokenSecret__name": "ray-token", "prometheus__bearerTokenSecret__name": "prometheus"}


def test_lint_is_strict_and_clean(helm: Helm):
    done = helm.run("lint", "--strict", CHART, "-f", CI_VALUES)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[WARNING]" not in done.stdout


def test_every_object_is_valid_kubernetes(rendered: Objects):
    for one in rendered:
        if one["kind"] not in OPERATOR_KINDS:
            kubernetes_validate.validate(one, "1.33", strict=True)


def test_every_object_has_the_common_labels(rendered: Objects):
    for one in rendered:
        labels = one["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == "gpuwise"
        assert labels["app.kubernetes.io/instance"] == "prod"
        assert {"app.kubernetes.io/component", "app.kubernetes.io/version", "helm.sh/chart"} <= labels.keys()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prometheus__url": ""}, "prometheus.url is not set"),
        ({"prometheus__url": "prometheus:9090"}, "url"),
        ({"prometheus__ulr": "typo"}, "ulr"),
        ({"replicas": 2}, "replicas"),
        ({"exporter__securityContext": {}}, "securityContext"),
        ({"mode": "yolo"}, "mode"),
        ({"mode": True}, "mode"),
        ({"enforce__namespaces": ["kube-system"]}, "namespaces"),
        ({"enforce__namespaces": ["*"]}, "namespaces"),
        ({"persistence__enabled": False}, "report.enabled needs persistence.enabled"),
        ({"policy__max_rsik": 2}, "max_rsik"),
        ({"policy__max_risk": "high"}, "max_risk"),
        ({"policy__mode": "enforce"}, "use --set mode="),
        ({"config__ledger__path": "/tmp/ledger.db"}, "ledger"),
        ({"config__observe__look_back": 3}, "look_back"),
        ({"prices": {"csv": "a,b", "existingConfigMap": "prices"}}, "prices.csv and prices.existingConfigMap"),
        ({"report__email__settings": {"host": "mail"}}, "no sender or no recipients"),
        ({"report__email__settings": {"sender": "a@example.com"}}, "has no host"),
        ({"report__email__settings": {"hots": "mail"}}, "hots"),
        ({"report__email__settings": {"password_file": "x"}}, "password_file"),
        ({"report__email__passwordSecret__name": "mail"}, "belong together"),
        ({"report__timeZone": "Europe Berlin"}, "timeZone"),
        ({"report__teams": {"ml": {"email": ["a@example.com"]}}}, "report.eachTeam is false"),
        ({"report__teams": {"ml": {"mail": ["a@example.com"]}}, "report__eachTeam": True}, "mail"),
        ({"report__teams": {"ml": {"email": ["a@example.com"]}}, "report__eachTeam": True}, "has no host"),
        ({"config__report__teams": {}}, "teams"),
        ({"report__enabled": False, "report__slack__webhookUrlSecret__name": "slack"}, "nothing would be sent"),
        ({"config__report__time_zone": "UTC"}, "time_zone"),
        ({"serviceAccount__create": False}, "serviceAccount.create is false"),
        ({"serviceMonitor__enabled": True}, "needs service.tokenSecret.name"),
        ({"commonLabels": {"app.kubernetes.io/name": "mine"}}, "app.kubernetes.io/name"),
    ],
)
def test_invalid_values_are_rejected(helm: Helm, settings: dict[str, Any], message: str):
    done = helm.template(values=None, **REQUIRED | settings)
    assert done.returncode != 0
    assert message in done.stderr


def test_by_default_no_workload_can_be_written(helm: Helm):
    objects = helm.render(values=None, **REQUIRED)
    assert [role["metadata"]["name"] for role in of_kind(objects, "Role")] == ["prod-gpuwise-ledger-head"]
    assert {kind["kind"] for kind in objects}.isdisjoint({*OPERATOR_KINDS, "NetworkPolicy", "Secret"})
    (config,) = of_kind(objects, "ConfigMap")
    assert yaml.safe_load(config["data"]["gpuwise.yaml"]) == {
        "policy": {"mode": "recommend"},
        "cluster_name": "default",
        "prometheus": {"url": "http://prometheus:9090"},
        "service": {"token_file": "/var/lib/gpuwise/service-token"},
        "ledger": {"path": "/var/lib/gpuwise/ledger.db", "anchor_namespace": "gpuwise"},
        "lead": {"namespace": "gpuwise"},
    }


def test_gpuwise_reads_the_configuration_that_the_chart_writes(rendered: Objects, tmp_path: Path):
    (config,) = of_kind(rendered, "ConfigMap", "prod-gpuwise")
    file = tmp_path / "gpuwise.yaml"
    file.write_text(config["data"]["gpuwise.yaml"])
    found = load(file, {}, {})
    assert found.policy.mode is Mode.ENFORCE
    assert str(found.prometheus.bearer_token_file) == "/etc/gpuwise-prometheus/token"
    assert found.prometheus.headers == {"X-Scope-OrgID": "research"}
    assert (found.policy.max_risk, found.policy.budget.disruptions) == (2, 3)
    assert found.observe.look_back_h == 168
    assert (str(found.prices), str(found.grid)) == ("/etc/gpuwise/prices.csv", "/etc/gpuwise-grid/grid.csv")
    assert found.report.time_zone.key == "Europe/Berlin"
    assert found.report.email.recipients == ("finance@example.com",)
    assert str(found.report.email.password_file) == "/etc/gpuwise-email/password"
    assert str(found.report.slack.webhook_url_file) == "/etc/gpuwise-slack/url"


def test_the_report_is_sent_once_a_channel_is_configured(helm: Helm, find: Find):
    cron = find("CronJob", "prod-gpuwise-report")["spec"]
    assert cron["timeZone"] == "Europe/Berlin"
    pod = cron["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["containers"][0]["args"][-1] == "--send"
    mounted = {mount["name"]: mount for mount in pod["containers"][0]["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    for name, path, secret, key, file in (
        ("email-password", "/etc/gpuwise-email", "mail", "password", "password"),
        ("slack-webhook", "/etc/gpuwise-slack", "slack", "url", "url"),
    ):
        assert (mounted[name]["mountPath"], mounted[name]["readOnly"]) == (path, True)
        assert volumes[name]["secret"] == {"secretName": secret, "items": [{"key": key, "path": file}]}
    service = find("Deployment", "prod-gpuwise")["spec"]["template"]["spec"]
    assert not {volume["name"] for volume in service["volumes"]} & {"email-password", "slack-webhook"}
    (plain,) = of_kind(helm.render(values=None, **REQUIRED), "CronJob")
    assert "timeZone" not in plain["spec"]
    assert "--send" not in plain["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["args"]


def test_the_report_of_each_team_is_written_and_sent_to_it(helm: Helm, tmp_path: Path):
    teams = {"vision": {"slack_url_file": "/etc/gpuwise-report/vision-slack/url"}, "ml": {"email": ["ml@example.com"]}}
    given = {"report__eachTeam": True, "report__teams": teams, "report__secrets": ["vision-slack"]}
    mail = {"report__email__settings": {"host": "mail", "sender": "gpuwise@example.com"}}
    objects = helm.render(values=None, **REQUIRED | given | mail)
    (cron,) = of_kind(objects, "CronJob")
    pod = cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["containers"][0]["args"][-4:] == ["--output-dir", "/reports", "--each-team", "--send"]
    mounts = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    assert mounts["report-vision-slack"] == "/etc/gpuwise-report/vision-slack"
    assert {"name": "report-vision-slack", "secret": {"secretName": "vision-slack"}} in pod["volumes"]
    (service,) = of_kind(objects, "Deployment")
    assert "vision-slack" not in str(service)
    file = tmp_path / "gpuwise.yaml"
    (written,) = of_kind(objects, "ConfigMap")
    file.write_text(written["data"]["gpuwise.yaml"])
    found = load(file, {}, {}).report.teams
    assert (found["ml"].email, found["vision"].email) == (("ml@example.com",), ())
    assert str(found["vision"].slack_url_file) == teams["vision"]["slack_url_file"]


def test_with_postgresql_the_report_is_sent_from_any_node(helm: Helm):
    database = {"ledger__postgresql__url": "postgresql://a@db/b"}
    (cron,) = of_kind(helm.render(**database), "CronJob")
    pod = cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["args"][-3:] == ["--config", "/etc/gpuwise/gpuwise.yaml", "--send"]
    assert "/reports" not in {mount["mountPath"] for mount in container["volumeMounts"]}
    assert "podAffinity" not in pod["affinity"]
    assert pod["nodeSelector"] == {"kubernetes.io/os": "linux"}
    unsent = helm.template(values=None, **REQUIRED | database)
    assert unsent.returncode
    assert "set report.email or report.slack" in unsent.stderr


@pytest.mark.parametrize(
    ("settings", "port"),
    [
        ({}, 587),
        ({"report__email__settings__tls": "implicit"}, 465),
        ({"report__email__settings__port": 2525}, 2525),
    ],
)
def test_a_network_policy_admits_the_report_alone_to_the_mail_server(helm: Helm, settings: dict[str, Any], port: int):
    policies = {one["metadata"]["name"]: one["spec"] for one in of_kind(helm.render(**settings), "NetworkPolicy")}
    assert policies["prod-gpuwise-report"]["egress"] == [{"ports": [{"protocol": "TCP", "port": port}]}]
    assert policies["prod-gpuwise-report"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "report"
    both = [one["port"] for one in policies["prod-gpuwise"]["egress"][0]["ports"]]
    assert port not in both


def test_configured_files_are_mounted_where_they_are_read(find: Find):
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


def test_the_loop_can_write_temporary_files_on_a_read_only_root(rendered: Objects):
    """The profiles of a pass are in a file in /tmp."""
    looping = {"prod-gpuwise", "prod-gpuwise-report"}
    specs = [spec for name, spec in pod_specs(rendered) if name in looping]
    assert len(specs) == len(looping)
    for spec in specs:
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        container = spec["containers"][0]
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        (mount,) = [one for one in container["volumeMounts"] if one["mountPath"] == "/tmp"]
        assert "readOnly" not in mount
        assert "emptyDir" in volumes[mount["name"]]
        assert "TMPDIR" not in {one["name"] for one in container.get("env", ())}


def test_the_exporter_has_no_token_and_no_capability(find: Find):
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


def test_all_pods_except_the_exporters_pass_pod_security_restricted(rendered: Objects):
    for name, spec in pod_specs(rendered):
        if not name.endswith("exporter"):
            assert spec["securityContext"]["runAsNonRoot"] is True
            assert not [volume for volume in spec["volumes"] if "hostPath" in volume] if "volumes" in spec else True


def test_incident_autoscaler_3456_no_webhook_is_on_the_path_of_a_pod(rendered: Objects):
    assert {one["kind"] for one in rendered if "Webhook" in one["kind"]} == set()


def test_there_is_never_more_than_one_writer(find: Find):
    spec = find("Deployment", "prod-gpuwise")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def test_the_report_runs_on_the_node_of_the_service(find: Find):
    pod = find("CronJob", "prod-gpuwise-report")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    service = find("Deployment", "prod-gpuwise")["spec"]["template"]
    (rule,) = pod["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert rule["labelSelector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    claims = [volume["persistentVolumeClaim"] for volume in pod["volumes"] if "persistentVolumeClaim" in volume]
    assert claims == [{"claimName": "prod-gpuwise"}]
    assert pod["serviceAccountName"] == "prod-gpuwise-report"


def test_services_and_monitors_select_the_pods(rendered: Objects, find: Find):
    for service in of_kind(rendered, "Service"):
        owner = "DaemonSet" if service["metadata"]["name"].endswith("exporter") else "Deployment"
        template = find(owner, service["metadata"]["name"])["spec"]["template"]
        assert service["spec"]["selector"].items() <= template["metadata"]["labels"].items()
        monitor = find("ServiceMonitor", service["metadata"]["name"])["spec"]
        assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
        assert monitor["namespaceSelector"]["matchNames"] == [service["metadata"]["namespace"]]
        assert monitor["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"]


def test_device_series_never_have_the_exporters_own_pod(find: Find):
    (endpoint,) = find("ServiceMonitor", "prod-gpuwise-exporter")["spec"]["endpoints"]
    assert endpoint["honorLabels"] is True
    assert endpoint["relabelings"] == [{"action": "labeldrop", "regex": "namespace|pod|container"}]


def test_dashboards_for_exported_labels_can_have_them(helm: Helm):
    monitors = of_kind(helm.render(serviceMonitor__honorLabels=False), "ServiceMonitor")
    exporter = next(one for one in monitors if one["metadata"]["name"] == "prod-gpuwise-exporter")
    (endpoint,) = exporter["spec"]["endpoints"]
    assert endpoint["honorLabels"] is False
    assert "relabelings" not in endpoint


def test_rules_and_dashboards_are_rendered_unchanged(rendered: Objects, find: Find):
    files = [yaml.safe_load((CHART / f"files/{name}.yaml").read_text()) for name in ("recording", "alerts")]
    assert find("PrometheusRule", "prod-gpuwise")["spec"]["groups"] == [
        group for one in files for group in one["groups"]
    ]
    boards = [one for one in of_kind(rendered, "ConfigMap") if "-dashboard-" in one["metadata"]["name"]]
    assert {one["metadata"]["labels"]["grafana_dashboard"] for one in boards} == {"1"}
    shown = {name: json.loads(text) for one in boards for name, text in one["data"].items()}
    assert shown == {path.name: json.loads(path.read_text()) for path in (CHART / "files/dashboards").iterdir()}
    assert len(boards) == len(shown) == 6
    # Grafana's sidecar and etcd accept up to 1 MiB.
    assert max(len(text) for one in boards for text in one["data"].values()) < 2**20


def test_the_runbook_can_be_elsewhere(helm: Helm):
    objects = helm.render(prometheusRule__runbookUrl="https://wiki.example.com/gpus")
    (rules,) = of_kind(objects, "PrometheusRule")
    alerts = [rule for group in rules["spec"]["groups"] for rule in group["rules"] if "alert" in rule]
    urls = {rule["alert"]: rule["annotations"]["runbook_url"] for rule in alerts}
    assert urls["GpuwiseGpuLost"] == "https://wiki.example.com/gpus#gpuwisegpulost"
    assert all(url.startswith("https://wiki.example.com/gpus#") for url in urls.values())
    assert helm.template(prometheusRule__runbookUrl="https://wiki/#x").returncode != 0
    (usual,) = of_kind(helm.render(prometheusRule__runbookUrl=None), "PrometheusRule")
    assert "https://github.com/gpuwise/gpuwise/blob/main/docs/runbook.md#gpuwisegpulost" in str(usual)


def test_dashboards_can_be_in_a_folder(helm: Helm):
    given = {"enabled": True, "annotations": {"grafana_folder": "GPUs"}}
    boards = [one for one in of_kind(helm.render(grafana__dashboards=given), "ConfigMap") if "-dashboard-" in str(one)]
    assert len(boards) == 6
    assert all(one["metadata"]["annotations"] == given["annotations"] for one in boards)


def test_the_nodes_of_ray_read_prometheus_and_have_no_identity_and_no_ledger(helm: Helm):
    objects = helm.render(**RAY)
    [cluster] = of_kind(objects, "RayCluster")
    [head, workers] = [cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"]]
    assert head["rayStartParams"]["num-cpus"] == "0"
    assert head["rayStartParams"]["include-dashboard"] == "false"
    for group in (head, workers):
        pod = group["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False
        assert "serviceAccountName" not in pod
        assert {one["name"] for one in pod["volumes"]} == {
            "tmp",
            "ray-token",
            "prometheus-token",
            "secret-prometheus-ca",
        }
        [container] = pod["containers"]
        assert {one["name"]: one["mountPath"] for one in container["volumeMounts"]} == {
            "tmp": "/tmp",
            "ray-token": "/etc/gpuwise-ray",
            "prometheus-token": "/etc/gpuwise-prometheus",
            "secret-prometheus-ca": "/etc/gpuwise-secrets/prometheus-ca",
        }
        assert not any("valueFrom" in one for one in container["env"])
        assert container["securityContext"]["readOnlyRootFilesystem"] is True


def test_the_service_joins_the_cluster_of_ray_with_its_token(helm: Helm):
    objects = helm.render(**RAY)
    [settings] = [one for one in of_kind(objects, "ConfigMap") if "gpuwise.yaml" in one["data"]]
    schedule = yaml.safe_load(settings["data"]["gpuwise.yaml"])["schedule"]
    [cluster] = of_kind(objects, "RayCluster")
    # KubeRay names the head's service after the cluster.
    address = f"ray://{cluster['metadata']['name']}-head-svc.gpuwise.svc:10001"
    assert schedule == {"executor": "ray", "ray_address": address}
    [service] = of_kind(objects, "Deployment")
    [container] = service["spec"]["template"]["spec"]["containers"]
    assert {"name": "RAY_AUTH_TOKEN_PATH", "value": "/etc/gpuwise-ray/token"} in container["env"]
    assert any(one["mountPath"] == "/etc/gpuwise-ray" for one in container["volumeMounts"])


def test_a_network_policy_admits_the_service_to_ray(helm: Helm):
    objects = helm.render(**RAY, networkPolicy__enabled=True)
    [policy] = [one for one in of_kind(objects, "NetworkPolicy") if "Egress" in one["spec"]["policyTypes"]][:1]
    [rule] = [one for one in policy["spec"]["egress"] if "to" in one]
    assert rule["ports"] == [{"protocol": "TCP", "port": 10001}]
    [cluster] = of_kind(objects, "RayCluster")
    labels = cluster["spec"]["headGroupSpec"]["template"]["metadata"]["labels"]
    assert rule["to"][0]["podSelector"]["matchLabels"].items() <= labels.items()


def test_a_long_name_is_short_enough_for_the_service_of_kuberay(helm: Helm):
    """KubeRay cuts the first letters of a service's name beyond 50 characters: CheckName in ray-operator."""
    objects = helm.render(**RAY, fullnameOverride="gpuwise-production-eu-west-1-cluster-0123456789-a")
    [cluster] = of_kind(objects, "RayCluster")
    name = f"{cluster['metadata']['name']}-head-svc"
    assert len(name) <= 50
    [settings] = [one for one in of_kind(objects, "ConfigMap") if "gpuwise.yaml" in one["data"]]
    assert f"ray://{name}." in settings["data"]["gpuwise.yaml"]


def test_ray_without_a_token_is_refused(helm: Helm):
    done = helm.template(ray__enabled=True)
    assert done.returncode != 0
    assert "ray.tokenSecret.name is empty" in done.stderr
