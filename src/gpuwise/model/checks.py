"""Results of the checks that `gpuwise doctor` makes."""

from dataclasses import dataclass
from enum import StrEnum


class CheckStatus(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    """It works, and recommendations are fewer or less certain than they could be."""

    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check.

    Attributes:
        name: what was checked.
        status: how it ended.
        text: what was found, and what to do if it is not ok.
    """

    name: str
    status: CheckStatus
    text: str
