"""GPUs that a manifest wastes by design, and manifests that the API server rejects: only what is certain."""

from collections.abc import Iterator, Sequence

from gpuwise.lint.finding import Code, Finding
from gpuwise.lint.places import admitted, implied
from gpuwise.lint.subject import JOBS, Group, Path, Subject, containers
from gpuwise.model.inventory import CapacityType, Node
from gpuwise.model.labels import CHECKPOINTED, DEADLINE, GPU_RESOURCE, is_gpu
from gpuwise.model.quantity import quantity

_RUN_LIMITS = {"Job": ("spec",), "CronJob": ("spec", "jobTemplate", "spec")}
"""Where activeDeadlineSeconds is, by kind."""


def design(subject: Subject, nodes: Sequence[Node]) -> Iterator[Finding]:
    """Yield what is wrong with the requests of a workload.

    Args:
        subject: the workload.
        nodes: of the fleet; empty if it is not known.
    """
    for group in subject.groups:
        yield from _limits(subject, group)
        yield from _sharing(subject, group)
        if nodes:
            yield from _nodes(subject, group, nodes)
    yield from _job(subject)


def _resources(subject: Subject, number: int) -> Path:
    return (*subject.spec_path, "containers", number, "resources")


def _limits(subject: Subject, group: Group) -> Iterator[Finding]:
    for number, container in enumerate(containers(group.spec)):
        name, resources = container.get("name", number), container.get("resources") or {}
        requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
        path = _resources(subject, number)
        for resource in sorted({*requests, *limits}):
            if not is_gpu(str(resource)):
                continue
            limit, request = limits.get(resource), requests.get(resource)
            if limit is None:
                text = f"container {name} requests {request} {resource} without a limit: the API server rejects it"
                yield subject.error(Code.LIMIT_MISMATCH, text, f"set limits: {{{resource}: {request}}}", path)
            elif request is not None and quantity(request) != quantity(limit):
                text = f"container {name} requests {request} {resource} with limit {limit}: the API server rejects it"
                yield subject.error(Code.LIMIT_MISMATCH, text, "set both to the same number", path)
    yield from _cpus(subject, group)


def _cpus(subject: Subject, group: Group) -> Iterator[Finding]:
    for number, container in enumerate(containers(group.spec)):
        limits = (container.get("resources") or {}).get("limits") or {}
        gpus = int(quantity(limits.get(GPU_RESOURCE, 0)))
        if gpus and "cpu" in limits and quantity(limits["cpu"]) < gpus:
            text = f"container {container.get('name', number)} has {gpus} GPUs and a CPU limit of {limits['cpu']}"
            hint = "each GPU needs at least one core to feed it: raise the limit, or request fewer GPUs"
            path = _resources(subject, number)
            yield subject.warning(Code.FEW_CPUS, text, hint, path)


def _sharing(subject: Subject, group: Group) -> Iterator[Finding]:
    asking = sum(bool(_counts(one)) for one in containers(group.spec))
    if asking > 1:
        total = " + ".join(f"{one.count} {one.resource}" for one in group.requests)
        text = f"{asking} containers of a pod request GPUs: the pod has {total}, and they share none of them"
        hint = "request GPUs in one container only, unless each needs its own"
        yield subject.warning(Code.SEVERAL_CONTAINERS_ASK, text, hint, (*subject.spec_path, "containers"))


def _counts(container: dict[str, object]) -> list[str]:
    resources = container.get("resources")
    limits = resources.get("limits") if isinstance(resources, dict) else None
    return [name for name, amount in (limits or {}).items() if is_gpu(str(name)) and quantity(amount) > 0]


def _nodes(subject: Subject, group: Group, nodes: Sequence[Node]) -> Iterator[Finding]:
    found = admitted(group, nodes)
    path = subject.spec_path
    if not found:
        text = f"none of the {len(nodes)} GPU nodes of the fleet admits it by labels and taints: its pods would wait"
        yield subject.warning(Code.NO_MATCHING_NODE, text, "check its node selector and tolerations", path)
        return
    count = sum(one.count for one in group.requests if one.resource == GPU_RESOURCE)
    most = max(node.gpu_count * node.pods_per_gpu for node in found)
    if count > most:
        text = f"a pod requests {count} GPUs, and the largest node that admits it has {most}: its pods would wait"
        yield subject.warning(Code.NO_MATCHING_NODE, text, "request fewer GPUs in each pod", path)
    elif count > 1 and all(node.pods_per_gpu > 1 for node in found):
        text = f"a pod requests {count} replicas of GPUs that are time-sliced: they may be one card and add no compute"
        yield subject.warning(Code.SHARED_GPU_REPEATED, text, "request 1, or other nodes", path)


def _job(subject: Subject) -> Iterator[Finding]:
    if subject.kind not in JOBS:
        return
    places = [place for group in subject.groups for term in group.scheduling.terms for place in implied(term)]
    on_spot = any(place.capacity_type is CapacityType.SPOT for place in places)
    if on_spot and subject.mark(CHECKPOINTED) != "true":
        text = f'it runs on spot nodes and declares no checkpoints ({CHECKPOINTED}: "true"): a reclaim loses all work'
        hint = "save checkpoints and declare them, or use on-demand nodes"
        yield subject.warning(Code.NOT_RESUMABLE, text, hint, subject.spec_path)
    path = _RUN_LIMITS.get(subject.kind)
    if path is None or subject.mark(DEADLINE) is not None:
        return
    spec = subject.manifest.item
    for key in path:
        spec = spec.get(key) or {}
    if spec.get("activeDeadlineSeconds") is None and subject.groups[0].spec.get("activeDeadlineSeconds") is None:
        text = "it has no activeDeadlineSeconds: if it hangs, it keeps its GPUs until somebody sees it"
        hint = f"set activeDeadlineSeconds, or declare {DEADLINE}"
        yield subject.warning(Code.NO_TIME_LIMIT, text, hint, path)
