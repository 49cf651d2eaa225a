"""`helm install` on a cluster: its checks of the cluster, and its notes."""

import contextlib
import json
import shutil
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from .conftest import CHART, REQUIRED, Helm

Objects = list[dict[str, Any]]
KINDS = {
    "Namespace": ("v1", "namespaces"),
    "Node": ("v1", "nodes"),
    "StorageClass": ("storage.k8s.io/v1", "storageclasses"),
}


def named(
    name: str, *, labels: dict[str, str] | None = None, annotations: dict[str, str] | None = None
) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": labels or {}, "annotations": annotations or {}}}


def responses(objects: dict[str, Objects]) -> dict[str, Any]:
    """Discovery and lists by path: the part of an API server that `lookup` uses."""
    found: dict[str, Any] = {
        "/version": {"major": "1", "minor": "33", "gitVersion": "v1.33.0"},
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": {
            "kind": "APIGroupList",
            "groups": [
                {
                    "name": "storage.k8s.io",
                    "versions": [{"groupVersion": "storage.k8s.io/v1", "version": "v1"}],
                    "preferredVersion": {"groupVersion": "storage.k8s.io/v1", "version": "v1"},
                }
            ],
        },
    }
    for kind, (version, plural) in KINDS.items():
        base = f"/apis/{version}" if "/" in version else f"/api/{version}"
        listed = found.setdefault(base, {"kind": "APIResourceList", "groupVersion": version, "resources": []})
        listed["resources"].append({"name": plural, "kind": kind, "namespaced": False, "verbs": ["list"]})
        items = [{"apiVersion": version, "kind": kind, **one} for one in objects.get(kind, [])]
        found[f"{base}/{plural}"] = {"apiVersion": version, "kind": f"{kind}List", "items": items}
    return found


@contextlib.contextmanager
def api_server(objects: dict[str, Objects]) -> Iterator[str]:
    known = responses(objects)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            body = json.dumps(
                known.get(path, {"kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound"})
            )
            self.send_response(200 if path in known else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    """Only the checks and the notes: helm looks up every other object on the server before it prints the notes."""
    copy = shutil.copytree(CHART, tmp_path / "gpuwise", ignore=shutil.ignore_patterns("*.yaml", "tests"))
    for name in ("Chart.yaml", "values.yaml", "templates/checks.yaml"):
        shutil.copy(CHART / name, copy / name)
    return copy


@pytest.fixture
def install(helm: Helm, chart: Path):
    def run(objects: dict[str, Objects] | None = None, **settings: Any):
        wanted = REQUIRED | settings
        sets = [f"--set-json={key.replace('__', '.')}={json.dumps(value)}" for key, value in wanted.items()]
        with api_server({"Namespace": [named("default")]} | (objects or {})) as url:
            return helm.run("install", "prod", chart, "--dry-run=server", "--kube-apiserver", url, *sets)

    return run


def notes(done: Any) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout.partition("NOTES:")[2]


@pytest.mark.parametrize(
    ("mode", "namespaces", "says"),
    [
        ("off", [], "It only writes reports"),
        ("recommend", [], "It changes nothing"),
        ("enforce", [], "enforce.namespaces is empty"),
        (
            "enforce",
            ["research"],
            "It may patch Deployments, StatefulSets, Jobs and the other kinds of docs/kinds.md in: research.",
        ),
    ],
)
def test_the_notes_contain_the_mode_and_the_next_command(install, mode: str, namespaces: list[str], says: str):
    text = notes(install(mode=mode, enforce__namespaces=namespaces))
    assert f"mode: {mode}" in text
    assert says in text
    assert "gpuwise doctor" in text
    assert "helm test prod" in text


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({}, "exec deploy/prod-gpuwise -- cat /var/lib/gpuwise/service-token"),
        ({"service__tokenSecret__name": "mine"}, "get secret mine"),
        ({"persistence__enabled": False, "report__enabled": False}, "persistence is off"),
        ({"ledger__postgresql__url": "postgresql://a@db/b", "report__enabled": False}, "each start of the pod creates"),
        ({"image__pullSecrets": [{"name": "harbor"}]}, "The pull secrets harbor"),
        ({"openshift": True}, "oc adm policy add-scc-to-user privileged"),
    ],
)
def test_the_notes_contain_what_these_values_need(install, settings: dict[str, Any], says: str):
    assert says in notes(install(**settings))


