"""Who created a workload, as far as its objects say so: for GPU time that no label gives to a team."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gpuwise.model.labels import DOMAIN
from gpuwise.model.ports import Object

_PERSONS = (
    f"{DOMAIN}/creator",
    # Argo Workflows, docs/workflow-creator.md; the e-mail has "." and ".at." for what a label does not allow.
    "workflows.argoproj.io/creator-preferred-username",
    "workflows.argoproj.io/creator-email",
    "workflows.argoproj.io/creator",
    "hub.jupyter.org/username",  # KubeSpawner
    "opendatahub.io/username",  # notebooks of Open Data Hub and OpenShift AI
    "openshift.io/requester",  # of a project, on its namespace
    "field.cattle.io/creatorId",  # Rancher
)
"""Labels or annotations that name a person, in order of precedence."""
_DEFAULT_ACCOUNT = "default"
_CONTROLLERS = frozenset({"kube-controller-manager", "kube-scheduler", "kubelet", "gpuwise"})

Marks = Sequence[Mapping[str, str]]
"""Labels and annotations."""


def creator_of(item: Object, pods: Sequence[Object], namespace: Marks, tools: Iterable[str]) -> str:
    """Who created a workload: a person, else a GitOps tool, else the service account, else the first writer; or "".

    Args:
        item: the workload.
        pods: its pods.
        namespace: labels and annotations of its namespace.
        tools: the GitOps tools that own it: "ArgoCD/chat".
    """
    metadata = item["metadata"]
    marked = (*marks(metadata), *(one for pod in pods for one in marks(pod["metadata"])), *namespace)
    person = next((str(one[key]) for one in marked for key in _PERSONS if one.get(key)), "")
    return person or next(iter(tools), "") or _account(pods) or _first_writer(metadata)


def marks(metadata: Mapping[str, Any]) -> Marks:
    """The annotations and labels of an object."""
    return metadata.get("annotations") or {}, metadata.get("labels") or {}


def _account(pods: Iterable[Object]) -> str:
    names = {(pod.get("spec") or {}).get("serviceAccountName") or _DEFAULT_ACCOUNT for pod in pods}
    named = sorted(name for name in names if name != _DEFAULT_ACCOUNT)
    return f"ServiceAccount/{named[0]}" if named else ""


def _first_writer(metadata: Mapping[str, Any]) -> str:
    """The writer of the oldest entry in managedFields, such as kubectl-create; its time is that of its last change."""
    entries = [
        one
        for one in metadata.get("managedFields") or ()
        if one.get("manager") and not one.get("subresource") and one["manager"] not in _CONTROLLERS
    ]
    return str(min(entries, key=lambda one: str(one.get("time", "")))["manager"]) if entries else ""
