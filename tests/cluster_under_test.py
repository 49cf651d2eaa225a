"""One test suite, two targets: the cluster of GPUWISE_TEST_KUBECONFIG if it is set, otherwise the emulator.

Both have the interface of KubernetesEmulator: url, requests, write_kubeconfig, fail, load, reset, forget, settle.
Objects in the namespace "default" are placed in NAMESPACE instead, so that the namespaces of a cluster are not changed.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from gpuwise.emulate import KubernetesEmulator

NAMESPACE = "gpuwise-test"
LABEL = "test.gpuwise.dev/made-by-the-suite"
CLUSTER_WIDE = {"Node", "Namespace", "ClusterRole", "ClusterRoleBinding"}
HOME = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
KUBECONFIG = os.environ.get("GPUWISE_TEST_KUBECONFIG")

StartCluster = Callable[..., AbstractContextManager[Any]]


def placed(objects: Iterable[Any]) -> list[Any]:
    """The objects; those in the default namespace are moved to the tests' namespace."""
    return [_placed(item) for item in objects]


def _placed(item: Any) -> Any:
    if item["kind"] in CLUSTER_WIDE or item["metadata"].get("namespace", "default") != "default":
        return item
    return item | {"metadata": item["metadata"] | {"namespace": NAMESPACE}}


class EmulatedCluster(KubernetesEmulator):
    """The emulator; see KubernetesEmulator."""

    def __init__(self, objects: Iterable[Any] = (), *, clock: Callable[[], float] = time.time) -> None:
        super().__init__([HOME, *placed(objects)], clock=clock)

    def load(self, *objects: Any) -> None:
        super().load(*placed(objects))

    def reset(self, objects: Iterable[Any] = ()) -> None:
        super().reset([HOME, *placed(objects)])

    def forget(self) -> None:
        """Clear the request log and the injected failures; the objects stay."""
        self._http.forget()


@contextmanager
def emulated(objects: Iterable[Any] = (), *, clock: Callable[[], float] = time.time) -> Iterator[EmulatedCluster]:
    """An emulator with objects, after its controllers have settled."""
    with EmulatedCluster(objects, clock=clock) as cluster:
        cluster.settle()
        yield cluster


@pytest.fixture(scope="session")
def start_cluster() -> Iterator[StartCluster]:
    """Start a cluster with objects: a new emulator, or the real cluster after the removal of other tests' objects.

    The emulator accepts a clock; a real server has its own.
    """
    if KUBECONFIG is None:
        yield emulated
        return
    from tests.real_cluster.cluster import RealCluster

    with RealCluster(KUBECONFIG) as real:

        @contextmanager
        def start(objects: Iterable[Any] = (), *, clock: object = None) -> Iterator[RealCluster]:
            real.reset(objects)
            yield real

        yield start


def require_one_process(config: pytest.Config) -> None:
    """Reject several test processes on one real cluster.

    Raises:
        pytest.UsageError: several processes were requested.
    """
    if KUBECONFIG is not None and getattr(config.option, "numprocesses", None):
        raise pytest.UsageError(
            "GPUWISE_TEST_KUBECONFIG names one cluster, which one process can use: `make conformance`, or pytest -n 0"
        )


def skip_emulator_only(items: Iterable[pytest.Item]) -> None:
    """Skip tests marked emulator_only if a real server is under test."""
    for item in items:
        marker = item.get_closest_marker("emulator_only")
        if marker is None:
            continue
        if set(marker.kwargs) != {"reason"} or marker.args:
            pytest.exit(f"{item.nodeid}: emulator_only takes one argument, reason=...")
        if KUBECONFIG is not None:
            item.add_marker(pytest.mark.skip(reason=f"emulator only: {marker.kwargs['reason']}"))
