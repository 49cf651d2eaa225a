"""Whether the unallocated GPUs of a node are idle, by its sensors.

A node without known pods is not an empty node: its GPUs may be used outside Kubernetes, by a resource claim, or by a
pod of a kind that is not listed (karpenter#1231, dcgm-exporter#501). It needs positive evidence (I30).
"""

import math

from gpuwise.model.inventory import Node, node_ref
from gpuwise.model.profile import UsageProfile, Verdict
from gpuwise.model.reasons import Reason
from gpuwise.model.signal import Signal
from gpuwise.recommend.fleet import Fleet

# A process with a CUDA context uses 0.3 GiB of memory or more; what the driver reserves on an empty device is less.
_LEAST_CONTEXT_BYTES = 0.3 * 2**30


def use_of_unallocated(fleet: Fleet, node: Node) -> tuple[Reason, str] | None:
    """Why the unallocated devices of a node are not known to be idle; None if they are, or if it has none.

    Args:
        fleet: the node's fleet.
        node: the node.
    """
    devices = _unallocated(fleet, node)
    if devices <= 0:
        return None
    profile = fleet.profiles.get(node_ref(node))
    if profile is None or not profile.idle.verdicts:
        return Reason.INSUFFICIENT_DATA, f"no sample shows its {devices} unallocated GPUs idle: they count as in use"
    refusal = in_use(profile)
    if refusal is not None:
        return refusal
    if profile.devices < devices:
        detail = f"only {profile.devices} of its {devices} unallocated GPUs have samples: the others count as in use"
        return Reason.INSUFFICIENT_DATA, detail
    agreeing, needed = profile.idle.agreeing_sensors + _is_empty(profile), fleet.settings.agreeing_sensors
    if agreeing < needed:
        return Reason.NEEDS_SECOND_SIGNAL, f"{agreeing} of {needed} sensors show its unallocated GPUs idle"
    active_h = profile.active_gpu_s / 3_600
    if active_h > 0.0:
        return Reason.BUSY, f"its unallocated GPUs were used outside Kubernetes for {active_h:,.1f} GPU-hours"
    return None


def _unallocated(fleet: Fleet, node: Node) -> int:
    """How many devices of a node no pod requests.

    Physical cards and MIG instances count, not what a device plugin offers now: unhealthy, shared and renamed devices
    can be in use, too. Pods that share devices may all be on the fewest.
    """
    devices = sum(node.mig.values()) + (node.whole_gpus or 0) if node.mig else node.gpu_count
    tenants = fleet.pods_on.get(node.name, ())
    requested = sum(request.count for workload, _ in tenants for request in workload.requests)
    return devices - math.ceil(requested / node.pods_per_gpu)


def _is_empty(profile: UsageProfile) -> bool:
    """Whether the memory of the devices shows that no process uses them: a sensor of its own for what has no pod.

    MIG instances have no driver utilisation and no power of their own. The memory must have been sampled as often as
    the sensors that found the devices idle; how often that must be is decided there.
    """
    idle = [verdict.signal for verdict in profile.idle.verdicts if verdict.verdict is Verdict.IDLE]
    sampled = profile.coverage.get(Signal.MEMORY_USED, 0.0)
    covered = bool(idle) and sampled >= max(profile.coverage.get(signal, 0.0) for signal in idle)
    return covered and bool(profile.daily_peaks) and max(profile.daily_peaks) < _LEAST_CONTEXT_BYTES


def in_use(profile: UsageProfile) -> tuple[Reason, str] | None:
    """Why unallocated devices are not known to be idle now: work on them outside Kubernetes would be lost (I1).

    Args:
        profile: of the node's unallocated devices.
    """
    if profile.idle.since_s is not None:
        return None
    if any(verdict.verdict is Verdict.BUSY for verdict in profile.idle.verdicts):
        return Reason.BUSY, "its unallocated GPUs are in use"
    return Reason.INSUFFICIENT_DATA, "the latest samples of its unallocated GPUs are missing: they count as in use"
