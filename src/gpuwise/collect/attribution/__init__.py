"""Attribution: which container uses a device, a process, or a share of a device.

Sources: the kubelet's pod-resources API and cgroups; the rest is arithmetic.
"""
