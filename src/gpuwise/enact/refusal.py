"""Not doing it, as a value; and the fields that an effect wants."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gpuwise.model.reasons import Reason


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a command is not carried out.

    Attributes:
        reason: code.
        detail: the particular of this case, for a person.
    """

    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """The fields that an effect sets, removes, and relies on, by JSON pointer.

    Attributes:
        values: to set.
        removed: to take away.
        relied_on: to be left as they are, and still be so when it is undone.
    """

    values: Mapping[str, Any]
    removed: frozenset[str] = field(default_factory=frozenset)
    relied_on: frozenset[str] = field(default_factory=frozenset)

    @property
    def touched(self) -> frozenset[str]:
        """All of them."""
        return frozenset(self.values) | self.removed | self.relied_on
