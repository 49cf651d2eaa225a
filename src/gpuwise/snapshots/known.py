"""Texts that say nothing about a fleet: public label domains, values with a meaning, kinds and words of gpuwise."""

from gpuwise.model import labels
from gpuwise.model.changes import Change
from gpuwise.model.command import Mode
from gpuwise.model.findings import Finding
from gpuwise.model.inventory import DELETED, CapacityType, WorkloadClass
from gpuwise.sources.kubernetes.templates import KINDS as TEMPLATES

KINDS = frozenset({*TEMPLATES, "Pod", "Node", DELETED})
"""Kinds of Kubernetes objects that gpuwise knows."""

WORDS = frozenset(
    {
        *KINDS,
        *Mode,
        *Finding,
        *WorkloadClass,
        *CapacityType,
        *(kind.__name__ for kind in Change.__args__),
        *("automation", "GPU", "GPUs", "node", "nodes", "pod", "pods", "true", "false", "none", ""),
    }
)
"""Words that policies and messages of gpuwise use."""

_DOMAINS = (
    *("kubernetes.io", "k8s.io", "nvidia.com", "gpuwise.dev", "karpenter.sh", "keda.sh", "kubeflow.org", "ray.io"),
    *("cloud.google.com", "gke.io", "amazonaws.com", "k8s.aws", "azure.com", "cast.ai", "argoproj.io", "fluxcd.io"),
    *("helm.sh", "kserve.io", "knative.dev", "volcano.sh", "aliyun.com", "amd.com", "intel.com", "habana.ai"),
    *("google.com", "openshift.io", "istio.io", "prometheus.io", "projectcontour.io", "coreweave.com"),
)
"""Domains of labels, annotations and resources of public projects and providers."""

_MEANS = frozenset(
    {
        *labels.CAPACITY_TYPE_LABELS,
        *(labels.REGION_LABEL, labels.ZONE_LABEL, labels.GPU_PRODUCT_LABEL, labels.GKE_PARTITION_LABEL),
        *(labels.WORKLOAD_CLASS, labels.DEADLINE, labels.WORK, labels.PACE),
        *("node.kubernetes.io/instance-type", "kubernetes.io/arch", "kubernetes.io/os", "downscaler/exclude-until"),
        *("cloud.google.com/gke-accelerator", "nvidia.com/mig.config", "nvidia.com/mig.strategy"),
    }
)
"""Labels and annotations whose values decisions or readers need, and which name nothing of the fleet."""

_MOST_DIGITS = 8
"""Longer numbers may be account numbers."""


def known_key(key: str) -> bool:
    """Whether the name of a label, annotation or resource may be shown: it has no domain, or a public one."""
    domain, slash, _ = key.rpartition("/")
    if not slash or domain == "downscaler":
        return True
    return any(domain == one or domain.endswith(f".{one}") for one in _DOMAINS)


def known_value(key: str, value: str) -> bool:
    """Whether the value of a label may be shown.

    Args:
        key: the label.
        value: its value.
    """
    if value in ("true", "false", "", "*") or (value.isdigit() and len(value) <= _MOST_DIGITS):
        return True
    if key == labels.MODE:
        return value in set(Mode)
    return key in _MEANS
