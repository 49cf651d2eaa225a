"""What the node exporter is told."""

from dataclasses import dataclass
from pathlib import Path

# Where the kubelet serves its PodResourcesLister; the same on every distribution that keeps --root-dir's default.
POD_RESOURCES_SOCKET = Path("/var/lib/kubelet/pod-resources/kubelet.sock")


@dataclass(frozen=True, slots=True)
class ExporterSettings:
    """How the exporter samples and where it serves.

    Attributes:
        node: name of the node, as Kubernetes has it; becomes the label `node`.
        listen: address and port of /metrics; ":9400" means every address.
        interval_s: seconds between two sweeps over the devices.
        nvml_library: an NVML to load instead of the driver's libnvidia-ml.so.1, None for the driver's.
        pod_resources_socket: the kubelet's socket; None leaves every reading without a pod.
    """

    node: str
    listen: str = "0.0.0.0:9400"
    interval_s: float = 10.0
    nvml_library: Path | None = None
    pod_resources_socket: Path | None = POD_RESOURCES_SOCKET
