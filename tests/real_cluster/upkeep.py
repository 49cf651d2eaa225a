"""Before and after a session on a real cluster: what must not be there, and what must not stay."""

import time
from collections.abc import Callable

import pytest
from tests.cluster_under_test import LABEL
from tests.real_cluster.connection import Connection
from tests.real_cluster.operators import DEFINITIONS

HEADS = "gpuwise"  # the namespace where gpuwise remembers the heads of ledgers, once a test made it
NAMESPACES, NODES = "/api/v1/namespaces", "/api/v1/nodes"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
DEADLINE_S = 120.0


def remove_what_was_made(connection: Connection) -> None:
    """Remove everything that carries the label, of this session or of one that broke off."""
    selected = {"labelSelector": LABEL}
    paths = [NODES, f"{RBAC}/clusterrolebindings", f"{RBAC}/clusterroles", DEFINITIONS]
    namespaces = [item["metadata"]["name"] for item in connection.items(NAMESPACES, **selected)]
    for name in namespaces:
        options = {"gracePeriodSeconds": 0, "propagationPolicy": "Background"}
        connection.must("DELETE", f"{NAMESPACES}/{name}/pods", options)
        connection.must("DELETE", f"{NAMESPACES}/{name}", also=(404, 409))
    wait(lambda: not connection.items(NAMESPACES, **selected), "the namespaces being gone")
    for path in paths:
        for item in connection.items(path, **selected):
            connection.must("DELETE", f"{path}/{item['metadata']['name']}", also=(404,))
    wait(lambda: not any(connection.items(path, **selected) for path in paths), "what was made being gone")


def refuse_what_belongs_to_others(connection: Connection) -> None:
    """Tests would count a cluster's own GPUs with theirs, and remember their ledgers in a gpuwise that is installed."""
    if connection.call("GET", f"{NAMESPACES}/{HEADS}")[0] == 200:
        pytest.exit(f"the tests want a cluster without gpuwise: it has a namespace {HEADS}")
    for node in connection.items(NODES):
        devices = [key for key in node.get("status", {}).get("capacity", {}) if key.startswith("nvidia.com/")]
        if devices and LABEL not in node["metadata"].get("labels", {}):
            pytest.exit(
                f"the tests want a cluster without GPUs of its own: node {node['metadata']['name']} has {devices[0]}"
            )


def wait(
    done: Callable[[], object], what: str, timeout_s: float = DEADLINE_S, told: Callable[[], str] | None = None
) -> None:
    """Ask until it is so: other programs' controllers have their own pace."""
    end = time.monotonic() + timeout_s
    while not done():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not come within {timeout_s:.0f} s" + (f": {told()}" if told else ""))
        time.sleep(0.05)
