"""Validation of workloads, as in pkg/apis/apps/validation and pkg/apis/batch/validation."""

import re
from collections.abc import Iterator

from gpuwise.emulate.causes import Cause, forbidden, required, unsupported, wrong
from gpuwise.emulate.names import key_problems, value_problem
from gpuwise.emulate.selectors import selects
from gpuwise.emulate.status import Object
from gpuwise.emulate.validate_pods import pod_spec

_NOT_NEGATIVE = "must be greater than or equal to 0"
_LABELS = "`selector` does not match template `labels`"


def deployment(item: Object) -> Iterator[Cause]:
    """A Deployment."""
    spec = item.get("spec") or {}
    yield from _count(spec, "replicas")
    yield from _selector(spec, "deployment")
    yield from _template(spec)
    yield from _strategy(spec.get("strategy") or {})
    yield from _count(spec, "minReadySeconds")
    yield from _count(spec, "revisionHistoryLimit")
    yield from _count(spec, "progressDeadlineSeconds")
    if spec.get("progressDeadlineSeconds", 600) <= spec.get("minReadySeconds", 0):
        yield wrong(
            "spec.progressDeadlineSeconds", spec["progressDeadlineSeconds"], "must be greater than minReadySeconds"
        )


def replicaset(item: Object) -> Iterator[Cause]:
    """A ReplicaSet."""
    spec = item.get("spec") or {}
    yield from _count(spec, "replicas")
    yield from _count(spec, "minReadySeconds")
    yield from _selector(spec, "replicaset")
    yield from _template(spec)


def statefulset(item: Object) -> Iterator[Cause]:
    """A StatefulSet."""
    spec = item.get("spec") or {}
    if spec.get("podManagementPolicy") not in ("OrderedReady", "Parallel"):
        why = "must be 'OrderedReady' or 'Parallel'"
        yield wrong("spec.podManagementPolicy", spec.get("podManagementPolicy", ""), why)
    retention = spec.get("persistentVolumeClaimRetentionPolicy") or {}
    for field in ("whenDeleted", "whenScaled"):
        if retention and retention.get(field) not in ("Retain", "Delete"):
            spot = f"spec.persistentVolumeClaimRetentionPolicy.{field}"
            yield unsupported(spot, retention.get(field, ""), ("Retain", "Delete"))
    yield from _count(spec, "replicas")
    yield from _count(spec, "minReadySeconds")
    yield from _selector(spec, "statefulset")
    yield from _template(spec)


def daemonset(item: Object) -> Iterator[Cause]:
    """A DaemonSet."""
    spec = item.get("spec") or {}
    yield from _selector(spec, "daemonset")
    yield from _template(spec)


def job(item: Object) -> Iterator[Cause]:
    """A Job."""
    yield from job_spec("spec", item.get("spec") or {}, uid=item["metadata"].get("uid", ""))


def job_spec(path: str, spec: Object, *, uid: str | None) -> Iterator[Cause]:
    """A Job's spec; `uid` is the Job's, or None in a template, which has no selector yet."""
    for field in ("parallelism", "completions", "backoffLimit", "ttlSecondsAfterFinished"):
        yield from _count(spec, field, path)
    if uid is not None and not spec.get("manualSelector"):
        selector, labels = spec.get("selector") or {}, (spec["template"].get("metadata") or {}).get("labels") or {}
        auto = {"batch.kubernetes.io/controller-uid": uid}
        if selector.get("matchLabels") != auto:
            yield wrong(f"{path}.selector", selector, "`selector` not auto-generated")
        if not selects(selector, labels):
            yield wrong(f"{path}.template.metadata.labels", labels, _LABELS)
    pod = (spec.get("template") or {}).get("spec") or {}
    yield from pod_spec(f"{path}.template.spec", pod)
    if pod.get("restartPolicy", "Always") not in ("OnFailure", "Never"):
        yield required(f"{path}.template.spec.restartPolicy", 'valid values: "OnFailure", "Never"')


