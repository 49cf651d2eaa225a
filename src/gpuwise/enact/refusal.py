"""Two results of planning an effect: a refusal, or the fields to change."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gpuwise.model.errors import ClusterError, Conflict, Denied, Forbidden, Gone, Throttled
from gpuwise.model.reasons import Reason

_ANSWERS: tuple[tuple[type[ClusterError], Reason], ...] = (
    (Conflict, Reason.CHANGED_SINCE_PLANNED),
    (Gone, Reason.TARGET_GONE),
    (Denied, Reason.DENIED_BY_ADMISSION),
    (Forbidden, Reason.NO_RIGHT),
    (Throttled, Reason.REFUSED_BY_CLUSTER),
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a command is not carried out.

    Attributes:
        reason: reason code.
        detail: what is specific to this case, as text for a person.
    """

    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class FieldChanges:
    """The fields that an effect sets, removes and relies on, by JSON pointer.

    Attributes:
        values: fields to set.
        removed: fields to remove.
        relied_on: fields that are not changed, and must still be the same for an undo.
    """

    values: Mapping[str, Any]
    removed: frozenset[str] = field(default_factory=frozenset)
    relied_on: frozenset[str] = field(default_factory=frozenset)

    @property
    def touched(self) -> frozenset[str]:
        """All of these fields."""
        return frozenset(self.values) | self.removed | self.relied_on


def answered(error: ClusterError) -> Reason | None:
    """Return why the API server refused a write; None if it may have processed it (I31)."""
    return next((reason for kind, reason in _ANSWERS if isinstance(error, kind)), None)
