"""Cold starts of a workload's pods, remembered after the pods are gone.

The inventory has only the pods that exist. Their starts are stored beside the hours of usage, by the pod's uid.
"""

import json
from collections.abc import Iterable, Mapping, Sequence

from gpuwise.model.inventory import Pod, Start

_MAGIC = b"gpuwise-starts/1\n"

# A median of so many is known to about a tenth, if starts differ by a factor of two from the fastest to the slowest.
_MOST = 32


def is_starts(checkpoint: bytes) -> bool:
    """Whether a checkpoint has starts, not hours."""
    return checkpoint.startswith(_MAGIC)


def encoded(starts: Mapping[str, Start]) -> bytes:
    """Encode starts as bytes.

    Args:
        starts: by uid of the pod.
    """
    return _MAGIC + json.dumps([[uid, one.ready_s, one.took_s] for uid, one in starts.items()]).encode()


def merged(checkpoints: Sequence[bytes], pods: Iterable[Pod]) -> dict[str, Start]:
    """The latest starts, of pods that exist and of pods that earlier runs saw, oldest first; by uid of the pod.

    The start that was seen first counts: a pod that was not ready for some time later has not started again.

    Args:
        checkpoints: of the workload; those with hours are ignored, as are damaged ones.
        pods: the pods that exist.
    """
    found = {pod.uid: pod.start for pod in pods if pod.start is not None}
    for checkpoint in checkpoints:
        if is_starts(checkpoint):
            found |= _decoded(checkpoint)
    latest = sorted(found.items(), key=lambda item: (item[1].ready_s, item[0]))[-_MOST:]
    return dict(latest)


def _decoded(checkpoint: bytes) -> dict[str, Start]:
    try:
        rows = json.loads(checkpoint[len(_MAGIC) :])
        return {str(uid): Start(int(ready_s), int(took_s)) for uid, ready_s, took_s in rows}
    except (ValueError, TypeError):  # a damaged cache is as good as none
        return {}
