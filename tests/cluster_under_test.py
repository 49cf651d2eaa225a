"""One suite, two targets: the cluster that GPUWISE_TEST_KUBECONFIG names, else the emulator.

Both have the interface of KubernetesEmulator: url, requests, write_kubeconfig, fail, load, reset, forget, settle.
Objects that name the namespace "default" are put into NAMESPACE, so that a person's cluster is left alone.
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
    """The objects, in the tests' namespace where they name none of their own."""
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
        """Empty the log of requests and take back the failures; the objects stay."""
        self._http.forget()


@contextmanager
def emulated(objects: Iterable[Any] = (), *, clock: Callable[[], float] = time.time) -> Iterator[EmulatedCluster]:
    """An emulator with objects in it, after its controllers are done."""
    with EmulatedCluster(objects, clock=clock) as cluster:
        cluster.settle()
        yield cluster


@pytest.fixture(scope="session")
def start_cluster() -> Iterator[StartCluster]:
    """Start a cluster with objects in it: a new emulator, or the real cluster after other tests' objects are removed.

    The emulator takes a clock; a real server has its own.
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


def refuse_several_processes(config: pytest.Config) -> None:
    """Refuse to share a real cluster between processes.

    Raises:
        pytest.UsageError: several were asked for.
    """
    if KUBECONFIG is not None and getattr(config.option, "numprocesses", None):
        raise pytest.UsageError(
            "GPUWISE_TEST_KUBECONFIG names one cluster, which one process can use: `make conformance`, or pytest -n 0"
        )


def skip_what_only_the_emulator_can(items: Iterable[pytest.Item]) -> None:
    """Skip tests marked emulator_only where a real server is under test."""
    for item in items:
        marker = item.get_closest_marker("emulator_only")
        if marker is None:
            continue
        if set(marker.kwargs) != {"reason"} or marker.args:
            pytest.exit(f"{item.nodeid}: emulator_only takes one argument, reason=...")
        if KUBECONFIG is not None:
            item.add_marker(pytest.mark.skip(reason=f"emulator only: {marker.kwargs['reason']}"))
