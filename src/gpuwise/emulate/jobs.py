"""The Job controller: pods up to parallelism until enough have succeeded; none while suspended."""

from gpuwise.emulate.pods import condition, is_active, is_ready, make_pod, owned, phase
from gpuwise.emulate.resources import JOBS, PODS
from gpuwise.emulate.status import Object
from gpuwise.emulate.store import CONTROLLERS, ObjectStore


def run_jobs(store: ObjectStore) -> None:
    """Bring the pods of each unfinished Job to what it asks for."""
    mine = owned(store.all(PODS))
    for job in store.all(JOBS):
        if "True" in (condition(job, "Complete"), condition(job, "Failed")):
            continue
        pods = mine.get(job["metadata"]["uid"], [])
        active = [pod for pod in pods if is_active(pod)]
        succeeded = sum(phase(pod) == "Succeeded" for pod in pods)
        for pod in active[_wanted(job, succeeded) :]:
            store.delete(PODS, job["metadata"]["namespace"], pod["metadata"]["name"])
        active = active[: _wanted(job, succeeded)]
        for _ in range(_wanted(job, succeeded) - len(active)):
            pod = make_pod(store, JOBS, job, name=f"{job['metadata']['name']}-", labels={})
            active.append(store.create(PODS, job["metadata"]["namespace"], pod, manager=CONTROLLERS))
        _report(store, job, active, pods)


def _wanted(job: Object, succeeded: int) -> int:
    if job["spec"].get("suspend"):
        return 0
    left = job["spec"].get("completions", succeeded + job["spec"]["parallelism"]) - succeeded
    return int(max(0, min(job["spec"]["parallelism"], left)))


def _report(store: ObjectStore, job: Object, active: list[Object], pods: list[Object]) -> None:
    before = job.get("status") or {}
    counts = {
        "active": len(active),
        "ready": sum(map(is_ready, active)),
        "succeeded": sum(phase(pod) == "Succeeded" for pod in pods),
        "failed": sum(phase(pod) == "Failed" for pod in pods),
    }
    status: Object = {field: count for field, count in counts.items() if count}
    suspended = bool(job["spec"].get("suspend"))
    if not suspended:
        status["startTime"] = before.get("startTime") or store.now()
    conditions = [entry for entry in before.get("conditions") or [] if entry["type"] != "Suspended"]
    if suspended:
        conditions.append({"type": "Suspended", "status": "True", "reason": "JobSuspended"})
    if "completions" in job["spec"] and counts["succeeded"] >= job["spec"]["completions"]:
        conditions.append({"type": "Complete", "status": "True", "reason": "CompletionsReached"})
        status["completionTime"] = store.now()
    if conditions:
        status["conditions"] = conditions
    key = job["metadata"]["namespace"], job["metadata"]["name"]
    store.update(JOBS, *key, lambda item: item | {"status": status}, subresource="status")
