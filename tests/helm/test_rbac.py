"""The chart's rights are exactly those that the requests of the commands need."""

import itertools
import json
import re
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from tests.cluster_under_test import KUBECONFIG, StartCluster
from tests.custom_kinds import CUSTOM, admitted, definition, load, read
from tests.e2e.conftest import AT_ONCE, GPUWISE, LEAD, gpu_node, of_namespace
from tests.series import BUSY_VALUES, IDLE_VALUES

from gpuwise.emulate import ADMIN_TOKEN
from gpuwise.emulate.objects import deployment, job, notebook, pod_spec, statefulset
from gpuwise.model import rights
from gpuwise.model.kinds import KINDS, QUEUED, STOPPABLE
from gpuwise.model.labels import CHECKPOINTED
from gpuwise.model.usage import DeviceSeries, RecordedPod, Window
from gpuwise.sources.kubernetes.listings import ALL_COLLECTIONS
from gpuwise.sources.recording import RecordingWriter

from .conftest import CHART, Helm, of_kind
from .test_monitoring import script

# One worker of pytest-xdist makes the requests once.
pytestmark = pytest.mark.xdist_group("rbac")

Objects = list[dict[str, Any]]

# Each of these leads to more rights (docs/safety.md).
FORBIDDEN_RESOURCES = {"*", "secrets", "pods/exec", "nodes/proxy", "serviceaccounts/token"}
FORBIDDEN_RESOURCES |= {"mutatingwebhookconfigurations", "validatingwebhookconfigurations"}
FORBIDDEN_VERBS = {"*", "escalate", "bind", "impersonate", "delete", "deletecollection"}

BOLD = AT_ONCE | {
    "GPUWISE_POLICY_MAX_RISK": "4",
    "GPUWISE_POLICY_BRAKE_SHARE": "1",
    "GPUWISE_POLICY_BUDGET_DISRUPTIONS": "50",
    "GPUWISE_LEAD_NAMESPACE": "gpuwise",  # as in its pod
    "GPUWISE_ENACT_WATCH_SECONDS": "0",  # nothing runs the custom kinds' operators
}
STEP_S = 300
DAYS = 16


@dataclass(frozen=True)
class Request:
    """A request in the terms of RBAC."""

    verb: str
    group: str
    resource: str
    namespace: str
    name: str


def request_of(verb: str, path: str) -> Request | None:
    """None for discovery and self-reviews, which every authenticated user may send."""
    match = re.fullmatch(r"/(?:api/v1|apis/([^/]+)/[^/]+)/(?:namespaces/([^/]+)/)?([^/]+)(?:/([^/]+))?(/[^/]+)?", path)
    if match is None or match[1] in ("authorization.k8s.io", "authentication.k8s.io"):
        return None
    group, namespace, resource, name, sub = (part or "" for part in match.groups())
    if not namespace and resource == "namespaces":
        namespace = name  # a namespace belongs to itself
    return Request(verb, group, resource + sub, namespace, name)


def roles_granting(objects: Objects, request: Request) -> set[tuple[str, str]]:
    """Kind and name of the roles that grant a request."""
    found = set()
    for role in itertools.chain(of_kind(objects, "ClusterRole"), of_kind(objects, "Role")):
        elsewhere = role["kind"] == "Role" and role["metadata"]["namespace"] != request.namespace
        for rule in role["rules"]:
            named = "resourceNames" not in rule or request.name in rule["resourceNames"]
            if not elsewhere and named and request.group in rule["apiGroups"] and request.verb in rule["verbs"]:
                found |= {(role["kind"], role["metadata"]["name"])} if request.resource in rule["resources"] else set()
    return found


def granted(objects: Objects) -> Iterator[tuple[str, str, str]]:
    """Role, resource and verb of everything that the roles grant."""
    for role in itertools.chain(of_kind(objects, "ClusterRole"), of_kind(objects, "Role")):
        for rule in role["rules"]:
            for resource, verb in itertools.product(rule["resources"], rule["verbs"]):
                yield role["metadata"]["name"], resource, verb


