"""Fields that a real server does not allow to change."""

from collections.abc import Iterator

from gpuwise.emulate import resources
from gpuwise.emulate.causes import Cause, forbidden, wrong
from gpuwise.emulate.resources import Resource
from gpuwise.emulate.status import Object, invalid_object
from gpuwise.emulate.validate import immutable_meta, meta_causes, spec_causes

_STATEFULSET_MAY = (
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
)
_POD_MAY = frozenset(
    {"containers", "initContainers", "activeDeadlineSeconds", "terminationGracePeriodSeconds", "tolerations"}
)
_POD_WHY = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)
_IMMUTABLE = "field is immutable"


def check_update(resource: Resource, old: Object, new: Object) -> None:
    """Check that an update changes no immutable field and that its result is valid.

    A real server checks the metadata of an update several times, and reports each cause as often.

    Raises:
        ApiFailure: 422 with every cause.
    """
    before, after = old["metadata"], new["metadata"]
    times = 4 if resource is resources.NODES else 3 if resource.builtin else 2
    found = list(meta_causes(after)) if after != before else []
    finalizers = [cause for cause in found if cause.field == "metadata.finalizers"]
    meta = [cause for cause in found if cause.field != "metadata.finalizers"]
    fixed = list(immutable_meta(before, after))
    spec = spec_causes(resource, new)
    twice = 2 if resource in _TWICE else 1
    causes = meta * times + finalizers * twice + fixed * 2 + spec * twice + list(_spec(resource, old, new))
    if causes:
        raise invalid_object(resource, before["name"], causes)


_TWICE = frozenset({resources.NODES, resources.NAMESPACES})


def _spec(resource: Resource, old: Object, new: Object) -> Iterator[Cause]:
    rule = _RULES.get(resource)
    if rule is not None and old != new:
        yield from rule(old, new)


def _selector(old: Object, new: Object) -> Iterator[Cause]:
    before, after = old["spec"].get("selector"), new["spec"].get("selector")
    if before != after:
        yield wrong("spec.selector", after, _IMMUTABLE)


def _statefulset(old: Object, new: Object) -> Iterator[Cause]:
    if _others(old["spec"], new["spec"], frozenset(_STATEFULSET_MAY)):
        listed = ", ".join(f"'{field}'" for field in _STATEFULSET_MAY[:-1]) + f" and '{_STATEFULSET_MAY[-1]}'"
        yield forbidden("spec", f"updates to statefulset spec for fields other than {listed} are forbidden")


def _job(old: Object, new: Object) -> Iterator[Cause]:
    before, after = old["spec"], new["spec"]
    for field in ("completions", "selector", "completionMode"):
        if before.get(field) != after.get(field):
            yield wrong(f"spec.{field}", after.get(field), _IMMUTABLE)
    if before["template"] == after["template"]:
        return
    # A suspended Job that has not started allows changes to its pods' resources and placement.
    status = old.get("status") or {}
    suspended = before.get("suspend") and not status.get("startTime")
    if not (suspended and _placement_free(before["template"]) == _placement_free(after["template"])):
        yield wrong("spec.template", after["template"], _IMMUTABLE)


def _placement_free(template: Object) -> Object:
    pod = {
        key: value
        for key, value in template["spec"].items()
        if key not in ("nodeSelector", "affinity", "tolerations", "schedulingGates")
    }
    pod["containers"] = [
        {key: value for key, value in container.items() if key != "resources"} for container in pod["containers"]
    ]
    return pod


def _pod(old: Object, new: Object) -> Iterator[Cause]:
    before, after = old["spec"], new["spec"]
    gates = [one for one in after.get("schedulingGates") or [] if one not in (before.get("schedulingGates") or [])]
    lost = [one for one in before.get("tolerations", []) if one not in after.get("tolerations", [])]
    may = _POD_MAY if gates else _POD_MAY | {"schedulingGates"}
    if _others(before, after, may) or _imageless(before) != _imageless(after) or lost:
        yield forbidden("spec", _POD_WHY)


def _imageless(spec: Object) -> list[Object]:
    return [
        {key: value for key, value in container.items() if key != "image"} for container in spec.get("containers", [])
    ]


def _node(old: Object, new: Object) -> Iterator[Cause]:
    before, after = old["spec"].get("providerID", ""), new["spec"].get("providerID", "")
    if before and before != after:
        yield forbidden("spec.providerID", 'node updates may not change providerID except from "" to valid')

    cidr = new["spec"].get("podCIDR")
    if cidr and "/" not in cidr:
        why = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
        yield wrong("spec.podCIDRs[0]", cidr, why)


def _configmap(old: Object, new: Object) -> Iterator[Cause]:
    if not old.get("immutable"):
        return
    why = "field is immutable when `immutable` is set"
    if not new.get("immutable"):
        yield forbidden("immutable", why)
    for field in ("data", "binaryData"):
        if (old.get(field) or {}) != (new.get(field) or {}):
            yield forbidden(field, why)


def _event(old: Object, new: Object) -> Iterator[Cause]:
    for field in ("regarding", "reason", "eventTime", "reportingController", "reportingInstance", "action", "type"):
        if old.get(field) != new.get(field):
            yield from [wrong(field, new.get(field), _IMMUTABLE)] * 2


def _slice(old: Object, new: Object) -> Iterator[Cause]:
    for field in ("driver", "nodeName"):
        if old["spec"].get(field) != new["spec"].get(field):
            yield wrong(f"spec.{field}", new["spec"].get(field), _IMMUTABLE)


def _claim(old: Object, new: Object) -> Iterator[Cause]:
    if old["spec"] != new["spec"]:
        yield wrong("spec", go_claim(new["spec"]), _IMMUTABLE)


def go_claim(spec: Object) -> Object:
    """A claim's spec as Go prints the internal type."""
    devices = spec.get("devices") or {}
    requests = []
    for request in devices.get("requests") or []:
        exactly = request.get("exactly")
        requests.append(
            {
                "Name": request.get("name", ""),
                "Exactly": exactly
                and {
                    "DeviceClassName": exactly.get("deviceClassName", ""),
                    "Selectors": exactly.get("selectors"),
                    "AllocationMode": exactly.get("allocationMode", ""),
                    "Count": exactly.get("count", 0),
                    "AdminAccess": exactly.get("adminAccess"),
                    "Tolerations": exactly.get("tolerations"),
                    "Capacity": exactly.get("capacity"),
                },
                "FirstAvailable": request.get("firstAvailable"),
            }
        )
    inner = {
        "Requests": requests,
        "Constraints": devices.get("constraints"),
        "Config": devices.get("config"),
    }
    return {"Devices": inner}


def _others(old: Object, new: Object, may: frozenset[str]) -> bool:
    return {key: value for key, value in old.items() if key not in may} != {
        key: value for key, value in new.items() if key not in may
    }


_RULES = {
    resources.DEPLOYMENTS: _selector,
    resources.REPLICASETS: _selector,
    resources.DAEMONSETS: _selector,
    resources.STATEFULSETS: _statefulset,
    resources.JOBS: _job,
    resources.PODS: _pod,
    resources.NODES: _node,
    resources.CONFIGMAPS: _configmap,
    resources.EVENTS: _event,
    resources.RESOURCESLICES: _slice,
    resources.RESOURCECLAIMS: _claim,
}
