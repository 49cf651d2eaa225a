"""Two results of planning an effect: a refusal, or the fields to change."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gpuwise.model.reasons import Reason


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
