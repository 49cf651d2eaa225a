"""Settings of the node exporter."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

# The kubelet's PodResourcesLister socket; the same on every distribution that keeps --root-dir's default.
POD_RESOURCES_SOCKET = Path("/var/lib/kubelet/pod-resources/kubelet.sock")
# The kubelet's directory of links to container logs; the name of a link contains the container id.
CONTAINER_LINKS = Path("/var/log/containers")


class Backend(StrEnum):
    """The source of readings."""

    NVML = "nvml"
    DEMO = "demo"


class Compat(StrEnum):
    """Which exporter's metric names are served in addition to gpuwise's own."""

    NONE = "none"
    DCGM = "dcgm"


@dataclass(frozen=True, slots=True)
class ExporterSettings:
    """How the exporter samples and where it serves.

    Attributes:
        node: name of the node in Kubernetes; becomes the label `node`.
        listen: address and port of /metrics; ":9400" and "[::]:9400" mean every address, IPv4 and IPv6.
        interval_s: seconds between two sweeps over the devices.
        backend: NVML, or a synthetic node.
        nvml_library: an NVML library to load instead of the driver's libnvidia-ml.so.1, None for the driver's.
        pod_resources_socket: the kubelet's socket; None leaves every reading without a pod.
        host_proc: the host's /proc, which contains the cgroups of processes.
        container_links: the kubelet's directory of links to container logs; the link names contain container ids.
        web_config: TLS and basic authentication in the format of exporter-toolkit, None for neither.
        compat: which other exporter's metric names to serve as well.
        max_series: maximum number of series of devices and containers; whole metrics beyond it are left out.
    """

    node: str
    listen: str = ":9400"
    interval_s: float = 10.0
    backend: Backend = Backend.NVML
    nvml_library: Path | None = None
    pod_resources_socket: Path | None = POD_RESOURCES_SOCKET
    host_proc: Path = Path("/proc")
    container_links: Path = CONTAINER_LINKS
    web_config: Path | None = None
    compat: Compat = Compat.NONE
    max_series: int = 10_000
