"""The node's outside, played: an NVML in C that follows a scenario file, and a kubelet on a unix socket."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from tests.prometheus_server import start_prometheus

from gpuwise.collect.nvml import Nvml
from gpuwise.collect.pod_resources import MESSAGES
from gpuwise.model.usage import PodRef

__all__ = ["start_prometheus"]

FAKE_NVML_SOURCE = Path(__file__).parent / "fake_nvml" / "fake_nvml.c"

H100 = """\
gpu 0 name NVIDIA H100 80GB HBM3
gpu 0 uuid GPU-aaaa
gpu 0 total 85899345920
gpu 0 used 8589934592
gpu 0 util 37
gpu 0 power 312500
gpu 0 energy 123456789
gpu 0 processes 2
gpu 0 mig_mode 0
gpu 0 gpm.2 41.5
gpu 0 gpm.5 12.25
gpu 0 gpm.10 30
"""
SLICED = """\
gpu 0 name NVIDIA A100-SXM4-80GB
gpu 0 uuid GPU-bbbb
gpu 0 total 85899345920
gpu 0 used 1073741824
gpu 0 power 210000
gpu 0 processes 1
gpu 0 mig_mode 1
mig 0 0 name NVIDIA A100-SXM4-80GB MIG 1g.10gb
mig 0 0 uuid MIG-1111
mig 0 0 gpu_instance_id 7
mig 0 0 total 10737418240
mig 0 0 used 536870912
mig 0 0 processes 1
mig 0 0 gpm.2 88
mig 0 3 name NVIDIA A100-SXM4-80GB MIG 2c.3g.40gb
mig 0 3 uuid MIG-2222
mig 0 3 gpu_instance_id 2
mig 0 3 total 42949672960
mig 0 3 used 0
mig 0 3 processes 0
mig 0 3 gpm.2 0
"""


@dataclass(frozen=True)
class Scenario:
    """The file that the fake NVML follows."""

    path: Path

    def play(self, *parts: str) -> None:
        """Replace it at once, so that no reader sees half of it."""
        fresh = self.path.with_suffix(".new")
        fresh.write_text("\n".join(parts))
        fresh.replace(self.path)


@pytest.fixture(scope="session")
def fake_nvml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler for the fake NVML: apt-get install gcc")
    library = tmp_path_factory.mktemp("nvml") / "libnvidia-ml.so.1"
    flags = ["-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-Wl,-soname,libnvidia-ml.so.1"]
    subprocess.run([compiler, *flags, "-o", library, FAKE_NVML_SOURCE], check=True)
    return library


@pytest.fixture
def scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scenario:
    played = Scenario(tmp_path / "scenario")
    monkeypatch.setenv("GPUWISE_FAKE_NVML", str(played.path))
    return played


@pytest.fixture
def open_nvml(fake_nvml: Path, scenario: Scenario) -> Iterator[Callable[..., Nvml]]:
    """Open NVML over a scenario; it is closed with the test."""
    opened: list[Nvml] = []

    def open_(*parts: str) -> Nvml:
        scenario.play(*parts)
        opened.append(Nvml(fake_nvml))
        return opened[-1]

    yield open_
    for nvml in opened:
        nvml.close()


@contextmanager
def kubelet(socket: Path, allocations: dict[PodRef, tuple[str, ...]]) -> Iterator[None]:
    """A kubelet that lists these containers with the ids of the devices they hold."""
    response = MESSAGES["ListPodResourcesResponse"]()
    for ref, device_ids in allocations.items():
        pod = response.pod_resources.add(name=ref.pod, namespace=ref.namespace)
        container = pod.containers.add(name=ref.container)
        container.devices.add(resource_name="nvidia.com/gpu", device_ids=device_ids)
    handler = grpc.unary_unary_rpc_method_handler(
        lambda *_: response,
        request_deserializer=MESSAGES["ListPodResourcesRequest"].FromString,
        response_serializer=lambda message: message.SerializeToString(),
    )
    server = grpc.server(futures.ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("v1.PodResourcesLister", {"List": handler})])
    server.add_insecure_port(f"unix://{socket}")
    server.start()
    try:
        yield
    finally:
        server.stop(grace=None).wait()
