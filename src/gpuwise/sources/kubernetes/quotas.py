"""Whether the ResourceQuotas of a namespace would refuse the new pods of a changed template: pure."""

from collections.abc import Collection, Iterable, Sequence

from gpuwise.model.ports import Object
from gpuwise.model.quantity import quantity
from gpuwise.sources.kubernetes.requested import amounts
from gpuwise.sources.kubernetes.scheduling import requested

Usage = dict[str, float]

# Quotas count these by their bare name as well. A LimitRange adds them to pods whose template does not have them.
_COMPUTE = ("cpu", "memory", "ephemeral-storage")
_BY_ADMISSION = (*_COMPUTE, *(f"{part}.{name}" for part in ("requests", "limits") for name in _COMPUTE))
# A pod that has none of these is of class BestEffort.
_COMPUTE_QOS = {"cpu", "memory", "limits.cpu", "limits.memory"}
# Quantities are decimal fractions: 0.1 + 0.2 CPUs must not exceed 0.3.
_ROUNDING = 1e-9


def over_quota(quotas: Iterable[Object], spec: Object, pods: Sequence[Object], ending: Collection[str]) -> str | None:
    """Return which quota would refuse a new pod, at first or when all pods are new; None if none would.

    A quota that cannot be read, or whose use is not known yet, refuses.

    Args:
        quotas: ResourceQuota objects of the namespace.
        spec: of a new pod, from the template.
        pods: the pods that are replaced, one new pod for each.
        ending: uids of those that end before the first new pod starts.

    Raises:
        ValueError: a quantity cannot be read.
    """
    present = [pod for pod in pods if (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")]
    old = {pod["metadata"]["uid"]: _usage(pod["spec"]) for pod in present}
    need = _usage(spec)
    for name in _BY_ADMISSION:
        need.setdefault(name, max((one.get(name, 0.0) for one in old.values()), default=0.0))
    for quota in quotas:
        hard = (quota.get("spec") or {}).get("hard") or {}
        for name in sorted(name for name in hard if need.get(name)) if _applies(quota, spec) else ():
            used = ((quota.get("status") or {}).get("used") or {}).get(name)
            where = f"the quota {quota['metadata']['name']} allows {hard[name]} of {name}"
            if used is None:
                return f"{where}, and its use is not known yet"
            first = need[name] - sum(one.get(name, 0.0) for uid, one in old.items() if uid in ending)
            last = need[name] * len(old) - sum(one.get(name, 0.0) for one in old.values())
            limit = float(quantity(hard[name]))
            if float(quantity(used)) + max(first, last) > limit * (1 + _ROUNDING):
                return f"{where}: {used} is used, and a new pod needs {need[name]:g} beside it"
    return None


def _usage(spec: Object) -> Usage:
    """What a pod counts in a quota, by the names that quotas use."""
    containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    found = {"pods": 1.0, "count/pods": 1.0}
    for name in set[str]().union(spec.get("overhead") or (), *(amounts(one) for one in containers)):
        found[f"requests.{name}"] = requested(spec, name)
        if name in _COMPUTE:
            found[name] = found[f"requests.{name}"]
    for name in _COMPUTE:
        limits = [((one.get("resources") or {}).get("limits") or {}).get(name) for one in spec.get("containers") or ()]
        if any(limits):
            found[f"limits.{name}"] = sum(float(quantity(text)) for text in limits if text)
    return found


def _applies(quota: Object, spec: Object) -> bool:
    """Whether a quota counts a pod; one with a scope that is not known here counts it."""
    wanted = quota.get("spec") or {}
    terms = [{"scopeName": name, "operator": "Exists"} for name in wanted.get("scopes") or ()]
    terms += (wanted.get("scopeSelector") or {}).get("matchExpressions") or []
    return all(_matches(term, spec) for term in terms)


def _matches(term: Object, spec: Object) -> bool:
    scope, operator, values = term["scopeName"], term["operator"], term.get("values") or ()
    if scope in ("Terminating", "NotTerminating"):
        return (spec.get("activeDeadlineSeconds") is not None) is (scope == "Terminating")
    if scope == "BestEffort":
        return not _COMPUTE_QOS & _usage(spec).keys()  # a GPU does not count: kubernetes/pkg/apis/core/v1/helper/qos
    if scope != "PriorityClass":
        return True
    name = spec.get("priorityClassName")
    if operator in ("In", "NotIn"):
        return (name in values) is (operator == "In")
    return bool(name) is (operator == "Exists")