IN_QUEUE = {"kueue.x-k8s.io/queue-name": "gpus"}


def fleet() -> Objects:
    return [
        gpu_node("node-0", gpus=32),
        of_namespace("prod"),
        of_namespace("gpuwise"),  # namespace of the release, and so of the ledger's anchor
        deployment("served", namespace="prod"),
        deployment("sized", namespace="prod", spec=pod_spec(gpus=2)),
        statefulset("stored", namespace="prod"),
        job("trained", namespace="prod", annotations={CHECKPOINTED: "true"}),
        notebook("noted", namespace="prod", spec=None),
        deployment("alone", namespace="prod") | {"kind": "ReplicaSet"},
        job("queued", namespace="prod", labels=IN_QUEUE, annotations={CHECKPOINTED: "true"}),
    ]


def admit(cluster: Any) -> None:
    """Kueue's object for the queued job."""
    if KUBECONFIG is None:
        cluster.load(definition(QUEUED))
        cluster.settle()
    cluster.load(admitted(read(cluster, "/apis/batch/v1/namespaces/prod/jobs/queued")))
    cluster.settle()


def record(cluster: Any, folder: Path, window: Window) -> None:
    """A recording in which every pod is idle, except one of the two GPUs of "sized"."""
    request = urllib.request.Request(f"{cluster.url}/api/v1/pods", headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})
    with urllib.request.urlopen(request, timeout=300) as answer:
        names = [item["metadata"]["name"] for item in json.load(answer)["items"]]
    writer = RecordingWriter(folder)
    for number, name in enumerate(names):
        cards = []
        for at, values in enumerate((IDLE_VALUES, BUSY_VALUES) if name.startswith("sized") else (IDLE_VALUES,)):
            samples = {signal: np.full(window.steps, value) for signal, value in values.items()}
            cards.append(DeviceSeries(name, f"GPU-{number}-{at}", 1.0, "A100-80GB", "node-0", samples))
        writer.append(RecordedPod("prod", window, tuple(cards), None))


@pytest.fixture(scope="module")
def sent(start_cluster: StartCluster, tmp_path_factory: pytest.TempPathFactory) -> set[Request]:
    """The requests of the README's commands, with one workload of each kind that gpuwise writes."""
    folder = tmp_path_factory.mktemp("rbac")
    now_s = int(time.time())  # `apply` refuses old recommendations
    window = Window.ending(now_s, length_s=DAYS * 86_400, step_s=STEP_S)
    with start_cluster(fleet(), clock=lambda: float(window.start_s)) as cluster:
        load(cluster, [kind for name, kind in CUSTOM.items() if name != "Notebook"], "prod")
        admit(cluster)
        record(cluster, folder / "recording", window)
        ours = len(cluster.requests)
        connection = ["--kubeconfig", str(cluster.write_kubeconfig(folder / "kubeconfig"))]
        source = [*connection, "--recording", str(folder / "recording")]
        looking = [*source, "--look-back-h", str(DAYS * 24), "--now", str(now_s)]
        env = {"GPUWISE_LEDGER_PATH": str(folder / "ledger.db"), "HOME": str(folder), LEAD: "gpuwise"} | BOLD

        def gpuwise(*arguments: str) -> str:
            command = [GPUWISE, *arguments]
            done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=300)
            assert done.returncode == 0, (arguments, done.stderr)
            return done.stdout

        gpuwise("doctor", *source)
        found = json.loads(gpuwise("scan", *looking, "-o", "json"))["recommendations"]
        gpuwise("plan", "--mode", "enforce", *looking)
        (stored,) = (one["id"] for one in found if one["workload"]["name"] == "stored")
        done = gpuwise("apply", stored, "--yes", *connection)
        done += gpuwise("run", "--once", "--mode", "enforce", *looking)
        acts = set(re.findall(r"\ba-[0-9a-f]{10}\b", done))
        assert len(acts) == len(STOPPABLE) + 2, done  # the queued Job and the resize as well
        for act in sorted(acts)[:4]:
            gpuwise("undo", act, "--yes", *connection)
        gpuwise("report", "--week", "last", *source)
        asks = [request_of(request.verb, request.path) for request in cluster.requests[ours:]]
    return {request for request in asks if request is not None}


