"""Every policy: what it decides, by which engine and from which live inputs, and how good its decisions are.

docs/policies.md is generated from this list, `gpuwise explain` shows a policy with its figure, and a test makes each
engine fail to see that it decides. A policy without a live input is research.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from gpuwise.model.findings import Finding
from gpuwise.model.signal import Signal


class Status(StrEnum):
    """Who carries out what a policy decides."""

    LIVE = "live"
    """gpuwise can apply the change."""
    ADVICE = "advice"
    """A person applies the change."""
    RESEARCH = "research"
    """Nobody: only a backtest plays it, because an input is not measured in a running fleet."""


@dataclass(frozen=True, slots=True)
class Input:
    """What an engine needs.

    Attributes:
        name: the quantity.
        source: the signal, or the Kubernetes object or setting, that supplies it; None if nothing does.
    """

    name: str
    source: Signal | str | None


@dataclass(frozen=True, slots=True)
class Figure:
    """How good the decisions are.

    Attributes:
        about: what is measured, and on which data; a line of a table of goals in benchmarks/QUALITY.md.
        value: its value there, to three digits.
    """

    about: str
    value: float


@dataclass(frozen=True, slots=True)
class Policy:
    """One decision and the engine that makes it.

    Attributes:
        name: as in the reports, where it is called stage.
        findings: what its recommendations are called; none for research.
        status: who carries it out.
        decides: one sentence.
        engine: path of the function that decides.
        inputs: what the engine needs.
        row: the backtest that plays it; empty if there is none.
        figures: how good it is.
        limits: what the figures do not show; of a policy without figures, why there are none.
    """

    name: str
    findings: tuple[Finding, ...]
    status: Status
    decides: str
    engine: str
    inputs: tuple[Input, ...]
    row: str
    figures: tuple[Figure, ...]
    limits: str


_METHODS, _ENGINES, _RESEARCH = "gpuwise.recommend.methods", "gpuwise.recommend.engines", "gpuwise.research"
_ACTIVITY = (Input("SM activity", Signal.SM_ACTIVITY), Input("GPU utilisation", Signal.GPU_UTIL))
_REQUEST = Input("requested GPUs", "pod templates, pods")
_PRICE = Input("price of a GPU-hour", "price list, --prices")
_DECLARED = "the counter that gpuwise.dev/work-metric names"
_SPEED = Input("speed of the work", _DECLARED)
_CAREFUL = "python -m benchmarks.careful"
_SIZES = (Figure("saving of sizes below the need, all rows ($ a month)", 0.0),)
_SIMULATED = "The thresholds are not fitted. The fleet is simulated."

POLICIES: tuple[Policy, ...] = (
    Policy(
        name="idle",
        findings=(Finding.IDLE, Finding.ORPHANED),
        status=Status.LIVE,
        decides="Whether to stop a workload that nobody uses.",
        engine=f"{_METHODS}.idle.idle_shutdown",
        inputs=(
            *_ACTIVITY,
            Input("power", Signal.POWER),
            Input("kernel launches", Signal.KERNEL_ACTIVITY),
            Input("requests", Signal.REQUESTS),
            _PRICE,
        ),
        row=_CAREFUL,
        figures=(
            Figure("cost of stopped workloads that are used, all rows ($ a month)", 0.0),
            Figure("waste found, everything sampled", 0.992),
            Figure("waste found with 1 % missing, the worst of all ways", 0.883),
        ),
        limits=_SIMULATED,
    ),
    Policy(
        name="when-idle",
        findings=(Finding.IDLE_BETWEEN_USES,),
        status=Status.ADVICE,
        decides="How long an endpoint waits for its next request before it stops.",
        engine=f"{_METHODS}.idle_between_uses.weekly_wait",
        inputs=(
            Input("gaps between requests, every 30 s", Signal.REQUESTS),
            Input("cost of a cold start", "conditions of pods, from assignment to ready; else a setting"),
            *_ACTIVITY,
            _PRICE,
        ),
        row="idle --policy weekly-constant --scrape-s 30",
        figures=(
            Figure("mean cost ratio of weekly constants, from counters", 1.4),
            Figure("cost of a weekly constant over break-even's, any endpoint and B", 1.09),
        ),
        limits="Nothing is fitted: a week's wait follows from the endpoint's earlier weeks. Its constants were chosen "
        "on the same trace, on which other values change the mean by at most 5 %.",
    ),
    Policy(
        name="hours",
        findings=(Finding.UNUSED_HOURS,),
        status=Status.ADVICE,
        decides="In which hours of the week a workload stops.",
        engine=f"{_METHODS}.unused_hours.stop_at_hours",
        inputs=(*_ACTIVITY, _PRICE),
        row=_CAREFUL,
        figures=(Figure("cost of hours that a schedule stops and that are used, all rows ($ a month)", 516.0),),
        limits=_SIMULATED,
    ),
    Policy(
        name="replicas",
        findings=(Finding.REPLICAS_OVERPROVISIONED,),
        status=Status.LIVE,
        decides="How many replicas an endpoint needs.",
        engine=f"{_METHODS}.replicas_overprovisioned.fewer_replicas",
        inputs=(Input("SM activity", Signal.SM_ACTIVITY), Input("memory", Signal.MEMORY_USED), _REQUEST, _PRICE),
        row=_CAREFUL,
        figures=_SIZES,
        limits=_SIMULATED,
    ),
    Policy(
        name="right-size",
        findings=(Finding.GPU_OVERPROVISIONED,),
        status=Status.LIVE,
        decides="How many GPUs a replica needs, or which MIG slice.",
        engine=f"{_METHODS}.gpu_overprovisioned.right_size",
        inputs=(*_ACTIVITY, Input("memory", Signal.MEMORY_USED), _REQUEST, _PRICE),
        row="slice-size",
        figures=(
            Figure("share of workloads that the emitted slice carries, least activity", 0.899),
            Figure("share of workloads that the emitted slice carries, most activity", 1.0),
            Figure("cost over the best slice, least activity", 1.14),
            Figure("cost over the best slice, most activity", 1.4),
            *_SIZES,
        ),
        limits="The slice is chosen by SM activity, and nothing is fitted. ParvaGPU's table has no activity, so its "
        "bounds are played. The last figure is of the simulated fleet, and includes fewer GPUs per replica.",
    ),
    Policy(
        name="sharing",
        findings=(Finding.GPU_SHAREABLE,),
        status=Status.ADVICE,
        decides="With how many pods of its size a workload can share its GPU, and by which method.",
        engine=f"{_METHODS}.gpu_shareable.share_card",
        inputs=(Input("SM activity", Signal.SM_ACTIVITY), Input("memory", Signal.MEMORY_USED), _REQUEST, _PRICE),
        row=_CAREFUL,
        figures=_SIZES,
        limits=f"{_SIMULATED} Interference of the pods is not measured.",
    ),
    Policy(
        name="gpu-type",
        findings=(Finding.GPU_TYPE_OVERPROVISIONED,),
        status=Status.ADVICE,
        decides="On which GPU type the work costs less: by measured speed, else by what it uses of its GPU.",
        engine=f"{_METHODS}.gpu_type_overprovisioned.cheaper_type",
        inputs=(
            Input("SM activity", Signal.SM_ACTIVITY),
            Input("tensor activity", Signal.TENSOR_ACTIVITY),
            Input("memory bandwidth", Signal.DRAM_ACTIVITY),
            Input("memory", Signal.MEMORY_USED),
            _SPEED,
            Input("speed of three or more other workloads on both types", _DECLARED),
            Input("model", "label or annotation gpuwise.dev/model; without it each workload is a family of its own"),
            _PRICE,
        ),
        row="gpu-type --policy gpuwise-live",
        figures=(Figure("cost over the best type, with live inputs, half of the jobs by lot", 1.07),),
        limits="The figure is of the choice by speed, for training and batch work with one GPU per pod; nothing is "
        "fitted. Where fewer than three other workloads were measured on both types, and for endpoints, the roofline "
        "decides and the evidence says so: no public trace has these activities of the same work on two GPU types.",
    ),
    Policy(
        name="spot",
        findings=(Finding.INTERRUPTIBLE_ON_DEMAND,),
        status=Status.LIVE,
        decides="Whether work that tolerates a reclaim and has no deadline prefers spot nodes, and in which zone, by "
        "prices, expected reclaims and the regions of its data.",
        engine=f"{_ENGINES}.interruptible_on_demand.reclaims.expected_reclaims",
        inputs=(
            Input("tolerates interruption", "annotation gpuwise.dev/checkpointed, ready replicas"),
            Input("spot capacity, by zone", "labels of nodes"),
            Input("zones that it may use", "node affinity and volumes of pods; recommend.regions_by_data_class"),
            Input("spot nodes that went", "nodes, and those that the ledger remembers"),
            Input("share reclaimed where none was seen", "recommend.spot_reclaims_month"),
            Input("price of a GPU-hour, by zone", "price list, --prices"),
        ),
        row="",
        figures=(),
        limits="The expected loss follows from the rate of reclaims (Daly 2006). No public trace has prices and "
        "reclaims of a fleet's nodes by zone. The shipped price list has one price for all zones.",
    ),
    Policy(
        name="spot-deadline",
        findings=(Finding.DEADLINE_CAPACITY_MISFIT,),
        status=Status.ADVICE,
        decides="Whether a job with a deadline runs on spot only or on on-demand until the next pass.",
        engine=f"{_ENGINES}.interruptible_on_demand.next_step.next_step",
        inputs=(
            Input("deadline and work", "annotations gpuwise.dev/deadline, gpuwise.dev/work"),
            Input("work done", "the counter that gpuwise.dev/work-metric names"),
            Input("pace on its GPUs", "the same counter, over time; before, annotation gpuwise.dev/pace"),
            Input("resumes from a checkpoint", "annotation gpuwise.dev/checkpointed"),
            Input("availability of spot", "spot nodes, those that the ledger remembers, and pods that wait for spot"),
            Input("what it runs on", "pods, labels of nodes"),
            Input("time to the next pass", "service.interval_s"),
            Input("time lost at a restart", "recommend.restart_s"),
            _PRICE,
        ),
        row="spot --policy gpuwise-emitted-zone-held-out",
        figures=(
            Figure("mean cost over the omniscient, emitted every hour, on zones not fitted on", 0.12),
            Figure("missed deadlines, emitted every hour", 0.0),
        ),
        limits="The omniscient program decides every ten minutes and knows the future. gpuwise writes only the move "
        "to on-demand, and to no Job, which has to be created again. A node that nobody needed looks like a reclaim.",
    ),
    Policy(
        name="power",
        findings=(Finding.POWER_LIMIT_OVERPROVISIONED,),
        status=Status.ADVICE,
        decides="Which power limit to measure next, which to keep, and whether one is too slow.",
        engine=f"{_ENGINES}.power_limit_overprovisioned.advice.advised_cap",
        inputs=(
            Input("power", Signal.POWER),
            Input("SM activity", Signal.SM_ACTIVITY),
            _SPEED,
            Input("limit in force", Signal.POWER_LIMIT),
            Input("mean power", "energy counters of the exporters; else the highest power of each step"),
            Input("price of energy", "a setting"),
        ),
        row="power-cap --policy gpuwise-live --step-w 5",
        figures=(
            Figure("share of the oracle's saving, as scan advises it from measured speeds, steps of 5 W", 0.911),
            Figure("limits of these more than 6 % slower, steps of 5 W", 0.0),
            Figure("share of first limits, not measured, more than 6 % slower, steps of 5 W", 0.231),
        ),
        limits="The first two figures are of work whose speed and limit are measured, with errors of scrapes and of "
        "counting. Otherwise the recommendation is the first limit, or the one advised before if that is higher: the "
        "third figure, which its evidence states. The constants of the curve were chosen on the same boards. "
        "No lower limit is tried unless the maximum of the board by gpuwise's table was measured in the look-back.",
    ),
    Policy(
        name="residency",
        findings=(Finding.OUTSIDE_DATA_REGION,),
        status=Status.ADVICE,
        decides="Whether a workload runs outside the regions that the class of its data allows.",
        engine=f"{_METHODS}.outside_data_region.stay_in_region",
        inputs=(
            Input("class of the data", "gpuwise.dev/data-class on workloads and namespaces"),
            Input("regions of the class", "recommend.regions_by_data_class"),
            Input("region of its pods", "labels of nodes"),
        ),
        row="",
        figures=(),
        limits="Labels and a setting decide; nothing is estimated.",
    ),
    Policy(
        name="free-node",
        findings=(Finding.NODE_UNDERUTILISED,),
        status=Status.ADVICE,
        decides="Which nodes to free, and which pods to move, for all nodes of a kind at once.",
        engine=f"{_METHODS}.node_underutilised.consolidate",
        inputs=(_REQUEST, Input("free capacity", "nodes, pods"), Input("constraints", "pods, budgets, taints"), _PRICE),
        row="consolidate",
        figures=(
            Figure("nodes over the bound, multigpu20, in a cluster", 0.00329),
            Figure("nodes over the bound, gpuspec10", 0.0312),
        ),
        limits="The worst of the lists that no constant was chosen on: of the moves as emitted, for whole GPUs, and of "
        "the engine, for shares of GPUs. One rule of the search "
        "was kept after gpuspec10's figure was seen.",
    ),
    Policy(
        name="repartition",
        findings=(Finding.MIG_GEOMETRY_MISFIT,),
        status=Status.ADVICE,
        decides="Which MIG geometry offers the slices in use on the fewest GPUs of a node.",
        engine=f"{_METHODS}.mig_geometry_misfit.pack",
        inputs=(_REQUEST, Input("slices", "allocatable resources of nodes"), _PRICE),
        row="mig",
        figures=(Figure("GPUs for the six sets", 44.0), Figure("above what is proved to be needed", 0.0)),
        limits="Nothing is fitted. Requests are packed: where the speed of a workload on two slices is known, it is "
        "not used.",
    ),
    Policy(
        name="pending",
        findings=(Finding.POD_PENDING,),
        status=Status.ADVICE,
        decides="On which node a pod that waits fits, now or after which moves.",
        engine=f"{_METHODS}.pod_pending.space_for",
        inputs=(_REQUEST, Input("free capacity", "nodes, pods"), Input("constraints", "pods, budgets, taints")),
        row="",
        figures=(),
        limits="The moves are few, not always the fewest. They respect the constraints of free-node.",
    ),
    Policy(
        name="when-idle-by-gap",
        findings=(),
        status=Status.RESEARCH,
        decides="How long an endpoint waits for its next request, chosen again for each gap.",
        engine=f"{_RESEARCH}.idle_between_uses.waits",
        inputs=(Input("times of the requests", None), Input("an activator whose wait changes with each gap", None)),
        row="idle",
        figures=(Figure("mean cost ratio, endpoints not fitted on", 1.36),),
        limits="",
    ),
    Policy(
        name="spot-regions",
        findings=(),
        status=Status.RESEARCH,
        decides="What a job with a deadline runs on, and in which region.",
        engine=f"{_RESEARCH}.interruptible_on_demand.regions",
        inputs=(Input("deadline and remaining work", None), Input("availability of spot in each region", None)),
        row="spot-regions",
        figures=(Figure("mean cost over the omniscient over four draws, on windows not fitted on", 0.0582),),
        limits="",
    ),
    Policy(
        name="memory",
        findings=(),
        status=Status.RESEARCH,
        decides="The memory limit of a pod for the next hour.",
        engine=f"{_RESEARCH}.memory_limit.policy",
        inputs=(Input("memory of a pod, every minute", None),),
        row="memory",
        figures=(
            Figure("share of the limit left unused, pods not fitted on", 0.33),
            Figure("share of windows overrun, pods not fitted on", 0.0227),
        ),
        limits="A limit for an hour. A slice or a share is given for weeks, and the only public trace has 22.8 h.",
    ),
    Policy(
        name="slice",
        findings=(),
        status=Status.RESEARCH,
        decides="The throughput of a model on a MIG slice.",
        engine=f"{_RESEARCH}.gpu_overprovisioned",
        inputs=(
            Input("throughput on another slice", _DECLARED),
            Input("batch size and number of processes of each throughput", None),
            Input("throughput of other models on the same slices", None),
        ),
        row="slice",
        figures=(
            Figure("mean absolute error, a model held out", 0.0808),
            Figure("mean absolute error, its family held out", 0.109),
            Figure("share that a slice by predicted throughput carries", 0.987),
            Figure("cost over the best slice, by predicted throughput", 1.12),
        ),
        limits="Declared work gives a rate under the load that arrives, and not at a batch size or number of "
        "processes, of which the curve is a function. Units of two models do not compare, so their curves, from which "
        "the engine learns, are not known either.",
    ),
    Policy(
        name="packing",
        findings=(),
        status=Status.RESEARCH,
        decides="The node for an arriving pod.",
        engine=f"{_RESEARCH}.placement.policy",
        inputs=(Input("a pod that arrives", None),),
        row="packing",
        figures=(Figure("GPU allocation, default, %", 96.3),),
        limits="The constants were chosen on these traces.",
    ),
)


def policy_of(finding: Finding) -> Policy:
    """The policy whose recommendations have this finding."""
    return next(policy for policy in POLICIES if finding in policy.findings)


def deciding() -> Iterator[Policy]:
    """The policies that recommend: all but research."""
    return (policy for policy in POLICIES if policy.status is not Status.RESEARCH)
