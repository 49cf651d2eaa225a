"""What an object says about being left alone; read when planning and again at the moment of the effect."""

from collections.abc import Mapping

from gpuwise.model.labels import DO_NOT_DISRUPT, KARPENTER_DO_NOT_DISRUPT, SAFE_TO_EVICT, TEAM_LABELS
from gpuwise.model.reasons import Reason

# What each protecting annotation must say to protect, and to say nothing; anything else is a typo, and protects (I11).
_MEANINGS = {
    DO_NOT_DISRUPT: ("true", "false"),
    KARPENTER_DO_NOT_DISRUPT: ("true", "false"),
    SAFE_TO_EVICT: ("false", "true"),
}

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
"""Never touched, whatever their labels say (I18): the control plane, the GPU stack, and what gpuwise itself needs."""


def protection(annotations: Mapping[str, str]) -> tuple[Reason, str] | None:
    """Why these annotations forbid a disruption, or None if they do not.

    Args:
        annotations: of a workload, a pod or a namespace.
    """
    for key, (protects, permits) in _MEANINGS.items():
        value = annotations.get(key)
        if value is None or value == permits:
            continue
        if value == protects:
            return Reason.PROTECTED, f"{key} is {value!r}"
        return Reason.UNREADABLE_POLICY, f"{key} is {value!r}, neither {protects!r} nor {permits!r}: taken as protected"
    return None


def team_of(*labels: Mapping[str, str]) -> str | None:
    """The team that the first labelled object names: workload first, then namespace; None if none does."""
    for mapping in labels:
        for key in TEAM_LABELS:
            if mapping.get(key):
                return mapping[key]
    return None
