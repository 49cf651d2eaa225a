"""Node side: read NVML, attribute to pods, serve to Prometheus.

Forbidden here: the Kubernetes API (attribution goes through the kubelet's own socket) and any judgement of what a
value means.
"""
