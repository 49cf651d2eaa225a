"""Whose a device, a process and a part of a device is: the kubelet's word, cgroups, and arithmetic."""
