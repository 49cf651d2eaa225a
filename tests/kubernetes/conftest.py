"""One suite, two targets: the cluster that GPUWISE_TEST_KUBECONFIG names, else the emulator."""

import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from gpuwise.emulate import KubernetesEmulator
from gpuwise.emulate.objects import node

REAL = os.environ.get("GPUWISE_TEST_KUBECONFIG")


@dataclass(frozen=True)
class Target:
    kubeconfig: Path
    client: object
    emulator: KubernetesEmulator | None


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "emulator_only: needs what only the emulator can give: GPU nodes, tokens, faults"
    )


def pytest_collection_modifyitems(items):
    skip = pytest.mark.skip(reason="needs the emulator: run it without GPUWISE_TEST_KUBECONFIG")
    for item in items:
        if REAL and item.get_closest_marker("emulator_only"):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def cluster_under_test(tmp_path_factory):
    from kubernetes import config

    if REAL:
        with config.new_client_from_config(REAL) as client:
            yield Target(Path(REAL), client, None)
        return
    with KubernetesEmulator([node("gpu-0", mig={"1g.10gb": 7}), node("gpu-1")]) as api:
        kubeconfig = api.write_kubeconfig(tmp_path_factory.mktemp("kube") / "config")
        with config.new_client_from_config(str(kubeconfig)) as client:
            yield Target(kubeconfig, client, api)


@pytest.fixture
def api(cluster_under_test):
    return cluster_under_test.client


@pytest.fixture
def emulator(cluster_under_test):
    return cluster_under_test.emulator


@pytest.fixture
def namespace(api):
    """A fresh one, with its default service account where a real cluster makes it."""
    from kubernetes.client import CoreV1Api

    name = f"gpuwise-test-{secrets.token_hex(4)}"
    core = CoreV1Api(api)
    core.create_namespace({"metadata": {"name": name}})
    yield name
    core.delete_namespace(name)


@pytest.fixture
def eventually():
    """Ask again until it is so: a controller has its own pace."""

    def ask(question, *, timeout_s=300.0):
        until = time.monotonic() + timeout_s
        while True:
            answer = question()
            if answer:
                return answer
            assert time.monotonic() < until, f"not so after {timeout_s} s"
            time.sleep(0.02)

    return ask
