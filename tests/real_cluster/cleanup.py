"""Checks before and cleans up after a session on a real cluster."""

import time
from collections.abc import Callable

import pytest
from tests.cluster_under_test import LABEL
from tests.real_cluster.connection import Connection
from tests.real_cluster.operators import DEFINITIONS

HEADS = "gpuwise"  # the namespace where gpuwise stores the heads of ledgers, if a test created it
NAMESPACES, NODES = "/api/v1/namespaces", "/api/v1/nodes"
VOLUMES = "/api/v1/persistentvolumes"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
DEADLINE_S = 120.0


def remove_created_objects(connection: Connection) -> None:
    """Remove all objects with the label, from this session or an aborted one."""
    selected = {"labelSelector": LABEL}
    paths = [NODES, VOLUMES, f"{RBAC}/clusterrolebindings", f"{RBAC}/clusterroles", DEFINITIONS]
    namespaces = [item["metadata"]["name"] for item in connection.items(NAMESPACES, **selected)]
    for name in namespaces:
        options = {"gracePeriodSeconds": 0, "propagationPolicy": "Background"}
        connection.must("DELETE", f"{NAMESPACES}/{name}/pods", options)
        connection.must("DELETE", f"{NAMESPACES}/{name}", also=(404, 409))
    wait(lambda: not connection.items(NAMESPACES, **selected), "the removal of the namespaces")
    for path in paths:
        for item in connection.items(path, **selected):
            connection.must("DELETE", f"{path}/{item['metadata']['name']}", also=(404,))
    wait(lambda: not any(connection.items(path, **selected) for path in paths), "the removal of the tests' objects")


def require_a_cluster_for_tests(connection: Connection) -> None:
    """Stop if the cluster has GPUs or gpuwise: tests would count its GPUs and write to its ledger's namespace."""
    if connection.call("GET", f"{NAMESPACES}/{HEADS}")[0] == 200:
        pytest.exit(f"the tests need a cluster without gpuwise: it has a namespace {HEADS}")
    for node in connection.items(NODES):
        devices = [key for key in node.get("status", {}).get("capacity", {}) if key.startswith("nvidia.com/")]
        if devices and LABEL not in node["metadata"].get("labels", {}):
            pytest.exit(
                f"the tests need a cluster without GPUs of its own: node {node['metadata']['name']} has {devices[0]}"
            )


def wait(
    done: Callable[[], object], what: str, timeout_s: float = DEADLINE_S, details: Callable[[], str] | None = None
) -> None:
    """Poll until the condition holds: other controllers act asynchronously."""
    end = time.monotonic() + timeout_s
    while not done():
        if time.monotonic() > end:
            raise TimeoutError(f"no {what} within {timeout_s:.0f} s" + (f": {details()}" if details else ""))
        time.sleep(0.05)
