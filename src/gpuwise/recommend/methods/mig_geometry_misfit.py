"""Reconfigure MIG on a node so that fewer of its GPUs offer the slices in use, and the others become whole GPUs."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np

from gpuwise.model.changes import Repartition
from gpuwise.model.findings import Finding
from gpuwise.model.gpu import GpuType, MigProfile
from gpuwise.model.inventory import Node, Pod, Workload, node_ref
from gpuwise.model.labels import MIG_RESOURCE_PREFIX
from gpuwise.model.profile import UsageProfile, Verdict
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Blocked, Evidence, Recommendation, Saving
from gpuwise.model.usage import DAY_S
from gpuwise.recommend.case import CONFIDENT_DAYS, HOURS_PER_MONTH
from gpuwise.recommend.engines.mig_geometry_misfit.geometry import Ints, geometries, offers
from gpuwise.recommend.engines.mig_geometry_misfit.pack import Floats, pack
from gpuwise.recommend.fleet import Fleet, node_blocked, node_recommendation
from gpuwise.recommend.movable import answers_alone, blocker, node_blocker
from gpuwise.recommend.proposal import Proposal
from gpuwise.recommend.unallocated import in_use, use_of_unallocated

STAGE = "repartition"

Refusal = tuple[Reason, str]
Slices = Mapping[str, int]
"""Number of slices by profile name."""


@dataclass(frozen=True, slots=True)
class _Fit:
    """The slices and GPUs that a node offers, and those that are needed.

    Attributes:
        used: slices that pods on the node request.
        waiting: slices that pods without a node request.
        offered_gpus: the fewest GPUs that can offer the node's present slices; the node may use more.
        needed_gpus: the fewest GPUs that can offer the used and the waiting slices.
        proposed: the slices that these GPUs would offer.
    """

    used: Slices
    waiting: Slices
    offered_gpus: int
    needed_gpus: int
    proposed: tuple[tuple[str, int], ...]

    @property
    def freed_gpus(self) -> int:
        """Whole GPUs that become free."""
        return self.offered_gpus - self.needed_gpus


class _Fewest(NamedTuple):
    """The fewest GPUs that offer some slices.

    Attributes:
        bound: proved lower bound on their number.
        gpus: their number.
        offered: the slices that they offer, by profile.
    """

    bound: int
    gpus: int
    offered: tuple[int, ...]


_Pack = Callable[[GpuType, tuple[int, ...]], _Fewest]


def repartition(fleet: Fleet) -> Iterator[Recommendation | Blocked]:
    """Recommend a MIG geometry for each MIG node with which fewer GPUs offer the slices in use, or return why not.

    A slice that a pod waits for counts as used on every node whose GPUs can offer it, because it is not known on which
    node the pod will run. Pods cannot move between slices: the node is drained, reconfigured and filled again.

    What a node must offer is what the manifests of its pods request, by the name of the profile, so the engine packs
    requests: one slice serves one request (the rates are the identity). A pod whose measured activity and memory fit a
    smaller slice gets a `Resize` from right-size, with its margins, and this method follows once the pod requests that
    slice. Packing by throughput needs the rate of each model on each profile. No metric has it for profiles on which
    the model does not run, so that is left to the backtest.

    Args:
        fleet: the fleet.
    """
    waiting = _requested(
        (workload, pod) for workload in fleet.inventory.workloads for pod in workload.active_pods if not pod.node
    )
    fewest = cache(_fewest)  # most nodes of a fleet have the same slices, and use the same
    for node in fleet.inventory.nodes.values():
        if node.mig:
            yield _judged(fleet, node, waiting, fewest)


def _judged(fleet: Fleet, node: Node, waiting: Slices, fewest: _Pack) -> Recommendation | Blocked:
    gpu = node.gpu_type
    if gpu is None:
        return node_blocked(node, STAGE, Reason.UNKNOWN_GPU_TYPE, "its GPU type is not known")
    used = _requested(fleet.pods_on.get(node.name, ()))
    refusal = _unknown(fleet, node, gpu, used)
    if refusal is not None:
        return node_blocked(node, STAGE, *refusal)
    fit = _fit(gpu, node, used, waiting, fewest)
    if fit.offered_gpus > node.gpu_count > 0:
        detail = f"its slices need {fit.offered_gpus} GPUs, but it has {node.gpu_count}"
        return node_blocked(node, STAGE, Reason.INSUFFICIENT_DATA, detail)
    if fit.freed_gpus < 1:
        detail = f"the used and requested slices need {fit.needed_gpus} GPUs; {fit.offered_gpus} have slices now"
        return node_blocked(node, STAGE, Reason.WELL_PACKED, detail, _evidence(node, fit))
    return _freed(fleet, node, fit)


def _freed(fleet: Fleet, node: Node, fit: _Fit) -> Recommendation | Blocked:
    """Recommend to free GPUs of a node on which fewer suffice, unless work would be lost."""
    unallocated, evidence = fleet.profiles.get(node_ref(node)), _evidence(node, fit)
    if unallocated is None:
        detail = "its unallocated slices were never sampled"
        return node_blocked(node, STAGE, Reason.INSUFFICIENT_DATA, detail, evidence)
    refusal = in_use(unallocated) or use_of_unallocated(fleet, node) or _undisturbed(fleet, node)
    if refusal is not None:
        return node_blocked(node, STAGE, *refusal, evidence)
    usd_per_gpu_h = fleet.usd_per_gpu_h(node)
    if usd_per_gpu_h is None:
        detail = "another MIG geometry would free GPUs, but no price is known for its GPUs"
        return node_blocked(node, STAGE, Reason.NO_PRICE, detail, evidence)
    proposal = _proposal(node, fit, usd_per_gpu_h, _coverage(unallocated), _risk(fleet, node), evidence)
    length = min(1.0, unallocated.observed_s / (CONFIDENT_DAYS * DAY_S))
    # It counts unallocated slices only, so other recommendations may count the GPU time of the node's workloads.
    return node_recommendation(
        fleet, node, proposal, confidence=length * proposal.coverage, claims=(), observed_s=unallocated.observed_s
    )


def _requested(pods: Iterable[tuple[Workload, Pod]]) -> Slices:
    """MIG slices that pods request; requests for whole GPUs do not count."""
    requested: dict[str, int] = {}
    for workload, _ in pods:
        for request in workload.requests:
            if request.resource.startswith(MIG_RESOURCE_PREFIX):
                name = request.resource.removeprefix(MIG_RESOURCE_PREFIX)
                requested[name] = requested.get(name, 0) + request.count
    return requested


def _unknown(fleet: Fleet, node: Node, gpu: GpuType, used: Slices) -> Refusal | None:
    """Why the node's slices or the requests of its pods are not fully known, or None if they are."""
    strange = sorted(name for name in node.mig if gpu.mig_profile(name) is None)
    if strange:
        return Reason.UNKNOWN_GPU_TYPE, f"it offers {strange[0]}, which is not a known MIG profile of a {gpu.name}"
    if "-MIG-" in node.gpu_product:
        return Reason.NOT_APPLICABLE, "with MIG strategy single all GPUs have one profile; strategy mixed is required"
    pods = fleet.pods_on.get(node.name, ())
    if any(workload.request is None for workload, _ in pods):
        return Reason.INSUFFICIENT_DATA, "the request of one of its pods is not known"
    more = sorted(name for name, count in used.items() if count > node.mig.get(name, 0))
    if more:
        return Reason.INSUFFICIENT_DATA, f"its pods use more of {more[0]} than it offers"
    return None


