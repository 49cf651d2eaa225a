"""What the node exporter is told."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

# Where the kubelet serves its PodResourcesLister; the same on every distribution that keeps --root-dir's default.
POD_RESOURCES_SOCKET = Path("/var/lib/kubelet/pod-resources/kubelet.sock")
# Where the kubelet keeps a link to each container's log, whose name tells the container's id.
CONTAINER_LINKS = Path("/var/log/containers")


class Backend(StrEnum):
    """Where readings come from."""

    NVML = "nvml"
    DEMO = "demo"


class Compat(StrEnum):
    """Whose metric names are served beside our own."""

    NONE = "none"
    DCGM = "dcgm"


@dataclass(frozen=True, slots=True)
class ExporterSettings:
    """How the exporter samples and where it serves.

    Attributes:
        node: name of the node, as Kubernetes has it; becomes the label `node`.
        listen: address and port of /metrics; ":9400" means every address.
        interval_s: seconds between two sweeps over the devices.
        backend: NVML, or a synthetic node.
        nvml_library: an NVML to load instead of the driver's libnvidia-ml.so.1, None for the driver's.
        pod_resources_socket: the kubelet's socket; None leaves every reading without a pod.
        host_proc: the host's /proc, which tells processes' cgroups.
        container_links: the kubelet's folder of links to containers' logs, whose names tell containers' ids.
        web_config: TLS and basic authentication in exporter-toolkit's form, None for neither.
        compat: whose names are served, too.
        max_series: most series of devices and containers; what is beyond is left out, whole metrics at a time.
    """

    node: str
    listen: str = "0.0.0.0:9400"
    interval_s: float = 10.0
    backend: Backend = Backend.NVML
    nvml_library: Path | None = None
    pod_resources_socket: Path | None = POD_RESOURCES_SOCKET
    host_proc: Path = Path("/proc")
    container_links: Path = CONTAINER_LINKS
    web_config: Path | None = None
    compat: Compat = Compat.NONE
    max_series: int = 10_000
