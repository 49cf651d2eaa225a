"""An emulator of the Kubernetes API for tests and the demo, over HTTP, with a small loop that plays scheduler and kubelet.

Forbidden here: anything of gpuwise's own; it knows Kubernetes only.
"""
