"""Nodes as kube-state-metrics reports them: which series there are, and Node objects made of their labels.

kube-state-metrics replaces characters of labels and resources that Prometheus does not allow by "_"
(`SanitizeLabelName` in its internal/store/utils.go). Since 2.0 it writes the names of labels in snake case:
eks.amazonaws.com/capacityType is label_eks_amazonaws_com_capacity_type.
"""

import re
from collections.abc import Iterable, Mapping

from gpuwise.model.labels import GPU_COUNT_LABEL, GPU_PRODUCT_LABEL, GPU_RESOURCE, SHARED_GPU_RESOURCE
from gpuwise.model.ports import Object
from gpuwise.sources.kubernetes.nodes import READ_LABELS
from gpuwise.sources.kubernetes.settings import InventorySettings
from gpuwise.sources.prometheus.names import first, literal

CREATED = "kube_node_created"
LABELS = "kube_node_labels"
UNITS = ("kube_node_status_capacity", "kube_node_status_allocatable")
"""How many units of each resource a node has; the first one that exists is read."""
PRESENCE = (CREATED, "kube_node_info", LABELS, *UNITS)
"""Every node has these series as long as it exists; the first one that exists is read."""
NAMES_NODE = ("exported_node", "node")
"""Labels that name the node; Prometheus renames the second where the scrape target has a label `node`."""

_INVALID = re.compile(r"[^a-zA-Z0-9_]")
_HUMP = re.compile(r"([a-z0-9])([A-Z])")
_COUNTED = (
    GPU_RESOURCE,
    SHARED_GPU_RESOURCE,
    "volcano.sh/vgpu-number",
    "volcano.sh/gpu-number",
    "aliyun.com/gpu-count",
)
_MIG = re.compile(r"nvidia_com_mig_(?:(\d+c)_)?(\d+g)_(\d+gb)(_me)?(_shared)?")


def node_name(labels: Mapping[str, str]) -> str:
    """Return the node that a series is about, "" if it names none."""
    return first(labels, NAMES_NODE) or ""


def label_forms(name: str) -> tuple[str, str]:
    """Return the names under which kube-state-metrics exports a label of a node: since 2.0, and before."""
    plain = _INVALID.sub("_", name)
    snake = _HUMP.sub(r"\1_\2", plain).lower()
    return f"label_{snake}", f"label_{plain}"


def resource_pattern(settings: InventorySettings) -> str:
    """Return a regular expression of the values of the label `resource` that count GPUs."""
    names = (_INVALID.sub("_", name) for name in (*_COUNTED, *settings.gpu_resources))
    return "|".join(("nvidia_com_.+", *(literal(name) for name in dict.fromkeys(names) if name[:7] != "nvidia_")))


def node_object(
    name: str,
    labels: Mapping[str, str],
    units: Mapping[str, float],
    settings: InventorySettings,
    *,
    product: str = "",
    cards: int = 0,
) -> Object:
    """Build the part of a Node object that kube-state-metrics reports.

    Args:
        name: of the node.
        labels: of its series kube_node_labels; empty if there is none.
        units: amount by resource, as in the label `resource`.
        settings: names that are particular to the cluster.
        product: what rows of its GPUs call them, for a node without a label for it; "" if that is not known.
        cards: number of GPUs with rows, for a node without a label for it; 0 if that is not known.
    """
    found: dict[str, str] = {}
    for label in _read_labels(settings):
        value = next((labels[form] for form in label_forms(label) if labels.get(form)), None)
        if value is not None:
            found[label] = value
    if product:
        found.setdefault(GPU_PRODUCT_LABEL, product)
    if cards:
        found.setdefault(GPU_COUNT_LABEL, str(cards))
    counted = {_INVALID.sub("_", one): one for one in (*_COUNTED, *settings.gpu_resources)}
    amounts = {_resource(one, counted): str(int(amount)) for one, amount in units.items() if amount >= 1.0}
    return {"metadata": {"name": name, "labels": found}, "status": {"capacity": amounts, "allocatable": amounts}}


def _read_labels(settings: InventorySettings) -> Iterable[str]:
    return dict.fromkeys((*READ_LABELS, *(key.partition(":")[0] for key in settings.capacity_labels)))


def _resource(name: str, counted: Mapping[str, str]) -> str:
    """Return the resource of a label's value; of NVIDIA's other resources only the prefix is certain."""
    mig = _MIG.fullmatch(name)
    if mig is not None:
        part, compute, memory, media, shared = mig.groups()
        profile = ".".join(filter(None, (part, compute, memory)))
        return f"nvidia.com/mig-{profile}{'.me' if media else ''}{'.shared' if shared else ''}"
    return counted.get(name, name.replace("nvidia_com_", "nvidia.com/", 1))
