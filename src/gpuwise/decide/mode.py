"""Which mode holds for a workload: its own word beats its namespace's, which beats the policy's."""

from collections.abc import Mapping

from gpuwise.model.command import Mode
from gpuwise.model.inventory import Namespace, Workload
from gpuwise.model.labels import MODE


def mode_of(workload: Workload, namespace: Namespace | None, default: Mode) -> Mode | str:
    """The mode in force, or, as text, what stands there and is none: unreadable means hands off (I11).

    Args:
        workload: its annotations and labels are asked first.
        namespace: then its namespace's.
        default: the policy's.
    """
    said = _said(workload.annotations, workload.labels)
    if said is None and namespace is not None:
        said = _said(namespace.annotations, namespace.labels)
    if said is None:
        return default
    return Mode(said) if said in set(Mode) else said


def _said(annotations: Mapping[str, str], labels: Mapping[str, str]) -> str | None:
    """Both are read; when they disagree the more careful one wins, and an unreadable one beats both."""
    words = [mapping[MODE] for mapping in (annotations, labels) if MODE in mapping]
    order = [mode.value for mode in Mode]
    return min(words, key=lambda word: order.index(word) if word in order else -1, default=None)