@pytest.fixture(scope="module")
def objects(helm: Helm) -> Objects:
    return helm.render(enforce__namespaces=["prod"])


def test_every_request_is_granted(objects: Objects, sent: set[Request]):
    """Requests listed here are missing from READ or WRITE in src/gpuwise/model/rights.py."""
    assert {request for request in sent if not roles_granting(objects, request)} == set()
    assert {request.verb for request in sent} >= {"list", "get", "patch"}


def test_every_granted_right_is_used(objects: Objects, sent: set[Request]):
    """Rights listed here are not needed in src/gpuwise/model/rights.py."""
    used = {(name, request.resource, request.verb) for request in sent for _, name in roles_granting(objects, request)}
    unused = {(resource, verb) for name, resource, verb in granted(objects) if (name, resource, verb) not in used}
    assert unused == set()


def test_the_rules_are_generated_from_the_table():
    assert (CHART / "files" / "rbac.yaml").read_text() == script("rbac").build()
    rules = yaml.safe_load((CHART / "files" / "rbac.yaml").read_text())
    assert rules.keys() == {"read", "write", "nodes", "evict", "head", "lead"}


def test_no_rule_leads_to_more_rights(rendered: Objects):
    roles = [one for one in rendered if one["kind"] in {"Role", "ClusterRole"}]
    for rule in itertools.chain.from_iterable(role["rules"] for role in roles):
        assert FORBIDDEN_RESOURCES.isdisjoint(rule["resources"])
        assert "*" not in rule["apiGroups"]
        assert FORBIDDEN_VERBS.isdisjoint(rule["verbs"])
        assert "create" not in rule["verbs"] or rule["resources"] in (["configmaps"], ["leases"])  # in its namespace


def test_the_cluster_wide_role_only_lists(rendered: Objects):
    for role in of_kind(rendered, "ClusterRole"):
        assert {verb for rule in role["rules"] for verb in rule["verbs"]} == {"list"}


@pytest.mark.parametrize("path", ALL_COLLECTIONS.values())
def test_every_collection_of_the_inventory_may_be_listed(path: str):
    """If one list returns 403, there is no inventory."""
    group, resource = path.split("/")[2] if path.startswith("/apis/") else "", path.rpartition("/")[2]
    assert any((right.group, right.resource, right.verbs) == (group, resource, ("list",)) for right in rights.READ)


def test_every_kind_that_gpuwise_writes_may_be_read_and_patched():
    written = {(right.group, right.resource) for right in rights.WRITE if right.verbs == ("get", "patch")}
    assert {(KINDS[kind].group, KINDS[kind].resource) for kind in STOPPABLE} == written


def test_nodes_are_written_only_if_the_configuration_says_so(helm: Helm):
    enforced = {"enforce__namespaces": ["prod"]}
    without = {(role, resource, verb) for role, resource, verb in granted(helm.render(**enforced))}
    extra = {one for one in granted(helm.render(**enforced, config={"enact": {"nodes": True}})) if one not in without}
    assert {(resource, verb) for _, resource, verb in extra} == {
        ("nodes", "get"), ("nodes", "patch"), ("pods/eviction", "create"),
    }  # fmt: skip


def test_only_the_service_may_write_and_only_per_namespace(rendered: Objects):
    workloads = {
        one["metadata"]["namespace"] for one in of_kind(rendered, "Role") if one["metadata"]["name"].endswith("-write")
    }
    assert workloads == {"research", "serving"}
    for binding in of_kind(rendered, "RoleBinding"):
        assert [subject["name"] for subject in binding["subjects"]] == ["prod-gpuwise-service"]


def test_the_report_can_read_and_the_exporter_nothing(rendered: Objects):
    (binding,) = of_kind(rendered, "ClusterRoleBinding")
    assert [one["name"] for one in binding["subjects"]] == ["prod-gpuwise-service", "prod-gpuwise-report"]
