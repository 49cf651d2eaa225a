"""The exporter's DaemonSet: the effect of its values, and that the exporter has each of its flags."""

from typing import Any

import pytest
from click.testing import CliRunner

from gpuwise.cli.exporter import exporter

from .conftest import Helm, of_kind

NAME = "prod-gpuwise-exporter"


def pod(helm: Helm, **settings: Any) -> dict[str, Any]:
    (found,) = of_kind(helm.render(**settings), "DaemonSet", NAME)
    return found["spec"]["template"]["spec"]


def flags(container: dict[str, Any]) -> dict[str, str]:
    name, *given = container["args"]
    assert name == "exporter"
    return dict(flag.split("=", 1) for flag in given)


def test_the_exporter_accepts_its_flags(helm: Helm):
    settings = {"exporter__sharedGpus__enabled": True, "exporter__webConfig__secret": "web"}
    (container,) = pod(helm, **settings)["containers"]
    known = {name for option in exporter.params for name in option.opts}
    assert flags(container).keys() <= known
    rejected = CliRunner().invoke(exporter, [*container["args"][1:], "--listen=nonsense"])
    assert "--listen is 'nonsense'" in str(rejected.exception)  # all flags before it were accepted


def test_values_become_flags(helm: Helm):
    values = {"exporter__interval": 0.5, "exporter__compat": "dcgm", "exporter__maxSeries": 1_000_000}
    (container,) = pod(helm, **values)["containers"]
    expected = {"--listen": ":9400", "--interval": "0.5", "--compat": "dcgm", "--max-series": "1000000"}
    assert flags(container) == expected


@pytest.mark.parametrize(("user", "non_root"), [(0, False), (65532, True)])
def test_it_can_run_as_another_user(helm: Helm, user: int, *, non_root: bool):
    (container,) = pod(helm, exporter__runAsUser=user)["containers"]
    security = container["securityContext"]
    assert (security["runAsUser"], security["runAsNonRoot"]) == (user, non_root)
    assert security["capabilities"] == {"drop": ["ALL"]}


def test_the_hosts_processes_are_mounted_only_on_request_and_read_only(helm: Helm):
    usual = pod(helm)
    assert [volume["name"] for volume in usual["volumes"]] == ["pod-resources"]
    shared = pod(helm, exporter__sharedGpus__enabled=True)
    paths = {volume["name"]: volume["hostPath"]["path"] for volume in shared["volumes"]}
    assert (paths["proc"], paths["container-links"]) == ("/proc", "/var/log/containers")
    assert all(mount["readOnly"] for mount in shared["containers"][0]["volumeMounts"])
    assert {"hostPID", "hostNetwork"}.isdisjoint(shared)


def test_a_web_config_is_mounted_from_a_secret_and_the_probes_use_tls(helm: Helm):
    spec = pod(helm, exporter__webConfig={"secret": "web", "tls": True})
    (container,) = spec["containers"]
    assert flags(container)["--web.config.file"] == "/etc/gpuwise-web/web-config.yml"
    assert {"name": "web-config", "secret": {"secretName": "web", "defaultMode": 0o444}} in spec["volumes"]
    probes = [container[name]["httpGet"]["scheme"] for name in ("livenessProbe", "readinessProbe")]
    assert probes == ["HTTPS", "HTTPS"]


def test_the_service_monitor_can_configure_authentication(helm: Helm):
    endpoint = {"scheme": "https", "basicAuth": {"username": {"name": "web", "key": "user"}}}
    (monitor,) = of_kind(helm.render(serviceMonitor__exporterEndpoint=endpoint), "ServiceMonitor", NAME)
    assert endpoint.items() <= monitor["spec"]["endpoints"][0].items()
