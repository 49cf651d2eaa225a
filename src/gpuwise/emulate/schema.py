"""The fields of the built-in kinds: objects are decoded and encoded as a server's Go structs do it.

Unknown fields are dropped and reported, values of a wrong type are errors, nulls and empty values are omitted, and
quantities are converted to their canonical form. The table is fields.json, written by
`python -m tests.kubernetes.fields`.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from gpuwise.emulate.quantity import MALFORMED, canonical

# Scalars that are pointers in Go: their zero values are kept. Source: k8s.io/api, types.go of each group.
_POINTERS = frozenset(
    """
    activeDeadlineSeconds adminAccess allNodes allowPrivilegeEscalation automountServiceAccountToken
    averageUtilization backoffLimit backoffLimitPerIndex blockOwnerDeletion bool collisionCount completions
    completionMode controller defaultMode deletionGracePeriodSeconds enableServiceLinks expirationSeconds
    failedJobsHistoryLimit failurePolicy fsGroup gracePeriodSeconds holderIdentity hostUsers immutable int
    leaseDurationSeconds leaseTransitions manualSelector matchPolicy maxFailedIndexes maxSurge maxUnavailable
    maximum minAvailable minDomains minReplicas minimum mode nodeName optional orphanDependents parallelism
    partition podReplacementPolicy preemptionPolicy priority privileged progressDeadlineSeconds
    propagationPolicy readOnlyRootFilesystem ready replicas revisionHistoryLimit runAsGroup runAsNonRoot
    runAsUser setHostnameAsFQDN shareProcessNamespace stabilizationWindowSeconds started startingDeadlineSeconds
    storageClassName string successfulJobsHistoryLimit suspend terminating terminatingReplicas
    terminationGracePeriodSeconds tolerationSeconds ttlSecondsAfterFinished version volumeMode
    """.split()  # noqa: SIM905
)
# Fields that are not pointers in Go although their name is in the list above.
_VALUES = (
    "core.v1.PersistentVolumeSpec.storageClassName",
    "core.v1.PodSpec.nodeName",
    "apps.v1.DeploymentStatus.replicas",
    "apps.v1.ReplicaSetStatus.replicas",
    "autoscaling.v1.ScaleSpec.replicas",
    "apiextensions.v1.CustomResourceDefinitionNames.singular",
)
# Written even if empty, although the schema does not require them.
_ALWAYS: dict[str, Any] = {
    "apps.v1.StatefulSetSpec.serviceName": "",
    "apps.v1.StatefulSetStatus.replicas": 0,
    "apps.v1.StatefulSetStatus.availableReplicas": 0,
    "autoscaling.v2.HorizontalPodAutoscalerStatus.currentMetrics": None,
    "autoscaling.v2.HorizontalPodAutoscalerStatus.desiredReplicas": 0,
    "core.v1.NodeCondition.lastHeartbeatTime": None,
    "core.v1.NodeCondition.lastTransitionTime": None,
    "core.v1.PodCondition.lastProbeTime": None,
    "core.v1.PodCondition.lastTransitionTime": None,
    "policy.v1.PodDisruptionBudgetStatus.currentHealthy": 0,
    "policy.v1.PodDisruptionBudgetStatus.desiredHealthy": 0,
    "policy.v1.PodDisruptionBudgetStatus.disruptionsAllowed": 0,
    "policy.v1.PodDisruptionBudgetStatus.expectedPods": 0,
}
_VALUE_STRUCTS = frozenset(
    {
        "apps.v1.DaemonSetSpec.template",
        "apps.v1.DaemonSetSpec.updateStrategy",
        "apps.v1.DeploymentSpec.strategy",
        "apps.v1.DeploymentSpec.template",
        "apps.v1.ReplicaSetSpec.template",
        "apps.v1.StatefulSetSpec.template",
        "apps.v1.StatefulSetSpec.updateStrategy",
        "batch.v1.JobSpec.template",
        "batch.v1.CronJobSpec.jobTemplate",
        "batch.v1.JobTemplateSpec.metadata",
        "core.v1.Container.resources",
        "core.v1.ContainerStatus.lastState",
        "core.v1.ContainerStatus.state",
        "core.v1.NodeDaemonEndpoints.kubeletEndpoint",
        "core.v1.NodeStatus.daemonEndpoints",
        "core.v1.NodeStatus.nodeInfo",
        "core.v1.PersistentVolumeClaimSpec.resources",
        "core.v1.PodTemplateSpec.metadata",
        "core.v1.PodTemplateSpec.spec",
        "core.v1.ServiceStatus.loadBalancer",
        "resource.v1.ResourceClaimTemplateSpec.metadata",
    }
)
# Fields whose feature gate is off by default: dropped without a warning.
_GATED = {"coordination.v1.LeaseSpec": frozenset({"strategy", "preferredHolder"})}
_GO_NAMES = {"int32": "int32", "int64": "int64", "string": "string", "bool": "bool", "float64": "float64"}
_ZERO: dict[str, Any] = {"string": "", "int32": 0, "int64": 0, "bool": False, "float64": 0, "Quantity": "0"}
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_MICRO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")


class WrongType(ValueError):
    """A value does not have the type of its field; the message is that of Go's JSON decoder."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a type.

    Attributes:
        name: in JSON.
        shape: "", "[" for a list or "{" for a map.
        kind: the type of the value, or of each element.
        merge_key: key by which a strategic merge patch merges the list; "" for a set of scalars, None to replace it.
        empty: the value written if the field is absent, or MISSING to write nothing.
        keeps_zero: 0, "" and false are written.
    """

    name: str
    shape: str
    kind: str
    merge_key: str | None
    empty: Any
    keeps_zero: bool


MISSING = object()


@cache
def _table() -> dict[str, dict[str, str]]:
    text = (files("gpuwise.emulate") / "fields.json").read_text(encoding="utf-8")
    table: dict[str, dict[str, str]] = json.loads(text)
    return table


@cache
def fields_of(kind: str) -> dict[str, Field] | None:
    """The fields of a type by name, None for a scalar or a value without a schema."""
    row = _table().get(kind)
    if row is None:
        return None
    return {name: _field(kind, name, text) for name, text in row.items()}


def _field(owner: str, name: str, text: str) -> Field:
    required, text = text.startswith("!"), text.lstrip("!")
    shape = text[0] if text[0] in "[{" else ""
    kind, bar, key = text.removeprefix(shape).partition("|")
    full = f"{owner}.{name}"
    struct = kind in _table() and not shape
    root = "kind" in _table()[owner] and "apiVersion" in _table()[owner] and "metadata" in _table()[owner]
    empty: Any = _ALWAYS.get(full, MISSING)
    if struct and (full in _VALUE_STRUCTS or (root and name in ("metadata", "spec", "status"))):
        empty = {}
    elif required and not shape and kind in _ZERO:
        empty = _ZERO[kind]
    keeps = name in _POINTERS and full not in _VALUES
    return Field(name, shape, kind, key if bar else None, empty, keeps)


@cache
def _empty_status(kind: str) -> str:
    fields = fields_of(kind) or {}
    found = _struct(fields["status"].kind, {}, (), "", []) if "status" in fields else {}
    return json.dumps(found)


def empty_status(kind: str) -> dict[str, Any]:
    """The status of a new object, with the fields that are always written."""
    found: dict[str, Any] = json.loads(_empty_status(kind))
    return found


def decode(kind: str, value: Any) -> tuple[Any, list[str]]:
    """Decode an object of a kind, and return it as the server would write it, with the paths of unknown fields.

    Raises:
        WrongType: a field has a value of another type.
    """
    unknown: list[str] = []
    return _struct(kind, value, (), "", unknown), unknown


def _struct(kind: str, value: Any, path: tuple[str, ...], shown: str, unknown: list[str]) -> Any:
    fields = fields_of(kind)
    if fields is None:
        return value
    found: dict[str, Any] = {}
    for name, item in value.items():
        field = fields.get(name)
        if name in _GATED.get(kind, ()):
            continue
        if field is None:
            unknown.append(f"{shown}.{name}" if shown else name)
            continue
        kept = _value(kind, field, item, (*path, name), f"{shown}.{name}" if shown else name, unknown)
        if kept is not MISSING:
            found[name] = kept
    for name, field in fields.items():
        if field.empty is not MISSING and name not in found:
            found[name] = _struct(field.kind, {}, (*path, name), "", []) if field.empty == {} else field.empty
    return found


def _value(owner: str, field: Field, value: Any, path: tuple[str, ...], shown: str, unknown: list[str]) -> Any:
    if value is None and field.shape != "{":
        return MISSING
    if field.shape == "[":
        _expect(value, list, owner, field, path)
        items = [_element(owner, field, item, path, f"{shown}[{at}]", unknown) for at, item in enumerate(value)]
        return items or MISSING
    if field.shape == "{":
        if value is None:
            return MISSING
        _expect(value, dict, owner, field, path)
        found = {
            key: _element(owner, field, item, path, f"{shown}.{key}", unknown) for key, item in sorted(value.items())
        }
        return found or MISSING
    kept = _element(owner, field, value, path, shown, unknown)
    if not field.keeps_zero and field.empty is MISSING and kept in ("", 0, False) and not isinstance(kept, dict):
        return kept if field.kind in ("IntOrString", "Quantity", "any") else MISSING
    return kept


def _element(owner: str, field: Field, value: Any, path: tuple[str, ...], shown: str, unknown: list[str]) -> Any:
    kind = field.kind
    if kind in _table():
        if value is None:
            value = {}
        _expect(value, dict, owner, field, path)
        return _struct(kind, value, path, shown, unknown)
    if kind == "Quantity":
        return _quantity(value, field.name)
    if kind.startswith("["):
        return value
    if value is None:
        return _ZERO.get(kind)
    return _scalar(kind, value, owner, field, path)


def _quantity(value: Any, name: str) -> str:
    # Resource lists are rounded up to thousandths: the defaults of core/v1's ResourceList.
    try:
        return canonical(value, milli=name in ("limits", "requests", "capacity", "allocatable", "hard", "used"))
    except (ValueError, TypeError) as error:
        raise WrongType(MALFORMED) from error


def _scalar(kind: str, value: Any, owner: str, field: Field, path: tuple[str, ...]) -> Any:
    if kind in ("int32", "int64"):
        _expect(value, int, owner, field, path)
        bits = int(kind[3:]) - 1
        if isinstance(value, float) or not -(2**bits) <= value < 2**bits:
            raise _mismatch(f"number {json.dumps(value)}", owner, path, kind)
    elif kind == "string":
        _expect(value, str, owner, field, path)
    elif kind == "bool":
        _expect(value, bool, owner, field, path)
    elif kind == "IntOrString" and not (isinstance(value, str) or type(value) is int):
        raise _mismatch(_word(value), owner, path, "intstr.IntOrString")
    elif kind in ("Time", "MicroTime"):
        return _time(kind, value)
    return value


def _time(kind: str, value: Any) -> Any:
    if kind == "Time":
        if not isinstance(value, str) or not _TIME.fullmatch(value):
            layout = "2006-01-02T15:04:05Z07:00"
            raise WrongType(
                f'parsing time {json.dumps(value)} as "{layout}": cannot parse {json.dumps(value)} as "2006"'
            )
        return value
    layout, match = "2006-01-02T15:04:05.000000Z07:00", _MICRO.match(str(value))
    rest = str(value)[match.end() :] if match else str(value)
    if match is None or not re.fullmatch(r"\.\d{6}(Z|[+-]\d\d:\d\d)", rest):
        wanted = ".000000" if match else "2006"
        raise WrongType(f'parsing time "{value}" as "{layout}": cannot parse "{rest}" as "{wanted}"')
    return value


def _expect(value: Any, wanted: type, owner: str, field: Field, path: tuple[str, ...]) -> None:
    valid = isinstance(value, wanted) and (wanted is bool or not isinstance(value, bool))
    if wanted is int and isinstance(value, float):
        return
    if not valid:
        raise _mismatch(_word(value), owner, path, go_name(field, element=wanted in (str, int, bool)))


def _mismatch(what: str, owner: str, path: tuple[str, ...], name: str) -> WrongType:
    struct = owner.rpartition(".")[2]
    return WrongType(f"json: cannot unmarshal {what} into Go struct field {struct}.{'.'.join(path)} of type {name}")


def go_name(field: Field, *, element: bool) -> str:
    """The Go name of a field's type."""
    version, _, name = field.kind.rpartition(".")
    plain = _GO_NAMES.get(field.kind, f"{version.rpartition('.')[2]}.{name}" if version else field.kind)
    if field.shape == "{" and not element:
        return f"map[string]{plain}"
    return f"[]{plain}" if field.shape == "[" and not element else plain


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    words: Iterator[tuple[type | tuple[type, ...], str]] = iter(
        ((str, "string"), ((int, float), "number"), (list, "array"), (dict, "object"))
    )
    return next((word for kind, word in words if isinstance(value, kind)), "null")
