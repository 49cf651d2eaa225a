"""The mode of a workload: its own mode overrides its namespace's, which overrides the policy's."""

from collections.abc import Mapping

from gpuwise.model.command import Mode
from gpuwise.model.inventory import Namespace, Workload
from gpuwise.model.labels import MODE


def mode_of(workload: Workload, namespace: Namespace | None, default: Mode) -> Mode | str:
    """The mode in force. An invalid value is returned as text, and protects the workload (I11).

    Args:
        workload: its annotations and labels are read first.
        namespace: its annotations and labels are read next.
        default: the policy's mode.
    """
    value = _value(workload.annotations, workload.labels)
    if value is None and namespace is not None:
        value = _value(namespace.annotations, namespace.labels)
    if value is None:
        return default
    return Mode(value) if value in set(Mode) else value


def _value(annotations: Mapping[str, str], labels: Mapping[str, str]) -> str | None:
    """The mode from annotation and label. If they differ, the more restrictive one applies, an invalid one first."""
    values = [mapping[MODE] for mapping in (annotations, labels) if MODE in mapping]
    order = [mode.value for mode in Mode]
    return min(values, key=lambda value: order.index(value) if value in order else -1, default=None)
