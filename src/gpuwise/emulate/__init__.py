"""An emulator of the Kubernetes API over HTTP, for tests and the demo; a small loop plays scheduler and kubelet.

Forbidden here: anything of gpuwise's own; it knows Kubernetes only.
"""
