"""The tagging policy: which labels and annotations name what GPU time is allocated to."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gpuwise.model.cost import Owner
from gpuwise.model.inventory import DELETED, Namespace, Workload, WorkloadClass, WorkloadRef
from gpuwise.model.labels import DOMAIN, TEAM_LABELS

TAGS: Mapping[str, tuple[str, ...]] = {
    "organisation": (f"{DOMAIN}/organisation", "organisation", "org", "cost-center"),
    "team": TEAM_LABELS,
    "project": (f"{DOMAIN}/project", "project", "app.kubernetes.io/part-of"),
    "model": (f"{DOMAIN}/model", "model", "serving.kserve.io/inferenceservice", "llm-d.ai/model"),
    "user": (f"{DOMAIN}/user", "user", "notebook-owner", "kueue.x-k8s.io/priority-owner"),
    "phase": (f"{DOMAIN}/phase", "phase"),
}
"""Labels or annotations of each key, in order of precedence."""

PHASES: Mapping[WorkloadClass, str] = {
    WorkloadClass.ENDPOINT: "inference",
    WorkloadClass.TRAINING: "training",
    WorkloadClass.BATCH: "training",
    WorkloadClass.NOTEBOOK: "experiment",
}
"""The phase of a workload without such a label, by what it is for."""

_LONGEST = 253
"""Characters of a value that count, as in names of Kubernetes; an annotation may have 256 KiB."""


@dataclass(frozen=True, slots=True)
class Tags:
    """Where the values of allocation keys are found.

    Attributes:
        labels: labels or annotations by key, in order of precedence; they come before those of `TAGS`.
    """

    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def of(self, key: str) -> tuple[str, ...]:
        """Labels or annotations of one key, in order of precedence."""
        return (*self.labels.get(key, ()), *TAGS[key])


def owner_of(ref: WorkloadRef, workload: Workload | None, namespace: Namespace | None, tags: Tags) -> Owner:
    """What the GPU time of a workload is allocated to: by its own labels, its pods', its namespace's, then annotations.

    Args:
        ref: the workload, or the deleted ones of a namespace.
        workload: None if it is deleted: then only the labels of its namespace count.
        namespace: None if it is not known.
        tags: which labels name each key.
    """
    own = [] if workload is None else [workload.labels, workload.pod_labels]
    noted = [] if workload is None else [workload.annotations]
    if namespace is not None:
        own.append(namespace.labels)
        noted.append(namespace.annotations)
    marked = [*own, *noted]
    named = {key: _first(tags.of(key), marked) for key in TAGS}
    if workload is not None:
        named["phase"] = named["phase"] or PHASES[workload.workload_class]
    serves = workload is not None and workload.workload_class is WorkloadClass.ENDPOINT
    return Owner(
        namespace=ref.namespace,
        workload=None if ref.kind == DELETED else f"{ref.kind}/{ref.name}",
        endpoint=ref.name if serves else None,
        creator=_one_line("" if workload is None else workload.creator) or None,
        **named,
    )


def _first(labels: tuple[str, ...], marked: list[Mapping[str, str]]) -> str | None:
    for mapping in marked:
        for label in labels:
            if name := _one_line(mapping.get(label, "")):
                return name
    return None


def _one_line(value: str) -> str:
    """The value without control characters, of which terminals obey some, and PostgreSQL stores no NUL."""
    return " ".join("".join(one if one.isprintable() else " " for one in value[:_LONGEST]).split())
