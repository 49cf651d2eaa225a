"""Cut the GPUs of a node otherwise: fewer of them offer the slices that are used, and the others stay whole."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

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
from gpuwise.recommend.engines.mig_geometry_misfit.pack import Packing, pack
from gpuwise.recommend.fleet import Fleet, node_blocked, node_recommendation
from gpuwise.recommend.movable import answers_alone, blocker
from gpuwise.recommend.proposal import Proposal

STAGE = "repartition"

Refusal = tuple[Reason, str]
Slices = Mapping[str, int]
"""Number of slices by profile name."""


@dataclass(frozen=True, slots=True)
class _Fit:
    """What a node offers and what of it is needed, in slices and in GPUs.

    Attributes:
        used: slices that pods on it ask for.
        waiting: slices that pods without a node ask for.
        offered_gpus: the fewest GPUs that are cut into what it offers now; it may be more.
        needed_gpus: the fewest that offer what is used and waited for.
        proposed: slices that these offer.
    """

    used: Slices
    waiting: Slices
    offered_gpus: int
    needed_gpus: int
    proposed: tuple[tuple[str, int], ...]

    @property
    def freed_gpus(self) -> int:
        """Whole GPUs that are left."""
        return self.offered_gpus - self.needed_gpus


def repartition(fleet: Fleet) -> Iterator[Recommendation | Blocked]:
    """Cut the GPUs of each node with MIG so that fewer have the slices in use, or say why not.

    A slice that a pod waits for counts as used on every node whose cards have it: which node it would get is not known.
    Slices in use do not move by themselves: the node is drained, cut anew and filled again.

    Args:
        fleet: what is known of it.
    """
    waiting = _asked((workload, pod) for workload in fleet.inventory.workloads for pod in workload.pods if not pod.node)
    for node in fleet.inventory.nodes.values():
        if node.mig:
            yield _judged(fleet, node, waiting)


def _judged(fleet: Fleet, node: Node, waiting: Slices) -> Recommendation | Blocked:
    gpu = node.gpu_type
    if gpu is None:
        return node_blocked(node, STAGE, Reason.UNKNOWN_GPU_TYPE, "its card is of no known type")
    refusal = _unknown(fleet, node, gpu)
    if refusal is not None:
        return node_blocked(node, STAGE, *refusal)
    fit = _fit(gpu, node, _asked(fleet.pods_on.get(node.name, ())), waiting)
    if fit.offered_gpus > node.gpu_count > 0:
        detail = f"it offers slices of {fit.offered_gpus} GPUs and has {node.gpu_count}"
        return node_blocked(node, STAGE, Reason.INSUFFICIENT_DATA, detail)
    if fit.freed_gpus < 1:
        detail = f"what is used and waited for takes {fit.needed_gpus} GPUs; {fit.offered_gpus} are cut"
        return node_blocked(node, STAGE, Reason.WELL_PACKED, detail, _evidence(node, fit))
    return _freed(fleet, node, fit)


def _freed(fleet: Fleet, node: Node, fit: _Fit) -> Recommendation | Blocked:
    """Fewer GPUs would do: free the others if nothing is lost by it."""
    unheld, evidence = fleet.profiles.get(node_ref(node)), _evidence(node, fit)
    if unheld is None:
        return node_blocked(node, STAGE, Reason.INSUFFICIENT_DATA, "what no pod holds was never sampled", evidence)
    refusal = _in_use(unheld) or _undisturbed(fleet, node)
    if refusal is not None:
        return node_blocked(node, STAGE, *refusal, evidence)
    usd_per_gpu_h = fleet.usd_per_gpu_h(node)
    if usd_per_gpu_h is None:
        return node_blocked(
            node, STAGE, Reason.NO_PRICE, "could be cut otherwise, but its GPUs have no price", evidence
        )
    proposal = _proposal(node, fit, usd_per_gpu_h, _coverage(unheld), _risk(fleet, node), evidence)
    length = min(1.0, unheld.observed_s / (CONFIDENT_DAYS * DAY_S))
    # It counts slices that nobody uses, so what its workloads use may be counted by others.
    return node_recommendation(
        fleet, node, proposal, confidence=length * proposal.coverage, claims=(), observed_s=unheld.observed_s
    )


def _asked(pods: Iterable[tuple[Workload, Pod]]) -> Slices:
    """Slices that pods ask for; whole GPUs are no slices."""
    asked: Counter[str] = Counter()
    for workload, _ in pods:
        if workload.request is not None and workload.request.resource.startswith(MIG_RESOURCE_PREFIX):
            asked[workload.request.resource.removeprefix(MIG_RESOURCE_PREFIX)] += workload.request.count
    return asked


def _unknown(fleet: Fleet, node: Node, gpu: GpuType) -> Refusal | None:
    """What the node says of itself and what runs on it must be understood whole."""
    strange = sorted(name for name in node.mig if gpu.mig_profile(name) is None)
    if strange:
        return Reason.UNKNOWN_GPU_TYPE, f"it offers {strange[0]}, which no {gpu.name} is known to have"
    if "-MIG-" in node.gpu_product:
        return Reason.NOT_APPLICABLE, "MIG strategy single gives all its GPUs one profile; mixed gives each its own"
    pods = fleet.pods_on.get(node.name, ())
    if any(workload.request is None for workload, _ in pods):
        return Reason.INSUFFICIENT_DATA, "what one of its pods asks for is not known"
    more = sorted(name for name, count in _asked(pods).items() if count > node.mig.get(name, 0))
    if more:
        return Reason.INSUFFICIENT_DATA, f"its pods use more of {more[0]} than it offers"
    return None


def _fit(gpu: GpuType, node: Node, used: Slices, waiting: Slices) -> _Fit:
    here = {name: count for name, count in waiting.items() if gpu.mig_profile(name) is not None}
    profiles = gpu.mig_profiles
    now, then = _fewest(profiles, node.mig), _fewest(profiles, Counter(used) + Counter(here))
    _, cuts = _cuts(profiles)
    counts = zip(profiles, (then.cut @ cuts).tolist(), strict=True)
    proposed = tuple((profile.name, count) for profile, count in counts if count)
    return _Fit(used, here, now.bound, then.gpus, proposed)


def _fewest(profiles: tuple[MigProfile, ...], wanted: Slices) -> Packing:
    """The fewest GPUs that offer some slices."""
    rates, cuts = _cuts(profiles)
    return pack(cuts, rates.astype(np.float64), np.array([float(wanted.get(profile.name, 0)) for profile in profiles]))


@cache
def _cuts(profiles: tuple[MigProfile, ...]) -> tuple[Ints, Ints]:
    """One of each profile, and what each way to cut a card offers."""
    return np.eye(len(profiles), dtype=np.int64), offers(geometries(profiles), len(profiles))


def _in_use(unheld: UsageProfile) -> Refusal | None:
    """Slices that no pod holds must be seen to be idle: work outside Kubernetes would be lost with them (I1)."""
    if unheld.idle.since_s is not None:
        return None
    if any(verdict.verdict is Verdict.BUSY for verdict in unheld.idle.verdicts):
        return Reason.BUSY, "what no pod holds is in use"
    return Reason.INSUFFICIENT_DATA, "what no pod holds was not sampled up to now, so it counts as in use"


def _undisturbed(fleet: Fleet, node: Node) -> Refusal | None:
    """Why a pod of the node may not be moved; draining it moves them all."""
    found = (blocker(fleet, *holder) for holder in fleet.pods_on.get(node.name, ()))
    return next((refusal for refusal in found if refusal is not None), None)


def _risk(fleet: Fleet, node: Node) -> int:
    """2: every pod of the node starts anew. 3: no other pod of an endpoint answers while one does."""
    alone = any(answers_alone(workload, node.name) for workload, _ in fleet.pods_on.get(node.name, ()))
    return 3 if alone else 2


def _coverage(unheld: UsageProfile) -> float:
    return min((one.coverage for one in unheld.idle.verdicts if one.verdict is Verdict.IDLE), default=0.0)


def _evidence(node: Node, fit: _Fit) -> tuple[Evidence, ...]:
    offered = sum(node.mig.values())
    used, waiting = sum(fit.used.values()), sum(fit.waiting.values())
    return (
        Evidence("slices that pods on it use, of those it offers", None, "sum", used, offered, "slices"),
        Evidence("slices of its cards that pods wait for", None, "sum", waiting, None, "slices"),
        Evidence("GPUs that these take, of the fewest cut now", None, "min", fit.needed_gpus, fit.offered_gpus, "GPUs"),
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
        # Low end: nothing, until somebody takes the GPUs that are whole again.
        saving=Saving(usd, 0.0, usd, gpu_h),
        risk=risk,
        coverage=coverage,
        evidence=evidence,
    )
