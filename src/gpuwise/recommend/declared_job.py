"""A job with declared work and a deadline: what its annotations declare, and how far it is by its counter."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gpuwise.model.declared import bad_work_metric
from gpuwise.model.declared import declared as declared_by
from gpuwise.model.inventory import WorkloadClass
from gpuwise.model.labels import DEADLINE, PACE, WORK, WORK_METRIC
from gpuwise.model.moment import epoch_s
from gpuwise.model.pace import Pace
from gpuwise.model.reasons import Reason
from gpuwise.recommend.case import Case
from gpuwise.recommend.settings import HOUR_S

Refusal = tuple[Reason, str]

# A pace counts from this many seconds on: in less, start-up or one slow step would decide.
_CREDIBLE_S = 3_600.0


@dataclass(frozen=True, slots=True)
class Declared:
    """What a job declares.

    Attributes:
        work: units of work of the whole job.
        deadline_s: epoch seconds.
        units_per_s: the pace until one is measured; None if it declares none.
    """

    work: float
    deadline_s: int
    units_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class Remaining:
    """How much work a job has left on its present devices.

    Attributes:
        done: units done.
        units: units left.
        units_per_s: the slowest credible pace.
        gpus: whole-GPU equivalents that it runs on.
        sampled: share of the time with its GPUs in which the pace was measured, 0 to 1.
        whole: whether all work done is counted; if not, it began before the window, and less may be left.
    """

    done: float
    units: float
    units_per_s: float
    gpus: float
    sampled: float
    whole: bool

    @property
    def left_s(self) -> float:
        """Seconds that the work left takes."""
        return self.units / self.units_per_s


def declared(case: Case) -> Declared | Refusal:
    """Read what a workload declares, or say why it cannot be read.

    Args:
        case: the workload.
    """
    if not declared_by(case.workload, DEADLINE):
        return Reason.NOT_APPLICABLE, f"it has no annotation {DEADLINE}"
    if case.workload.workload_class is WorkloadClass.ENDPOINT:
        return Reason.NOT_APPLICABLE, "it is an endpoint: its work does not end"
    annotations = {key: declared_by(case.workload, key) or "" for key in (DEADLINE, WORK, WORK_METRIC, PACE)}
    deadline_s = epoch_s(annotations[DEADLINE])
    if deadline_s is None:
        detail = f"{DEADLINE} is {annotations[DEADLINE]!r}: write an instant such as 2026-11-30T18:00:00Z"
        return Reason.UNREADABLE_DECLARATION, detail
    for name, what in ((WORK, "the units of work of the whole job"), (WORK_METRIC, "the counter of its units of work")):
        if not annotations[name].strip():
            return Reason.UNREADABLE_DECLARATION, f"it has a deadline and no annotation {name}: add {what}"
    bad = bad_work_metric(case.workload)
    if bad is not None:
        return Reason.UNREADABLE_DECLARATION, bad
    work, per_h = _number(annotations[WORK]), _number(annotations[PACE])
    for name, value in ((WORK, work), (PACE, per_h)):
        if value is None and annotations[name]:
            detail = f"{name} is {annotations[name]!r}: write a number above 0, in units of {annotations[WORK_METRIC]}"
            return Reason.UNREADABLE_DECLARATION, detail
    return Declared(work or math.inf, deadline_s, None if per_h is None else per_h / HOUR_S)


def _number(text: str) -> float | None:
    """A finite number above 0; Python would read 1_000 as 1000, which is a typing error."""
    try:
        value = float(text) if "_" not in text else math.nan
    except ValueError:
        return None
    return value if 0.0 < value < math.inf else None


def remaining(case: Case, job: Declared) -> Remaining | Refusal:
    """How much work a job has left, or why that is not known. Missing samples only make it more.

    Args:
        case: the job.
        job: what it declares.
    """
    profile, metric = case.profile, declared_by(case.workload, WORK_METRIC)
    if profile.work is None and profile.allocated_gpu_s > 0:
        return Reason.INSUFFICIENT_DATA, f"no source reports its counter {metric}: check that its pods are scraped"
    done = profile.work or 0.0  # it has not had its GPUs yet
    if done >= job.work:
        detail = f"{metric} counts {done:g} units of {job.work:g}: it is done, or {WORK} is too low"
        return Reason.ON_CHOSEN_CAPACITY, detail
    devices = _devices(case)
    if devices is None:
        return Reason.INSUFFICIENT_DATA, "it is not known how many GPUs it runs on"
    paces = _credible(case, devices)
    if not paces and job.units_per_s is not None:
        whole = case.workload.created_s >= profile.window.start_s
        return Remaining(done, job.work - done, job.units_per_s, float(devices), 0.0, whole)
    return _paced(case, job, paces, devices)


def _paced(case: Case, job: Declared, paces: Sequence[Pace], devices: int) -> Remaining | Refusal:
    """The work left at the slowest pace; the mean since it had its GPUs, with every start and stall, is one of them."""
    profile, gpu = case.profile, case.gpu_type
    if not paces or profile.work is None:
        name = "its GPUs" if gpu is None else gpu.name
        hours = f"{_CREDIBLE_S / HOUR_S:g} h"
        detail = f"its pace on {devices} x {name} was measured for less than {hours}, and it declares no {PACE}"
        return Reason.INSUFFICIENT_DATA, detail
    gpus = devices * paces[-1].gpu_fraction
    allocated_s = profile.allocated_gpu_s / gpus
    measured_s = sum(pace.seconds for pace in paces)
    mean = profile.work / allocated_s if allocated_s > 0 else math.inf
    units_per_s = min(mean, *(pace.work_per_s for pace in paces))
    if units_per_s <= 0.0:
        detail = f"{declared_by(case.workload, WORK_METRIC)} did not grow for {measured_s / HOUR_S:.1f} h of work"
        return Reason.INSUFFICIENT_DATA, detail
    sampled = min(1.0, measured_s / allocated_s) if allocated_s > 0 else 1.0
    whole = case.workload.created_s >= profile.window.start_s
    return Remaining(profile.work, job.work - profile.work, units_per_s, gpus, sampled, whole)


def unmeasured(case: Case) -> bool:
    """Whether a job had its GPUs for so long that its pace should be known."""
    return case.profile.allocated_gpu_s >= 2 * _CREDIBLE_S * (_devices(case) or 1)


def _devices(case: Case) -> int | None:
    """The devices that all its pods have, None if its request is not known or is a part of a card."""
    request, pods = case.workload.request, len(case.workload.active_pods)
    known = request is not None and not case.workload.more_requests and not case.workload.shares_card
    return request.count * pods if request is not None and known and pods else None


def _credible(case: Case, devices: int) -> list[Pace]:
    """The paces on its present kind and number of devices, at every power limit, that were measured for long enough."""
    if case.gpu_type is None:
        return []
    same = [pace for pace in case.profile.paces if pace.gpu_type == case.gpu_type.name and pace.devices == devices]
    return [one for one in same if one.gpu_fraction == same[-1].gpu_fraction and one.seconds >= _CREDIBLE_S]
