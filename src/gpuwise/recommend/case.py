"""The input of the methods about one workload, and the calculations that they share."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from gpuwise.model.gpu import GpuType, named
from gpuwise.model.inventory import CapacityType, Inventory, Node, Pod, Workload
from gpuwise.model.price import PriceBook
from gpuwise.model.profile import UsageProfile
from gpuwise.model.reasons import Reason
from gpuwise.model.recommendation import Blocked, Evidence, Recommendation, Saving
from gpuwise.model.residency import allows, data_class_of
from gpuwise.model.signal import SIGNALS, Sensor, Signal
from gpuwise.model.tagging import team_of
from gpuwise.model.usage import DAY_S
from gpuwise.recommend.fleet import Fleet
from gpuwise.recommend.proposal import Proposal, complete
from gpuwise.recommend.settings import RecommendSettings

HOURS_PER_MONTH = 730.0
# Low enough to be idle power if the workload was ever idle, and above a single outlier.
_IDLE_QUANTILE = 0.05
# 14 days of data give full confidence: the default look-back of AWS Compute Optimizer and KRR.
CONFIDENT_DAYS = 14.0
# Sensors contradict each other if a GPU draws 60 % of the power between idle and its limit while every pipe is below a
# quarter: cards at such a power are far busier on every pipe that limits them.
_MUCH_POWER, _LOW_ACTIVITY = 0.6, 0.25
_PIPES = (Signal.SM_ACTIVITY, Signal.TENSOR_ACTIVITY, Signal.DRAM_ACTIVITY)
# Names of pods in a message.
_NAMED = 3


@dataclass(frozen=True)
class Case:
    """One workload, with everything that a method needs to decide about it.

    Attributes:
        workload: the workload, from the inventory.
        profile: its usage profile, from scoring.
        fleet: the fleet that it is part of.
        estimates: what estimators returned so far, by estimator: several methods ask for the same needs.
        shown_needs: the evidence of needs so far, by signal: several methods show the same numbers.
    """

    workload: Workload
    profile: UsageProfile
    fleet: Fleet
    _prices: dict[CapacityType | None, float | None] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _busiest: dict[tuple[Signal, float], float | None] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    estimates: dict[object, float | None] = field(default_factory=dict, init=False, repr=False, compare=False)
    shown_needs: dict[Signal, tuple[Evidence, Evidence]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @property
    def inventory(self) -> Inventory:
        """The inventory of the fleet."""
        return self.fleet.inventory

    @property
    def earlier(self) -> tuple[Recommendation, ...]:
        """What the last run recommended for it."""
        return self.fleet.earlier_by_uid.get(self.workload.ref.uid, ())

    @property
    def prices(self) -> PriceBook:
        """The prices of GPU-hours."""
        return self.fleet.prices

    @property
    def settings(self) -> RecommendSettings:
        """Thresholds and margins."""
        return self.fleet.settings

    @property
    def now_s(self) -> int:
        """The time of the evaluation, epoch seconds."""
        return self.fleet.now_s

    @cached_property
    def gpu_type(self) -> GpuType | None:
        """The GPU type that the workload uses, None if it is unknown or mixed."""
        types = set(self.profile.allocated_gpu_s_by_type)
        return named(types.pop()) if len(types) == 1 else None

    @cached_property
    def capacity_types(self) -> frozenset[CapacityType | None]:
        """How the nodes of its pods are paid for."""
        return frozenset({node.capacity_type for node in self.nodes})

    @cached_property
    def nodes(self) -> list[Node]:
        """The nodes of its pods, one entry per pod; those of pods that have ended count only if all have."""
        pods, known = self.workload.active_pods or self.workload.pods, self.inventory.nodes
        return [known[pod.node] for pod in pods if pod.node and pod.node in known]

    @cached_property
    def on_vgpu(self) -> bool:
        """Whether one of its nodes has vGPUs, which are parts of cards."""
        return any(node.gpu_fraction < 1.0 for node in self.nodes)

    @property
    def gpus_now(self) -> float:
        """Whole-GPU equivalents allocated to it, averaged over the observed time."""
        seconds = self.profile.observed_s
        return self.profile.allocated_gpu_s / seconds if seconds else 0.0

    def region_of(self, pod: Pod) -> str | None:
        """The region of a pod's node, None if it is not known or the pod has no node yet."""
        node = self.inventory.nodes.get(pod.node) if pod.node else None
        return None if node is None else node.region

    def usd_per_gpu_h(self, capacity_type: CapacityType | None = None) -> float | None:
        """Price of one of its GPUs per hour, the mean over its pods; None if unknown or of several capacity types.

        Args:
            capacity_type: the capacity type to price, in the places of its nodes; None for that of its nodes.
        """
        if capacity_type is None and len(self.capacity_types) > 1:
            return None
        kind = next(iter(self.capacity_types), None) if capacity_type is None else capacity_type
        if kind not in self._prices:
            self._prices[kind] = self._price(kind)
        return self._prices[kind]

    def _price(self, capacity_type: CapacityType | None) -> float | None:
        if self.gpu_type is None:
            return None
        prices = dict[tuple[str | None, str | None], float]()
        for region, zone in {(node.region, node.zone) for node in self.nodes} or {(None, None)}:
            usd = self.prices.price(self.gpu_type.name, capacity_type, region=region, zone=zone)
            if usd is None:
                return None
            prices[region, zone] = usd
        known = set(prices.values())
        if len(known) == 1:
            return known.pop()
        return sum(prices[node.region, node.zone] for node in self.nodes) / len(self.nodes)

    @cached_property
    def idle_watts(self) -> float | None:
        """Power draw of one of its GPUs when idle: the 5 % quantile, None if power was not sampled."""
        power = self.profile.distributions.get(Signal.POWER)
        return None if power is None else power.quantile(_IDLE_QUANTILE)

    def saving(self, gpu_h: float, usd_per_gpu_h: float, *, low: float, kwh: float | None = None) -> Saving:
        """The saving from released GPU-hours, including the energy that their idle GPUs draw.

        Args:
            gpu_h: whole-GPU hours per month.
            usd_per_gpu_h: their price.
            low: lower end of the interval, as a share of the dollars.
            kwh: energy per month, if it is not that of idle GPUs.
        """
        usd, idle_w = gpu_h * usd_per_gpu_h, self.idle_watts
        energy = kwh if kwh is not None or idle_w is None else gpu_h * idle_w / 1e3
        return Saving(usd, usd * low, usd, gpu_h, energy, self.carbon(energy))

    def carbon(self, kwh: float | None) -> float | None:
        """Kilograms of CO2 equivalent of some energy; None if the energy or the grid of one of its nodes is unknown."""
        total = self._kg_per_kwh
        return None if kwh is None or total is None else kwh * total / len(self.nodes)

    @cached_property
    def _kg_per_kwh(self) -> float | None:
        """Kilograms of CO2 equivalent per kWh, the sum over its nodes; None without nodes or if one is not known."""
        grids = self.prices.kg_co2e_per_kwh
        known = [grid for node in self.nodes if (grid := grids.get(node.region or "")) is not None]
        return sum(known) if known and len(known) == len(self.nodes) else None

    @cached_property
    def team(self) -> str | None:
        """The team that owns it, None if no label names one."""
        namespace = self.inventory.namespaces.get(self.workload.ref.namespace)
        return team_of(self.workload, namespace, self.fleet.tags)

    @cached_property
    def data_class(self) -> str | None:
        """The class of its data, from the workload, its pods or its namespace; None if nothing names one."""
        return data_class_of(self.workload, self.inventory)

    def may_run_in(self, region: str | None) -> bool:
        """Whether the class of its data allows a region; with such a class, an unknown region is not allowed."""
        return allows(self.data_class, region, self.settings.regions_by_data_class)

    def coverage(self, *alternatives: Signal) -> float | None:
        """Highest coverage among some signals, None if none of them was sampled."""
        return max((self.profile.coverage[s] for s in alternatives if s in self.profile.coverage), default=None)

    def busiest(self, signal: Signal, quantile: float | None = None) -> float | None:
        """A quantile of a signal, with missing samples counted as full use; None if it falls among the missing ones.

        With this, neither more activity nor less data ever makes a size smaller (I3).

        Args:
            signal: a signal of a device.
            quantile: 0 to 1; None for the setting `activity_quantile`.
        """
        wanted = self.settings.activity_quantile if quantile is None else quantile
        found = self._busiest
        if (signal, wanted) not in found:
            covered = self.profile.weighted_coverage(signal)
            known = self.profile.distributions.get(signal) if covered >= wanted else None
            found[signal, wanted] = None if known is None else known.quantile(wanted / covered)
        return found[signal, wanted]

    def well_covered(self, *signals: Signal) -> bool:
        """Whether the coverage of each of some signals is high enough to size by it."""
        coverage, least = self.profile.coverage, self.settings.min_coverage
        for signal in signals:  # noqa: SIM110 - `all` takes twice as long
            if coverage.get(signal, 0.0) < least:
                return False
        return True

    @property
    def covered_sensors(self) -> int:
        """How many independent sensors of use were sampled well enough; used memory shows no use."""
        coverage, least = self.profile.coverage, self.settings.min_coverage
        covered = {spec.sensor for one, spec in SIGNALS.items() if coverage.get(one, 0.0) >= least}
        return len(covered - {Sensor.MEMORY})

    @property
    def contradiction(self) -> str | None:
        """Why the sensors contradict each other, so that nothing can be sized by them; None if they do not.

        A GPU that draws most of its power computes or moves data: with activity that is low on all pipes, one of the
        sensors is wrong, also if it reads low rather than zero (dcgm-exporter#662).
        """
        utilisation, activity = self.busiest(Signal.GPU_UTIL), self.busiest(Signal.SM_ACTIVITY)
        if activity == 0.0 and utilisation is not None and utilisation >= _LOW_ACTIVITY:
            return f"kernels ran {utilisation:.0%} of the time, which contradicts an SM activity of 0"
        power, gpu = self.busiest(Signal.POWER), self.gpu_type
        if power is None or gpu is None:
            return None
        idle_w = gpu.idle_ratio * gpu.board_watts
        if (power - idle_w) / (gpu.board_watts - idle_w) < _MUCH_POWER:
            return None
        pipes = [one for one in map(self.busiest, _PIPES) if one is not None]
        if not pipes or max(pipes) >= _LOW_ACTIVITY:
            return None
        return f"{power:.0f} W of {gpu.board_watts:.0f} W contradict an activity of at most {max(pipes):.0%}"

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
        return (
            f"no activity was sampled of {pods}: no series is certainly theirs, or their exporter repeats an old page"
        )

    @property
    def missing(self) -> str:
        """Which samples are missing, for a person."""
        pods = self.profile.unsampled_pods
        if not pods:
            return "samples are missing up to now, and missing samples count as used"
        named = ", ".join(pods[:_NAMED]) + (" ..." if len(pods) > _NAMED else "")
        return f"{len(pods)} of {self.profile.running_pods} running pods lack samples ({named}), which count as used"

    def confidence(self, coverage: float) -> float:
        """Length of the data as a share of two weeks, at most 1, times its coverage."""
        return min(1.0, self.profile.observed_s / (CONFIDENT_DAYS * DAY_S)) * coverage

    def blocked(self, stage: str, reason: Reason, detail: str, evidence: Sequence[Evidence] = ()) -> Blocked:
        """A change to this workload that is not recommended, and why."""
        return Blocked(self.workload.ref, stage, reason, detail, tuple(evidence))


def recommendation(
    case: Case, proposal: Proposal, *, confidence: float | None = None, claims: tuple[str, ...] | None = None
) -> Recommendation:
    """Turn a proposal about the workload of a case into a recommendation.

    Args:
        case: the workload.
        proposal: the method's decision.
        confidence: 0 to 1; None for that of the length and coverage of the data.
        claims: whose GPU time it counts; None for that of the workload.
    """
    return complete(
        proposal,
        case.workload.ref,
        owner=case.team,
        confidence=case.confidence(proposal.coverage) if confidence is None else confidence,
        now_s=case.now_s,
        lifetime_s=case.settings.lifetime_s,
        claims=(case.workload.ref.uid,) if claims is None else claims,
        observed_s=case.profile.observed_s,
    )
