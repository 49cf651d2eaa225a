"""Labels and annotations that protect an object from disruption; read when planning and just before the effect."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from gpuwise.model.labels import DO_NOT_DISRUPT, KARPENTER_DO_NOT_DISRUPT, SAFE_TO_EVICT
from gpuwise.model.reasons import Reason

# The value with which each annotation protects, and the value with which it does not. Any other value is taken for a
# typing error, and protects (I11).
_MEANINGS = {
    DO_NOT_DISRUPT: ("true", "false"),
    KARPENTER_DO_NOT_DISRUPT: ("true", "false"),
    SAFE_TO_EVICT: ("false", "true"),
    "karpenter.sh/do-not-evict": ("true", "false"),  # Karpenter before 0.33
    "autoscaling.cast.ai/removal-disabled": ("true", "false"),
    "cluster-autoscaler.kubernetes.io/scale-down-disabled": ("true", "false"),  # on nodes
    "downscaler/exclude": ("true", "false"),
}
# A time: whether it has passed is not decided here, and a person removes what no longer applies.
_UNTIL = ("downscaler/exclude-until",)
_KNOWN = frozenset({*_MEANINGS, *_UNTIL})

SYSTEM_NAMESPACES = frozenset(
    {
        "kube-system",
        "kube-public",
        "kube-node-lease",
        "gpu-operator",
        "gpuwise",
        "monitoring",
        "cert-manager",
        "istio-system",
    }
)
"""Never changed, regardless of their labels (I18): the control plane, the GPU stack, and what gpuwise itself needs."""


def marks(metadata: Mapping[str, Any]) -> dict[str, str]:
    """The labels and annotations of an object; an annotation overrides a label of the same name."""
    return {**(metadata.get("labels") or {}), **(metadata.get("annotations") or {})}


def protection(
    marked: Mapping[str, str], configured: Mapping[str, str] = MappingProxyType({})
) -> tuple[Reason, str] | None:
    """Why the marks of an object forbid a disruption, or None if they do not.

    Args:
        marked: labels and annotations of a workload, a pod or a namespace.
        configured: further labels or annotations that protect, with the value; "*" is any value.
    """
    for key, wanted in configured.items():
        if key in marked and wanted in ("*", marked[key]):
            return Reason.PROTECTED, f"{key} is {marked[key]!r}"
    if _KNOWN.isdisjoint(marked):  # as of most objects
        return None
    for key in _UNTIL:
        if key in marked:
            return Reason.PROTECTED, f"{key} is {marked[key]!r}; remove it when it has passed"
    for key, (protects, permits) in _MEANINGS.items():
        value = marked.get(key)
        if value is None or value == permits:
            continue
        if value == protects:
            return Reason.PROTECTED, f"{key} is {value!r}"
        return Reason.UNREADABLE_POLICY, f"{key} is {value!r}, not {protects!r} or {permits!r}: it counts as protected"
    return None
