"""Checks immediately before an effect: everything that planning checked is read and checked again (I10).

Karpenter evicted pods that got their do-not-disrupt annotation after it had planned (karpenter#1167).
"""

from collections.abc import Iterable, Iterator
from typing import Any

from gpuwise.enact.refusal import Refusal
from gpuwise.enact.settings import EnactSettings
from gpuwise.enact.target import Target
from gpuwise.enact.youth import too_young
from gpuwise.model.changes import MoveToSpot, ScaleTo
from gpuwise.model.command import POLICY, Command, Mode
from gpuwise.model.kinds import KINDS, NAME, QUEUED
from gpuwise.model.labels import CHECKPOINTED, MODE
from gpuwise.model.ownership import (
    QUEUE_OWNER,
    autoscalers,
    borrowed,
    disruptions_allowed,
    gitops_owners,
    job_owners,
)
from gpuwise.model.ports import ClusterReader, Object
from gpuwise.model.protection import SYSTEM_NAMESPACES, marks, protection
from gpuwise.model.reasons import Reason

_REPLICAS_ON_SPOT = 2  # as in the recommendation: one is left while the other is replaced


def blocker(
    cluster: ClusterReader, command: Command, target: Target, settings: EnactSettings, now_s: int
) -> Refusal | None:
    """Return the first thing that forbids a command now, None if nothing does.

    Args:
        cluster: client, used only to read.
        command: the command.
        target: the object to write, just read.
        settings: the protected namespaces, and the default mode.
        now_s: epoch seconds.

    Raises:
        ClusterError: something could not be read, so the checks are not complete.
    """
    return next(_blockers(cluster, command, target, settings, now_s), None)


def _blockers(
    cluster: ClusterReader, command: Command, target: Target, settings: EnactSettings, now_s: int
) -> Iterator[Refusal]:
    name, item = command.workload.namespace, target.workload
    if name in SYSTEM_NAMESPACES or name in settings.protected_namespaces:
        yield Refusal(Reason.PROTECTED_NAMESPACE, f"the namespace {name} is protected: gpuwise never changes it")
    namespace = cluster.get(f"/api/v1/namespaces/{name}")
    pods = pods_of(cluster, command.workload.kind, item)
    yield from _protections(namespace, item, pods, settings)
    yield from mode_refusals(command, [item, namespace], settings.default_mode)
    yield from _owners(cluster, command, target)
    yield from _interruption(command, item, pods)
    yield from _stops(command, item, pods, settings.min_alive_s, now_s)
    yield from _budgets(cluster, name, pods)


def _protections(namespace: Object, item: Object, pods: list[Object], settings: EnactSettings) -> Iterator[Refusal]:
    for what, holder in [("namespace", namespace), ("workload", item), *(("pod", pod) for pod in pods)]:
        found = protection(marks(holder["metadata"]), settings.protections)
        if found is not None:
            yield Refusal(found[0], f"the {what} {holder['metadata']['name']} is protected: {found[1]}")


def mode_refusals(command: Command, places: Iterable[Object], default: Mode) -> Iterator[Refusal]:
    """Yield why the mode forbids a command; labels and annotations count.

    Args:
        command: the command.
        places: objects that may set the mode, the first one that does counts: a workload, then its namespace.
        default: the mode if none does.
    """
    modes = next(filter(None, map(_mode_values, places)), {default.value})
    unknown = sorted(modes - set(Mode))
    if unknown:
        yield Refusal(Reason.UNREADABLE_POLICY, f"{MODE} is {unknown[0]!r}, which is not a mode: treated as protected")
    if Mode.OFF in modes:
        yield Refusal(Reason.MODE_OFF, f"{MODE} is off")
    if command.actor != POLICY:
        return
    if Mode.RECOMMEND in modes:
        yield Refusal(Reason.RECOMMEND_ONLY, f"{MODE} is recommend")
    if Mode.APPROVE in modes and not command.approved_by:
        yield Refusal(Reason.NEEDS_APPROVAL, f"{MODE} is approve")


def _mode_values(item: Object) -> set[str]:
    places = (item["metadata"].get("labels") or {}, item["metadata"].get("annotations") or {})
    return {place[MODE] for place in places if MODE in place}


