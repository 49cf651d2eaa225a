"""The mode of an object: its own mode overrides its namespace's, which overrides the policy's."""

from collections.abc import Mapping, Sequence

from gpuwise.model.command import Mode
from gpuwise.model.labels import MODE

Marks = Sequence[Mapping[str, str]]
"""Annotations and labels."""


def mode_of(own: Marks, namespace: Marks, default: Mode) -> Mode | str:
    """The mode in force. An invalid value is returned as text, and protects the object (I11).

    Args:
        own: annotations and labels of the object.
        namespace: annotations and labels of its namespace.
        default: the policy's mode.
    """
    value = next((found for marks in (own, namespace) if (found := _value(marks)) is not None), None)
    if value is None:
        return default
    return Mode(value) if value in set(Mode) else value


def _value(marks: Marks) -> str | None:
    """The mode from annotation and label. If they differ, the more restrictive one applies, an invalid one first."""
    values = [one[MODE] for one in marks if MODE in one]
    order = [mode.value for mode in Mode]
    return min(values, key=lambda value: order.index(value) if value in order else -1, default=None)
