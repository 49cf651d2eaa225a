"""What the owner of a workload declares about its work, in annotations of the workload or of its pod template."""

import math
import re

from gpuwise.model.inventory import Workload
from gpuwise.model.labels import MODEL, VALUE_PER_UNIT, WORK_METRIC

# Names that every Prometheus accepts; Prometheus 3 also stores others, but no selector of older servers can name them.
_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*", re.ASCII)
# Characters of a value in a message; an annotation may have 256 KiB.
_SHOWN = 100


def declared(workload: Workload, key: str) -> str | None:
    """The value of an annotation of a workload, else of its pods, which have those of the template; None without one.

    Args:
        workload: the workload.
        key: name of the annotation.
    """
    value = workload.annotations.get(key)
    if value is None:
        for pod in workload.pods:
            if key in pod.annotations:
                value = pod.annotations[key]
                break
    return None if value is None else str(value)  # an inventory that a person wrote may have a number


def work_metric(workload: Workload) -> str | None:
    """The counter of the units of work that a workload declares; None if it declares none, or no valid name."""
    name = declared(workload, WORK_METRIC)
    return name if name is not None and _METRIC.fullmatch(name) else None


def value_per_unit(workload: Workload) -> float | None:
    """What a unit of a workload's work is worth, dollars; None if it declares nothing, or no number of 0 or more."""
    try:
        value = float(declared(workload, VALUE_PER_UNIT) or "")
    except ValueError:
        return None
    return value if 0.0 <= value < math.inf else None


def bad_work_metric(workload: Workload) -> str | None:
    """What is wrong with a workload's declaration of a counter, for a person; None if nothing is."""
    name = declared(workload, WORK_METRIC)
    if name is None or _METRIC.fullmatch(name):
        return None
    shown = name if len(name) <= _SHOWN else name[:_SHOWN] + "..."
    return (
        f"{WORK_METRIC} is {shown!r}, which is not the name of a metric, so the speed of its work is not read; "
        "set it to the name of a counter, such as trainer_steps_total"
    )


def model_of(workload: Workload) -> str:
    """The model that a workload trains or serves, by its label or annotation; else its own uid, which no other has."""
    labelled = workload.labels.get(MODEL) or workload.pod_labels.get(MODEL)
    return declared(workload, MODEL) or labelled or workload.ref.uid
