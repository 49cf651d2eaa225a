"""How runs ended, by the status of the objects that exist now."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from gpuwise.model.ports import ClusterReader, Object
from gpuwise.model.runs import RUN_KINDS, RunEnds
from gpuwise.sources.kubernetes.listings import ALL_COLLECTIONS, COLLECTIONS, EARLIER
from gpuwise.sources.kubernetes.unread import READ_ERRORS

_ENDS: Mapping[str, bool] = {"Complete": True, "Completed": True, "Succeeded": True, "Failed": False}
"""Types of conditions: of Job and TrainJob, of JobSet, of the training operator's kinds, and of all of them.

https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/job-v1/#JobStatus
https://jobset.sigs.k8s.io/docs/reference/jobset.v1alpha2/
https://github.com/kubeflow/training-operator/blob/v1.9.0/pkg/apis/kubeflow.org/v1/common_types.go
"""

_RAY_ENDS: Mapping[str, bool] = {"SUCCEEDED": True, "FAILED": False}
"""Values of status.jobStatus of a RayJob; one that a person stopped neither succeeded nor failed. One that passed its
deadline, or whose cluster did not start, has the jobDeploymentStatus Failed, whatever its jobStatus.

https://github.com/ray-project/kuberay/blob/v1.4.0/ray-operator/apis/ray/v1/rayjob_types.go
"""


def ended_runs(reader: ClusterReader, start_s: int, end_s: int) -> RunEnds:
    """List the runs that exist now and ended between two instants.

    Args:
        reader: a cluster, or a recording of one.
        start_s: epoch seconds.
        end_s: likewise.

    Raises:
        ClusterError: a list request failed.
    """
    found: dict[tuple[str, str], bool] = {}
    for kind in RUN_KINDS:
        for item in _listed(reader, kind):
            with suppress(*READ_ERRORS):  # one odd object costs itself
                ended = _end(kind, item.get("status") or {})
                if ended is not None and start_s <= ended[0] < end_s:
                    metadata = item["metadata"]
                    found[str(metadata["namespace"]), f"{kind}/{metadata['name']}"] = ended[1]
    return found


def _listed(reader: ClusterReader, kind: str) -> Sequence[Object]:
    if kind in COLLECTIONS:
        return reader.list(COLLECTIONS[kind])
    for path in (ALL_COLLECTIONS[kind], *EARLIER.get(kind, ())):
        items = list(reader.list_optional(path))
        if items:
            return items
    return ()


def _end(kind: str, status: Mapping[str, Any]) -> tuple[float, bool] | None:
    """When a run ended, and whether it succeeded; None if it has not."""
    if kind == "RayJob":
        failed = status.get("jobDeploymentStatus") == "Failed"
        succeeded = False if failed else _RAY_ENDS.get(status.get("jobStatus") or "")
        return None if succeeded is None else (_instant(status["endTime"]), succeeded)
    for one in status.get("conditions") or ():
        if one.get("status") == "True" and one.get("type") in _ENDS:
            return _instant(one["lastTransitionTime"]), _ENDS[one["type"]]
    return None


def _instant(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
