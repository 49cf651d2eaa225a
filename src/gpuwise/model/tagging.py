"""The tagging policy: which labels and annotations name what GPU time is allocated to."""

from collections.abc import Iterable, Mapping, Sequence
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
    marked = _marked(workload, namespace)
    named = {key: first_of(tags.of(key), marked) for key in TAGS}
    if workload is not None:
        named["phase"] = named["phase"] or PHASES[workload.workload_class]
    serves = workload is not None and workload.workload_class is WorkloadClass.ENDPOINT
    return Owner(
        namespace=ref.namespace,
        workload=None if ref.kind == DELETED else f"{ref.kind}/{ref.name}",
        endpoint=ref.name if serves else None,
        creator=one_line("" if workload is None else workload.creator) or None,
        **named,
    )


def team_of(workload: Workload, namespace: Namespace | None, tags: Tags) -> str | None:
    """The team of `owner_of`: who pays for a workload also gets its recommendations.

    Args:
        workload: the workload.
        namespace: None if it is not known.
        tags: which labels name a team.
    """
    return first_of(tags.of("team"), _marked(workload, namespace))


def _marked(workload: Workload | None, namespace: Namespace | None) -> list[Mapping[str, str]]:
    """Labels of the workload, its pods and its namespace, then annotations."""
    own = [] if workload is None else [workload.labels, workload.pod_labels]
    noted = [] if workload is None else [workload.annotations]
    if namespace is not None:
        own.append(namespace.labels)
        noted.append(namespace.annotations)
    return [*own, *noted]


def first_of(labels: Sequence[str], marked: Iterable[Mapping[str, str]]) -> str | None:
    """The first value of these labels, of the first mapping that has one; None if none has.

    Args:
        labels: in order of precedence.
        marked: labels or annotations, in order of precedence.
    """
    for mapping in marked:
        for label in labels:
            if label in mapping and (name := one_line(mapping[label])):
                return name
    return None


def one_line(value: str) -> str:
    """The value without control characters, of which terminals obey some, and PostgreSQL stores no NUL."""
    return " ".join("".join(one if one.isprintable() else " " for one in value[:_LONGEST]).split())
