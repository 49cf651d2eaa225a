"""Wait until a target's controller has observed a write."""

import time

from gpuwise.enact.refusal import Refusal
from gpuwise.enact.target import Target, read_target
from gpuwise.model.inventory import WorkloadRef
from gpuwise.model.ports import ClusterReader, Object

# An idle controller observes a write within milliseconds, a busy one within seconds.
_FIRST_POLL_S = 0.01
_LONGEST_POLL_S = 0.2


def settled(cluster: ClusterReader, workload: WorkloadRef, *, timeout_s: float) -> Target | Refusal:
    """Read the target after its controller has observed its newest spec, or after the timeout.

    Args:
        cluster: client, used only to read.
        workload: the target.
        timeout_s: longest wait, seconds; a kind without observedGeneration is read at once.

    Raises:
        ClusterError: the target could not be read.
    """
    until, wait_s = time.monotonic() + timeout_s, _FIRST_POLL_S
    while True:
        target = read_target(cluster, workload)
        if isinstance(target, Refusal) or _observed(target.item) or time.monotonic() >= until:
            return target
        time.sleep(wait_s)
        wait_s = min(2 * wait_s, _LONGEST_POLL_S)


def _observed(item: Object) -> bool:
    observed = (item.get("status") or {}).get("observedGeneration")
    return observed is None or observed >= item["metadata"].get("generation", 0)