def _fit(gpu: GpuType, node: Node, used: Slices, waiting: Slices, fewest: _Pack) -> _Fit:
    here = {name: count for name, count in waiting.items() if gpu.mig_profile(name) is not None}
    names = [profile.name for profile in gpu.mig_profiles]
    now = fewest(gpu, tuple([node.mig.get(name, 0) for name in names]))
    then = fewest(gpu, tuple([used.get(name, 0) + here.get(name, 0) for name in names]))
    proposed = tuple((name, count) for name, count in zip(names, then.offered, strict=True) if count)
    return _Fit(used, here, now.bound, then.gpus, proposed)


def _fewest(gpu: GpuType, wanted: tuple[int, ...]) -> _Fewest:
    """The fewest GPUs that offer some slices.

    Args:
        gpu: their type.
        wanted: number of slices by profile of the type.
    """
    rates, partitions = _partitions(gpu.mig_profiles)
    found = pack(partitions, rates, np.array(wanted, dtype=np.float64))
    return _Fewest(found.bound, found.gpus, tuple((found.partitioned @ partitions).tolist()))


@cache
def _partitions(profiles: tuple[MigProfile, ...]) -> tuple[Floats, Ints]:
    """The rates of one slice of each profile, and the slices that each geometry offers."""
    return np.eye(len(profiles)), offers(geometries(profiles), len(profiles))


def _undisturbed(fleet: Fleet, node: Node) -> Refusal | None:
    """Why the node or a pod of it may not be disturbed, or None; draining the node moves all of its pods."""
    refusal = node_blocker(node)
    if refusal is not None:
        return refusal
    refusals = (blocker(fleet, workload, pod) for workload, pod in fleet.pods_on.get(node.name, ()))
    return next((refusal for refusal in refusals if refusal is not None), None)


def _risk(fleet: Fleet, node: Node) -> int:
    """2: every pod of the node restarts. 3: an endpoint has no other ready pod meanwhile."""
    alone = any(answers_alone(workload, node.name) for workload, _ in fleet.pods_on.get(node.name, ()))
    return 3 if alone else 2


def _coverage(unallocated: UsageProfile) -> float:
    verdicts = unallocated.idle.verdicts
    return min((verdict.coverage for verdict in verdicts if verdict.verdict is Verdict.IDLE), default=0.0)


def _evidence(node: Node, fit: _Fit) -> tuple[Evidence, ...]:
    offered = sum(node.mig.values())
    used, waiting = sum(fit.used.values()), sum(fit.waiting.values())
    return (
        Evidence("slices that its pods use, of those it offers", None, "sum", used, offered, "slices"),
        Evidence("slices that pending pods request", None, "sum", waiting, None, "slices"),
        Evidence("GPUs needed for both, of those used now", None, "min", fit.needed_gpus, fit.offered_gpus, "GPUs"),
    )


def _proposal(
    node: Node, fit: _Fit, usd_per_gpu_h: float, coverage: float, risk: int, evidence: tuple[Evidence, ...]
) -> Proposal:
    gpu_h = fit.freed_gpus * HOURS_PER_MONTH
    usd = gpu_h * usd_per_gpu_h
    return Proposal(
        finding=Finding.MIG_GEOMETRY_MISFIT,
        reasons=(Reason.SLICES_FIT_FEWER_GPUS,),
        change=Repartition(tuple(sorted(node.mig.items())), fit.proposed, fit.freed_gpus),
        # Low end: nothing is saved until somebody uses the GPUs that become free.
        saving=Saving(usd, 0.0, usd, gpu_h),
        risk=risk,
        coverage=coverage,
        evidence=evidence,
    )
