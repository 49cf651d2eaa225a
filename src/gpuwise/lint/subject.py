"""The workload of a manifest as the checks see it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gpuwise.lint.finding import Code, Finding, Severity
from gpuwise.lint.manifests import Manifest
from gpuwise.model.inventory import GpuRequest
from gpuwise.model.labels import is_gpu
from gpuwise.model.ports import Object
from gpuwise.model.scheduling import Scheduling
from gpuwise.sources.kubernetes.claims import Claims
from gpuwise.sources.kubernetes.requested import Requests, amounts
from gpuwise.sources.kubernetes.scheduling import scheduling_of
from gpuwise.sources.kubernetes.templates import KINDS, pod_groups

Path = tuple[str | int, ...]
"""Keys and indices of a field of a manifest."""

JOBS = frozenset({"Job", "CronJob", "PyTorchJob", "RayJob"})
_POD_SPEC = {
    "Pod": ("spec",),
    "CronJob": ("spec", "jobTemplate", "spec", "template", "spec"),
}
_TEMPLATE_SPEC = ("spec", "template", "spec")


@dataclass(frozen=True, slots=True)
class Group:
    """Pods of one template.

    Attributes:
        spec: their pod spec.
        pods: wanted number, None if it is not stated.
        requests: GPUs of one pod; empty if it requests none.
        unknown: why the GPUs are not known, "" if they are.
        asking: containers that request GPUs.
        scheduling: what the pods require of a node, volumes left out.
    """

    spec: Object
    pods: int | None
    requests: tuple[GpuRequest, ...]
    unknown: str
    asking: int
    scheduling: Scheduling


@dataclass(frozen=True, slots=True)
class Subject:
    """A workload with GPUs.

    Attributes:
        manifest: where it is written.
        kind: its kind.
        namespace: its namespace.
        name: its name, or the beginning of it.
        groups: its pods that request GPUs.
        marks: labels and annotations by where they are: "workload", "pods" and "namespace", in this order.
        spec_path: path of the first pod spec.
    """

    manifest: Manifest
    kind: str
    namespace: str
    name: str
    groups: tuple[Group, ...]
    marks: Mapping[str, Mapping[str, str]]
    spec_path: tuple[str, ...]

    def __str__(self) -> str:
        """Format it as namespace/Kind/name."""
        return f"{self.namespace}/{self.kind}/{self.name}"

    def error(self, code: Code, text: str, hint: str, path: Path = ()) -> Finding:
        """Return a finding that is an error, at a path of the manifest."""
        return self._finding(Severity.ERROR, code, text, hint, path)

    def warning(self, code: Code, text: str, hint: str, path: Path = ()) -> Finding:
        """Return a finding that is a warning, at a path of the manifest."""
        return self._finding(Severity.WARNING, code, text, hint, path)

    def info(self, code: Code, text: str, hint: str = "", path: Path = ()) -> Finding:
        """Return a finding that is good to know, at a path of the manifest."""
        return self._finding(Severity.INFO, code, text, hint, path)

    def _finding(self, severity: Severity, code: Code, text: str, hint: str, path: Path) -> Finding:
        return Finding(self.manifest.file, self.manifest.line(*path), severity, code, str(self), text, hint)

    def mark(self, key: str) -> str | None:
        """Return the value of a label or annotation: on the workload, its pods or its namespace, in this order."""
        return next((marks[key] for marks in self.marks.values() if key in marks), None)


def subject_of(manifest: Manifest, namespaces: Mapping[str, Mapping[str, str]], *, default: str) -> Subject | None:
    """Return the workload of a manifest; None if it requests no GPUs, or is of a kind that gpuwise does not know.

    Args:
        manifest: the object.
        namespaces: labels and annotations of known namespaces.
        default: namespace of objects that name none.

    Raises:
        ValueError: a quantity cannot be read.
        TypeError: a field has another type than in the API; likewise KeyError and AttributeError.
    """
    item = manifest.item
    metadata = item.get("metadata") or {}
    kind, name = item["kind"], str(metadata.get("name") or metadata.get("generateName") or "?")
    namespace = str(metadata.get("namespace") or default)
    groups = tuple(group for group in _groups(kind, item, namespace) if group.requests or group.unknown)
    if not groups:
        return None
    path = _POD_SPEC.get(kind, _TEMPLATE_SPEC)
    pods = _at(item, (*path[:-1], "metadata")) if kind != "Pod" else {}
    marks = {"workload": _marks(metadata), "pods": _marks(pods), "namespace": namespaces.get(namespace, {})}
    return Subject(manifest, kind, namespace, name, groups, marks, path)


def _groups(kind: str, item: Object, namespace: str) -> list[Group]:
    requests = Requests(Claims({}, []))
    raw: list[tuple[Object, int | None]] = []
    if kind == "Pod":
        raw = [(item.get("spec") or {}, 1)]
    elif kind == "CronJob":
        job = _at(item, ("spec", "jobTemplate"))
        raw = [(one.spec, one.pods) for one in pod_groups("Job", {"metadata": {}} | job)]
    elif kind in KINDS:
        raw = [(one.spec, one.pods) for one in pod_groups(kind, item)]
    return [_group(spec, pods, namespace, requests) for spec, pods in raw if pods != 0]


def _group(spec: Object, pods: int | None, namespace: str, requests: Requests) -> Group:
    found = requests.of(spec, namespace)
    wanted = () if found is None or found.request is None else (found.request, *found.more)
    unknown = found.unknown if found is not None else ""
    asking = sum(any(is_gpu(name) for name in amounts(one)) for one in containers(spec))
    return Group(spec, pods, wanted, unknown, asking, scheduling_of(spec, ()))


def containers(spec: Object) -> list[Object]:
    """Return the containers of a pod spec that run at the same time, sidecars left out."""
    return [one for one in spec.get("containers") or [] if isinstance(one, dict)]


def _marks(metadata: Any) -> dict[str, str]:
    found = metadata if isinstance(metadata, dict) else {}
    both = {**(found.get("labels") or {}), **(found.get("annotations") or {})}
    return {str(key): str(value) for key, value in both.items()}


def _at(item: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        item = (item.get(key) if isinstance(item, dict) else None) or {}
    return item


def namespaces_of(found: list[Manifest]) -> dict[str, dict[str, str]]:
    """Return labels and annotations of the namespaces among manifests."""
    named = (one.item.get("metadata") for one in found if one.item["kind"] == "Namespace")
    return {str(meta.get("name")): _marks(meta) for meta in named if isinstance(meta, dict)}
