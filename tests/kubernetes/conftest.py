"""One test suite, two targets: the cluster of GPUWISE_TEST_KUBECONFIG if it is set, otherwise the emulator."""

import secrets
import time
from dataclasses import dataclass
from typing import Any

import pytest
from tests.cluster_under_test import KUBECONFIG, LABEL, NAMESPACE

from gpuwise.emulate.objects import node


@dataclass(frozen=True)
class Target:
    client: Any
    cluster: Any


@pytest.fixture(scope="session")
def cluster_under_test(start_cluster, tmp_path_factory):
    """On a real server, tests call the API directly, as the kubeconfig does; setup and faults go through the proxy."""
    from kubernetes import config

    with start_cluster([node("gpu-0", mig={"1g.10gb": 7}), node("gpu-1")]) as cluster:
        kubeconfig = KUBECONFIG or cluster.write_kubeconfig(tmp_path_factory.mktemp("kube") / "config")
        with config.new_client_from_config(str(kubeconfig)) as client:
            yield Target(client, cluster)


@pytest.fixture
def api(cluster_under_test):
    return cluster_under_test.client


@pytest.fixture
def emulator(cluster_under_test):
    """The cluster as prepared by a test: an emulator, or its equivalent on a real server."""
    return cluster_under_test.cluster


@pytest.fixture
def namespace(api):
    """A new namespace; a real cluster creates its default service account."""
    from kubernetes.client import CoreV1Api

    name = f"{NAMESPACE}-{secrets.token_hex(4)}"
    core = CoreV1Api(api)
    core.create_namespace({"metadata": {"name": name, "labels": {LABEL: "true"}}})
    yield name
    core.delete_namespace(name)


@pytest.fixture
def eventually():
    """Repeat a question until the answer is true: controllers act asynchronously."""

    def ask(question, *, timeout_s=300.0):
        until = time.monotonic() + timeout_s
        while True:
            answer = question()
            if answer:
                return answer
            assert time.monotonic() < until, f"not so after {timeout_s} s"
            time.sleep(0.02)

    return ask
