"""Fakes of the node's environment: an NVML library in C that follows a scenario file, and a kubelet on a socket."""

import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from tests.prometheus_server import start_prometheus

from gpuwise.collect.attribution.allocation import Container
from gpuwise.collect.nvml import Nvml

from .pod_resources_api import MESSAGES
from .scenarios import H100, SLICED

__all__ = ["H100", "SLICED", "start_prometheus"]

FAKE_NVML_SOURCE = Path(__file__).parent / "fake_nvml" / "fake_nvml.c"


@dataclass(frozen=True)
class Scenario:
    """The file that the fake NVML follows."""

    path: Path

    def play(self, *parts: str) -> None:
        """Replace the file atomically, so that no reader sees a part of it."""
        fresh = self.path.with_suffix(".new")
        fresh.write_text("\n".join(parts))
        fresh.replace(self.path)


class Clock:
    """A fixed time in epoch seconds."""

    def __init__(self, now_s: float = 1000.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


def build_fake_nvml(folder: Path) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler for the fake NVML: apt-get install gcc")
    library = folder / "libnvidia-ml.so.1"
    flags = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-Wl,-soname,libnvidia-ml.so.1"]
    subprocess.run([compiler, *flags, "-o", library, FAKE_NVML_SOURCE, "-lm", "-lpthread"], check=True)
    return library


@pytest.fixture(scope="session")
def fake_nvml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_fake_nvml(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scenario:
    fake = Scenario(tmp_path / "scenario")
    monkeypatch.setenv("GPUWISE_FAKE_NVML", str(fake.path))
    return fake


@pytest.fixture
def clock() -> Clock:
    return Clock()


OpenNvml = Callable[..., Nvml]


@pytest.fixture
def open_nvml(fake_nvml: Path, scenario: Scenario, clock: Clock) -> Iterator[OpenNvml]:
    """Open NVML with a scenario; it is closed at the end of the test."""
    opened: list[Nvml] = []

    def open_(*parts: str) -> Nvml:
        scenario.play(*parts)
        opened.append(Nvml(fake_nvml, clock=clock))
        return opened[-1]

    yield open_
    for nvml in opened:
        nvml.close()


@dataclass
class Kubelet:
    """A kubelet that lists containers with their device ids; both may change while it serves.

    Attributes:
        devices: ids that the device plugin allocated to each container.
        claims: driver and device of each container's resource claims.
        unlisted: containers that List omits and Get returns.
        has_get: whether it supports Get, as kubelets since 1.34 do.
        asked: the methods that were called.
        answers: while it is not set, calls hang.
    """

    devices: dict[Container, tuple[str, ...]]
    claims: dict[Container, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    unlisted: set[Container] = field(default_factory=set)
    has_get: bool = True
    asked: list[str] = field(default_factory=list)
    answers: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.answers.set()

    def list(self, _request: Any, _context: grpc.ServicerContext) -> Any:
        self.asked.append("List")
        self.answers.wait(60)
        response = MESSAGES["ListPodResourcesResponse"]()
        for ref in (self.devices | self.claims).keys() - self.unlisted:
            self._fill(response.pod_resources.add(), ref)
        return response

    def get(self, request: Any, context: grpc.ServicerContext) -> Any:
        self.asked.append("Get")
        self.answers.wait(60)
        response = MESSAGES["GetPodResourcesResponse"]()
        refs = [one for one in self.devices if (one.namespace, one.pod) == (request.pod_namespace, request.pod_name)]
        if not self.has_get:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, "PodResources API Get method disabled")
        if not refs:
            context.abort(grpc.StatusCode.NOT_FOUND, "pod not found")
        for ref in refs:
            self._fill(response.pod_resources, ref)
        return response

    def _fill(self, pod: Any, ref: Container) -> None:
        pod.name, pod.namespace = ref.pod, ref.namespace
        container = pod.containers.add(name=ref.name)
        container.devices.add(resource_name="nvidia.com/gpu", device_ids=self.devices.get(ref, ()))
        for driver, device in self.claims.get(ref, ()):
            claim = container.dynamic_resources.add(claim_name="gpu", claim_namespace=ref.namespace)
            claim.claim_resources.add(driver_name=driver, pool_name="node-a", device_name=device)


@contextmanager
def kubelet(socket: Path, devices: dict[Container, tuple[str, ...]], **more: Any) -> Iterator[Kubelet]:
    """Serve a kubelet on a unix socket."""
    fake = Kubelet(dict(devices), **more)
    handlers = {
        name: grpc.unary_unary_rpc_method_handler(
            method,
            request_deserializer=MESSAGES[f"{name}PodResourcesRequest"].FromString,
            response_serializer=lambda message: message.SerializeToString(),
        )
        for name, method in (("List", fake.list), ("Get", fake.get))
    }
    server = grpc.server(futures.ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("v1.PodResourcesLister", handlers)])
    server.add_insecure_port(f"unix://{socket}")
    server.start()
    try:
        yield fake
    finally:
        server.stop(grace=None).wait()