def cronjob(item: Object) -> Iterator[Cause]:
    """A CronJob."""
    spec = item.get("spec") or {}
    schedule = str(spec.get("schedule") or "")
    fields = schedule.split()
    if not schedule:
        yield required("spec.schedule")
    elif not schedule.startswith("@") and len(fields) != 5:
        why = f"expected exactly 5 fields, found {len(fields)}: [{' '.join(fields)}]"
        yield wrong("spec.schedule", schedule, why)
    yield from job_spec("spec.jobTemplate.spec", (spec.get("jobTemplate") or {}).get("spec") or {}, uid=None)


def _count(spec: Object, field: str, path: str = "spec") -> Iterator[Cause]:
    if spec.get(field) is not None and spec[field] < 0:
        yield wrong(f"{path}.{field}", spec[field], _NOT_NEGATIVE)


def _selector(spec: Object, kind: str) -> Iterator[Cause]:
    selector = spec.get("selector")
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels")
    if selector is None:
        yield required("spec.selector")
        yield wrong("spec.template.metadata.labels", labels, _LABELS)
        return
    problems = list(_label_selector("spec.selector", selector))
    yield from problems
    if not selector:
        yield wrong("spec.selector", {}, f"empty selector is invalid for {kind}")
    elif problems:
        yield wrong("spec.selector", selector, "invalid label selector")
    elif not selects(selector, labels or {}):
        yield wrong("spec.template.metadata.labels", labels, _LABELS)


def _label_selector(path: str, selector: Object) -> Iterator[Cause]:
    for key, value in (selector.get("matchLabels") or {}).items():
        yield from (wrong(f"{path}.matchLabels", key, why) for why in key_problems(key))
        problem = value_problem(value)
        if problem:
            yield wrong(f"{path}.matchLabels", value, problem)
    for at, one in enumerate(selector.get("matchExpressions") or []):
        if one.get("operator") not in ("In", "NotIn", "Exists", "DoesNotExist"):
            yield wrong(f"{path}.matchExpressions[{at}].operator", one.get("operator"), "not a valid selector operator")


def _template(spec: Object) -> Iterator[Cause]:
    template = spec.get("template") or {}
    for key, value in ((template.get("metadata") or {}).get("labels") or {}).items():
        yield from (wrong("spec.template.labels", key, why) for why in key_problems(key))
        problem = value_problem(value)
        if problem:
            yield wrong("spec.template.labels", value, problem)
    pod = template.get("spec") or {}
    yield from pod_spec("spec.template.spec", pod)
    if pod.get("restartPolicy", "Always") != "Always":
        yield unsupported("spec.template.spec.restartPolicy", pod["restartPolicy"], ("Always",))


def _strategy(strategy: Object) -> Iterator[Cause]:
    kind, rolling = strategy.get("type", "RollingUpdate"), strategy.get("rollingUpdate")
    if kind == "Recreate":
        if rolling is not None:
            yield forbidden("spec.strategy.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'")
    elif kind != "RollingUpdate":
        shown = {"Type": kind, "RollingUpdate": rolling}
        yield unsupported("spec.strategy", shown, ("Recreate", "RollingUpdate"))
    elif rolling is not None:
        for field in ("maxUnavailable", "maxSurge"):
            yield from int_or_percent(f"spec.strategy.rollingUpdate.{field}", rolling.get(field, 0))
        if _none(rolling.get("maxUnavailable")) and _none(rolling.get("maxSurge")):
            yield wrong("spec.strategy.rollingUpdate.maxUnavailable", 0, "may not be 0 when `maxSurge` is 0")


def _none(value: int | str | None) -> bool:
    return value in (0, "0%")


def int_or_percent(path: str, value: int | str, *, whole: bool = False) -> Iterator[Cause]:
    """A count or a percentage.

    Args:
        path: of the field.
        value: its value.
        whole: a percentage must not exceed 100.
    """
    if isinstance(value, int):
        if value < 0:
            yield wrong(path, value, _NOT_NEGATIVE)
        return
    if not re.fullmatch(r"[0-9]+%", value):
        yield wrong(
            path,
            value,
            "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex"
            " used for validation is '[0-9]+%')",
        )
    elif whole and int(value[:-1]) > 100:
        yield wrong(path, value, "must not be greater than 100%")
