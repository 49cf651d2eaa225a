"""What a recommender is given about one workload, and the sums they all need."""

from collections.abc import Sequence
from dataclasses import dataclass

from gpuwise.model.gpu import GpuType, named
from gpuwise.model.inventory import CapacityType, Inventory, Node, Workload
from gpuwise.model.price import PriceBook
from gpuwise.model.profile import UsageProfile
from gpuwise.model.protection import team_of
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Blocked, Evidence, Recommendation, Saving
from gpuwise.model.signal import Signal
from gpuwise.model.usage import DAY_S
from gpuwise.recommend.fleet import Fleet
from gpuwise.recommend.proposal import Proposal, complete
from gpuwise.recommend.settings import RecommendSettings

HOURS_PER_MONTH = 730.0
# Low enough to be at rest wherever there was any rest, above a single odd sample.
_REST_QUANTILE = 0.05
# 14 days of data are full confidence: AWS Compute Optimizer's and KRR's default look-back.
CONFIDENT_DAYS = 14.0
# Names of pods in a message.
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Case:
    """One workload as a recommender sees it.

    Attributes:
        workload: from the inventory.
        profile: from scoring.
        fleet: what is around it.
    """

    workload: Workload
    profile: UsageProfile
    fleet: Fleet

    @property
    def inventory(self) -> Inventory:
        """The fleet around it."""
        return self.fleet.inventory

    @property
    def prices(self) -> PriceBook:
        """What hours cost."""
        return self.fleet.prices

    @property
    def settings(self) -> RecommendSettings:
        """Thresholds."""
        return self.fleet.settings

    @property
    def now_s(self) -> int:
        """When it is judged, epoch seconds."""
        return self.fleet.now_s

    @property
    def gpu_type(self) -> GpuType | None:
        """The one type of card the workload uses, None if it is unknown or mixed."""
        types = set(self.profile.allocated_gpu_s_by_type)
        return named(types.pop()) if len(types) == 1 else None

    @property
    def capacity_types(self) -> set[CapacityType | None]:
        """How the nodes under its pods are paid for."""
        return {node.capacity_type for node in self.nodes}

    @property
    def nodes(self) -> list[Node]:
        """The nodes under its pods, one for each pod."""
        return [
            self.inventory.nodes[pod.node]
            for pod in self.workload.pods
            if pod.node and pod.node in self.inventory.nodes
        ]

    @property
    def gpus_now(self) -> float:
        """Whole-GPU equivalents held on average over the time it was seen."""
        seconds = self.profile.observed_s
        return self.profile.allocated_gpu_s / seconds if seconds else 0.0

    def usd_per_gpu_h(self, capacity_type: CapacityType | None = None) -> float | None:
        """Price of one of its GPUs per hour; None if it is not known or its nodes are paid for in several ways.

        Args:
            capacity_type: price it so, instead of as its nodes are.
        """
        if self.gpu_type is None:
            return None
        if capacity_type is None:
            kinds = self.capacity_types
            if len(kinds) > 1:
                return None
            capacity_type = kinds.pop() if kinds else None
        return self.prices.price(self.gpu_type.name, capacity_type)

    @property
    def rest_watts(self) -> float | None:
        """What one of its cards draws at rest: the 5 % quantile, None where power was not sampled."""
        power = self.profile.distributions.get(Signal.POWER)
        return None if power is None else power.quantile(_REST_QUANTILE)

    def saving(self, gpu_h: float, usd_per_gpu_h: float, *, low: float, kwh: float | None = None) -> Saving:
        """What GPU-hours that are given back are worth, with the energy their cards draw at rest.

        Args:
            gpu_h: whole-GPU hours a month.
            usd_per_gpu_h: their price.
            low: share of the dollars that is sure.
            kwh: energy, where it is not that of cards at rest.
        """
        usd, rest_w = gpu_h * usd_per_gpu_h, self.rest_watts
        energy = kwh if kwh is not None or rest_w is None else gpu_h * rest_w / 1e3
        return Saving(usd, usd * low, usd, gpu_h, energy, self.carbon(energy))

    def carbon(self, kwh: float | None) -> float | None:
        """Kilograms of CO2 equivalent of some energy; None where it, or the grid of one of its nodes, is unknown."""
        grids = [self.prices.kg_co2e_per_kwh.get(node.region or "") for node in self.nodes]
        known = [one for one in grids if one is not None]
        return None if kwh is None or not known or len(known) < len(grids) else kwh * sum(known) / len(known)

    @property
    def team(self) -> str | None:
        """Who owns it."""
        namespace = self.inventory.namespaces.get(self.workload.ref.namespace)
        return team_of(self.workload.labels, namespace.labels if namespace else {})

    def coverage(self, *alternatives: Signal) -> float | None:
        """Coverage of the best sampled of some signals, None if none was ever sampled."""
        return max((self.profile.coverage[s] for s in alternatives if s in self.profile.coverage), default=None)

    def busiest(self, signal: Signal, quantile: float | None = None) -> float | None:
        """A quantile of a signal, missing samples taken as full use; None if it falls among them.

        So neither more activity nor less data ever makes a size smaller (I3).

        Args:
            signal: of a device.
            quantile: the performance quantile unless another is given.
        """
        wanted = self.settings.activity_quantile if quantile is None else quantile
        seen = self.profile.distributions.get(signal)
        covered = self.profile.weighted_coverage(signal)
        return None if seen is None or covered < wanted else seen.quantile(wanted / covered)

    def well_covered(self, *signals: Signal) -> bool:
        """Whether each of some signals was sampled well enough to size by."""
        return all(self.profile.coverage.get(one, 0.0) >= self.settings.min_coverage for one in signals)

    @property
    def unsampled(self) -> tuple[Evidence, ...]:
        """How many running pods do not report every GPU that they request; empty if all of them do."""
        missing, running = len(self.profile.unsampled_pods), float(self.profile.running_pods)
        text = f"{missing} of {running:.0f} running pods without samples of every GPU"
        return (Evidence(text, None, "count", float(missing), running, "pods"),) if missing else ()

    @property
    def never_sampled(self) -> str:
        """Why there is no activity at all, for a person."""
        pods = f"{self.profile.running_pods} running pods" if self.profile.running_pods else "its pods"
        return f"no activity was sampled of {pods}: there are no series, or their exporter repeats an old page"

    @property
    def missing(self) -> str:
        """Which samples are missing, for a person."""
        pods = self.profile.unsampled_pods
        if not pods:
            return "samples are missing up to now, and missing samples count as used"
        named = ", ".join(pods[:_NAMED]) + (" ..." if len(pods) > _NAMED else "")
        return f"{len(pods)} of {self.profile.running_pods} running pods lack samples ({named}), which count as used"

    def confidence(self, coverage: float) -> float:
        """Length of the data against two weeks, times its coverage."""
        return min(1.0, self.profile.observed_s / (CONFIDENT_DAYS * DAY_S)) * coverage

    def blocked(self, stage: str, reason: Reason, detail: str, evidence: Sequence[Evidence] = ()) -> Blocked:
        """A refusal about this workload."""
        return Blocked(self.workload.ref, stage, reason, detail, tuple(evidence))


def recommendation(case: Case, proposal: Proposal) -> Recommendation:
    """Complete a proposal about the workload of a case."""
    return complete(
        proposal,
        case.workload.ref,
        owner=case.team,
        confidence=case.confidence(proposal.coverage),
        now_s=case.now_s,
        lifetime_s=case.settings.lifetime_s,
        claims=(case.workload.ref.uid,),
        observed_s=case.profile.observed_s,
    )