def _owners(cluster: ClusterReader, command: Command, target: Target) -> Iterator[Refusal]:
    workload, item = command.workload, target.workload
    space = workload.namespace
    hpas = cluster.list(f"/apis/autoscaling/v2/namespaces/{space}/horizontalpodautoscalers")
    scaled = cluster.list_optional(f"/apis/keda.sh/v1alpha1/namespaces/{space}/scaledobjects")
    owners = autoscalers(hpas, scaled, frozenset({(workload.kind, workload.name)})) + gitops_owners(item["metadata"])
    queued = target.kind is QUEUED
    owners += tuple(one for one in job_owners(workload.kind, item) if not (queued and one.startswith(QUEUE_OWNER)))
    if workload.kind == "Deployment":
        rollouts = cluster.list_optional(f"/apis/argoproj.io/v1alpha1/namespaces/{space}/rollouts")
        owners += tuple(f"Rollout/{one['metadata']['name']}" for one in rollouts if borrowed(one) == workload.name)
    if workload.kind != "Job":
        references = item["metadata"].get("ownerReferences") or []
        owners += tuple(f"{one['kind']}/{one['name']}" for one in references if one.get("controller"))
    if owners:
        yield Refusal(Reason.MANAGED_BY_OTHER, f"{', '.join(owners)} would revert the change: change it there")


def _interruption(command: Command, item: Object, pods: list[Object]) -> Iterator[Refusal]:
    """A move to spot needs checkpoints or two ready replicas, now as well as when it was planned (I22)."""
    if not isinstance(command.change, MoveToSpot):
        return
    if (item["metadata"].get("annotations") or {}).get(CHECKPOINTED) == "true":
        return
    ready = sum(_ready(pod) for pod in pods)
    if ready < _REPLICAS_ON_SPOT:
        detail = f'it has {ready} ready replicas now and no annotation {CHECKPOINTED}: "true": a reclaim would stop it'
        yield Refusal(Reason.NOT_INTERRUPTIBLE, detail)


def _stops(command: Command, item: Object, pods: list[Object], min_alive_s: int, now_s: int) -> Iterator[Refusal]:
    """What automation does not stop: work that would begin again, and pods that were started a short time ago."""
    if not isinstance(command.change, ScaleTo) or command.actor != POLICY:
        return
    checkpoints = (item["metadata"].get("annotations") or {}).get(CHECKPOINTED) == "true"
    if KINDS[command.workload.kind].restarts and not checkpoints:
        detail = f'a stopped {command.workload.kind} begins again at its start: with annotation {CHECKPOINTED}: "true"'
        yield Refusal(Reason.NOT_REVERSIBLE, f"{detail} automation stops it; `gpuwise apply` does so without")
    if (young := too_young(pods, min_alive_s=min_alive_s, now_s=now_s)) is not None:
        yield Refusal(Reason.TOO_YOUNG, young)


def _ready(pod: Object) -> bool:
    status = pod.get("status") or {}
    conditions = {one["type"]: one["status"] for one in status.get("conditions") or []}
    return status.get("phase") == "Running" and conditions.get("Ready") == "True"


def _budgets(cluster: ClusterReader, namespace: str, pods: list[Object]) -> Iterator[Refusal]:
    budgets = cluster.list(f"/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets")
    if disruptions_allowed(budgets, (pod["metadata"].get("labels") or {} for pod in pods)) == 0:
        yield Refusal(Reason.BLOCKED_BY_PDB, "a PodDisruptionBudget for its pods allows 0 disruptions now")


def pods_of(cluster: ClusterReader, kind: str, item: Object) -> list[Object]:
    """List the pods of a workload.

    Args:
        cluster: client, used only to read.
        kind: kind of the workload.
        item: the workload's own object.

    Raises:
        ClusterError: the list failed.
    """
    path = f"/api/v1/namespaces/{item['metadata']['namespace']}/pods"
    return cluster.list(path, label_selector=pod_selector(kind, item))


def pod_selector(kind: str, item: Object) -> str:
    """Return the label selector of a workload's pods as a query string."""
    if KINDS[kind].pods:
        return KINDS[kind].pods.replace(NAME, item["metadata"]["name"])
    selector: dict[str, Any] = item["spec"]["selector"]
    parts = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for one in selector.get("matchExpressions") or []:
        key, values = one["key"], ",".join(one.get("values") or [])
        forms = {"In": f"{key} in ({values})", "NotIn": f"{key} notin ({values})", "Exists": key}
        parts.append(forms.get(one["operator"], f"!{key}"))
    return ",".join(parts)
