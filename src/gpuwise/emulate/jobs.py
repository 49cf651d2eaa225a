"""The Job controller: pods up to parallelism until enough have succeeded; none while suspended."""

from gpuwise.emulate import conditions
from gpuwise.emulate.deletion import delete_object
from gpuwise.emulate.pods import is_active, is_ready, is_terminating, make_pod, owned, phase
from gpuwise.emulate.resources import JOBS, PODS
from gpuwise.emulate.status import ApiFailure, Object
from gpuwise.emulate.store import ObjectStore, key_of

TRACKED = "batch.kubernetes.io/job-tracking"
_END_CONDITIONS = {
    "Complete": ("SuccessCriteriaMet", "CompletionsReached", "Reached expected number of succeeded pods"),
    "Failed": ("FailureTarget", "BackoffLimitExceeded", "Job has reached the specified backoff limit"),
}


def run_jobs(store: ObjectStore) -> None:
    """Bring the pods of each unfinished Job to its desired state."""
    pods_by_owner = owned(store.all(PODS))
    for job in list(store.all(JOBS)):
        pods = pods_by_owner.get(job["metadata"]["uid"], [])
        if "deletionTimestamp" in job["metadata"] or finished(job):
            _remove_finalizer(store, pods)
            continue
        _sync(store, job, pods)


def finished(job: Object) -> bool:
    """Whether a Job is finished."""
    return any((conditions.find(job, kind) or {}).get("status") == "True" for kind in _END_CONDITIONS)


def _sync(store: ObjectStore, job: Object, pods: list[Object]) -> None:
    active = [pod for pod in pods if is_active(pod)]
    before, uid = job.get("status") or {}, job["metadata"]["uid"]
    done = sum(phase(pod) == "Succeeded" for pod in pods if _counted(pod, before))
    failed = sum(phase(pod) == "Failed" for pod in pods)
    outcome = _outcome(job, done, failed)
    wanted = 0 if outcome else _wanted(job, done)
    ended = 0
    for pod in active[wanted:]:
        gone = delete_object(store, PODS, pod)
        if not pod["spec"].get("nodeName"):
            ended += 1
        elif gone is not None:
            pods = [*[one for one in pods if one is not pod], gone]
    active = active[:wanted]
    try:
        for _ in range(wanted - len(active)):
            active.append(make_pod(store, JOBS, job, name="", finalizer=TRACKED))
    except ApiFailure:
        if not active:
            return
    # Pods without a node are removed at once; the status still counts them until the next start.
    removed: dict[str, int] = store.scratch.setdefault("jobs", {})
    removed[uid] = removed.get(uid, 0) + ended if job["spec"].get("suspend") else 0
    terminating = sum(is_terminating(pod) and bool(pod["spec"].get("nodeName")) for pod in pods) + removed[uid]
    _report(store, job, active, {"succeeded": done, "failed": failed, "terminating": terminating}, outcome)
    _remove_finalizer(store, [pod for pod in pods if not is_active(pod)])


def _counted(pod: Object, before: Object) -> bool:
    return not is_terminating(pod) or bool(before)


def _outcome(job: Object, done: int, failed: int) -> str:
    spec = job["spec"]
    if failed > spec["backoffLimit"]:
        return "Failed"
    needed = spec.get("completions")
    return "Complete" if needed is not None and done >= needed and not spec.get("suspend") else ""


def _wanted(job: Object, succeeded: int) -> int:
    if job["spec"].get("suspend"):
        return 0
    left = job["spec"].get("completions", succeeded + job["spec"]["parallelism"]) - succeeded
    return int(max(0, min(job["spec"]["parallelism"], left)))


def _remove_finalizer(store: ObjectStore, pods: list[Object]) -> None:
    """Remove the tracking finalizer of pods that are counted or being deleted."""
    for pod in pods:
        if TRACKED in (pod["metadata"].get("finalizers") or []):
            left = [one for one in pod["metadata"]["finalizers"] if one != TRACKED]
            metadata = {key: value for key, value in pod["metadata"].items() if key != "finalizers"}
            new = metadata | ({"finalizers": left} if left else {})
            if store.peek(PODS, *key_of(pod)) is not None:
                store.update(PODS, *key_of(pod), lambda item, new=new: item | {"metadata": new})  # type: ignore[misc]


def _report(store: ObjectStore, job: Object, active: list[Object], counts: dict[str, int], outcome: str) -> None:
    before, now = job.get("status") or {}, store.now()
    suspended, times = bool(job["spec"].get("suspend")), ("lastProbeTime", "lastTransitionTime")
    found = list(before.get("conditions") or [])
    known = conditions.find(job, "Suspended")
    if suspended:
        new = conditions.made("Suspended", "True", "JobSuspended", "Job suspended", *times, now=now)
        found = conditions.replaced(found, new)
    elif known is not None:
        new = conditions.made("Suspended", "False", "JobResumed", "Job resumed", *times, now=now)
        found = conditions.replaced(found, new)
    status: Object = {}
    if outcome:
        first, reason, message = _END_CONDITIONS[outcome]
        found += [conditions.made(kind, "True", reason, message, *times, now=now) for kind in (first, outcome)]
    if found:
        status["conditions"] = found
    if not suspended:
        status["startTime"] = before.get("startTime") or now
    if outcome == "Complete":
        status["completionTime"] = now
    shown = {"active": len(active), "succeeded": counts["succeeded"], "failed": counts["failed"]}
    status |= {field: count for field, count in shown.items() if count}
    status |= {
        "terminating": counts["terminating"],
        "uncountedTerminatedPods": {},
        "ready": sum(map(is_ready, active)),
    }
    store.update(JOBS, *key_of(job), lambda item: item | {"status": status}, subresource="status")
