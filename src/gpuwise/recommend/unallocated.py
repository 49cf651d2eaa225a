"""Whether the unallocated GPUs of a node are idle, by its sensors.

A node without known pods is not an empty node: its GPUs may be used outside Kubernetes, by a resource claim, or by a
pod of a kind that is not listed (karpenter#1231, dcgm-exporter#501). It needs positive evidence (I30).
"""

from gpuwise.model.inventory import Node, node_ref
from gpuwise.model.profile import UsageProfile, Verdict
from gpuwise.model.reasons import Reason
from gpuwise.recommend.fleet import Fleet


def use_of_unallocated(fleet: Fleet, node: Node, *, devices: int) -> tuple[Reason, str] | None:
    """Why the unallocated devices of a node are not known to be idle; None if they are.

    Args:
        fleet: the node's fleet.
        node: the node.
        devices: how many devices of it no pod requests; 0 needs no evidence.
    """
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
    needed = fleet.settings.agreeing_sensors
    if profile.idle.agreeing_sensors < needed:
        detail = f"{profile.idle.agreeing_sensors} of {needed} sensors show its unallocated GPUs idle"
        return Reason.NEEDS_SECOND_SIGNAL, detail
    active_h = sum(day.active_gpu_s for day in profile.days) / 3_600
    if active_h > 0.0:
        return Reason.BUSY, f"its unallocated GPUs were used outside Kubernetes for {active_h:,.1f} GPU-hours"
    return None


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