def test_a_missing_image_is_an_error(install):
    """No image is published: without the check, the pods would stay in ErrImagePull."""
    done = install(image__repository="")
    assert done.returncode != 0
    assert "image.repository is not set" in done.stderr
    assert "build one with `make image`" in done.stderr


@pytest.mark.parametrize("level", ["baseline", "restricted"])
def test_an_exporter_that_pod_security_would_reject_is_an_error(install, level: str):
    """Without the check, the DaemonSet is created and its pods are rejected without a visible error."""
    locked = {"Namespace": [named("default", labels={"pod-security.kubernetes.io/enforce": level})]}
    assert "WARNING" not in notes(install(locked, persistence__storageClass="fast"))  # it has its own namespace
    done = install(locked, exporter__namespace="")
    assert done.returncode != 0
    assert f"but the namespace default forbids this (pod-security.kubernetes.io/enforce={level})" in done.stderr
    assert "--set exporter.namespace=NAME" in done.stderr
    notes(install(locked, exporter__namespace="", exporter__enabled=False))


def test_an_existing_namespace_is_used_for_the_exporter_if_it_admits_it(install):
    def having(**labels: str) -> dict[str, Objects]:
        return {
            "Namespace": [
                named("gpuwise-exporter", labels={f"pod-security.kubernetes.io/{k}": v for k, v in labels.items()})
            ]
        }

    notes(install(having(enforce="privileged")))
    notes(install(having()))
    assert install(having(enforce="baseline")).returncode != 0


def test_a_label_without_the_right_is_a_warning(install):
    fleet = {"Namespace": [named(name, labels={"gpuwise.dev/mode": "enforce"}) for name in ("research", "serving")]}
    text = notes(install(fleet, enforce__namespaces=["research"]))
    assert "the namespace serving has the label gpuwise.dev/mode=enforce" in text
    assert "--set enforce.namespaces={research,serving}" in text
    assert "the namespace research has the label" not in text


def test_a_claim_without_a_storage_class_is_a_warning(install):
    default = {"storageclass.kubernetes.io/is-default-class": "true"}
    some, none = [named("slow"), named("fast")], [named("fast", annotations=default)]
    assert "no default StorageClass, so the claim prod-gpuwise and the service stay Pending" in notes(install())
    assert "(available: slow, fast)" in notes(install({"StorageClass": some}))
    assert "StorageClass" not in notes(install({"StorageClass": none}))
    assert "StorageClass" not in notes(install({"StorageClass": some}, persistence__storageClass="fast"))


def test_a_node_selector_that_matches_no_node_is_a_warning(install):
    nodes = [named("a", labels={"cloud.google.com/gke-accelerator": "nvidia-l4"}), named("b")]
    assert "no node has these labels, so the exporter does not run" in notes(install({"Node": nodes}))
    text = notes(install({"Node": nodes}, exporter__nodeSelector={"cloud.google.com/gke-accelerator": "nvidia-l4"}))
    assert "cloud.google.com/gke-accelerator=nvidia-l4 (1 of 2 nodes)." in text
    assert "does not run" not in text
    terms = {"nodeSelectorTerms": [{"matchExpressions": [{"key": "gpu", "operator": "Exists"}]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
    text = notes(install({"Node": nodes}, exporter__affinity=affinity))
    assert "on the nodes of exporter.affinity." in text
    assert "does not run" not in text
