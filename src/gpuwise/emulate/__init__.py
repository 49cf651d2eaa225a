"""An emulator of the Kubernetes API over HTTP, for tests and the demo; a loop simulates scheduler and kubelet.

Forbidden here: anything specific to gpuwise; the emulator knows Kubernetes only.
"""

from gpuwise.emulate.server import ADMIN_TOKEN, NOBODY_TOKEN, READER_TOKEN, KubernetesEmulator

__all__ = ["ADMIN_TOKEN", "NOBODY_TOKEN", "READER_TOKEN", "KubernetesEmulator"]
