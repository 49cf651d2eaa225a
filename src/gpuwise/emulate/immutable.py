"""Fields that a real server lets nobody change."""

from collections.abc import Iterator

from gpuwise.emulate.resources import DEPLOYMENTS, JOBS, PODS, REPLICASETS, STATEFULSETS, Resource
from gpuwise.emulate.status import Object, invalid

_FIXED: dict[Resource, tuple[str, ...]] = {
    DEPLOYMENTS: ("selector",),
    REPLICASETS: ("selector",),
    JOBS: ("selector", "template", "completionMode", "completions"),
}
_STATEFULSET_MAY = frozenset(
    {
        "replicas",
        "ordinals",
        "template",
        "updateStrategy",
        "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy",
        "minReadySeconds",
    }
)
_POD_MAY = frozenset(
    {"containers", "initContainers", "activeDeadlineSeconds", "terminationGracePeriodSeconds", "tolerations"}
)


def check_update(resource: Resource, old: Object, new: Object) -> None:
    """Check that an update leaves alone what it must.

    Raises:
        ApiFailure: 422 with every cause.
    """
    causes = [*_metadata(old["metadata"], new["metadata"]), *_spec(resource, old.get("spec"), new.get("spec"))]
    if causes:
        raise invalid(resource, old["metadata"]["name"], causes)


def _metadata(old: Object, new: Object) -> Iterator[tuple[str, str]]:
    for field in ("name", "namespace", "uid"):
        if new.get(field, old.get(field)) != old.get(field):
            yield f"metadata.{field}", f"Invalid value: {new.get(field)!r}: field is immutable"


def _spec(resource: Resource, old: Object | None, new: Object | None) -> Iterator[tuple[str, str]]:
    old, new = old or {}, new or {}
    if old == new:
        return
    for field in _FIXED.get(resource, ()):
        if old.get(field) != new.get(field):
            yield f"spec.{field}", "Invalid value: field is immutable"
    if resource is STATEFULSETS and _others(old, new, _STATEFULSET_MAY):
        may = ", ".join(f"'{field}'" for field in sorted(_STATEFULSET_MAY))
        yield "spec", f"Forbidden: updates to statefulset spec for fields other than {may} are forbidden"
    if resource is PODS:
        yield from _pod(old, new)


def _others(old: Object, new: Object, may: frozenset[str]) -> bool:
    return {key: value for key, value in old.items() if key not in may} != {
        key: value for key, value in new.items() if key not in may
    }


def _pod(old: Object, new: Object) -> Iterator[tuple[str, str]]:
    why = "Forbidden: pod updates may not change fields other than images, tolerations (only additions) and deadlines"
    without_image = [
        [{key: value for key, value in container.items() if key != "image"} for container in spec.get("containers", [])]
        for spec in (old, new)
    ]
    lost = [item for item in old.get("tolerations", []) if item not in new.get("tolerations", [])]
    if _others(old, new, _POD_MAY) or without_image[0] != without_image[1] or lost:
        yield "spec", why
