"""What a failover showed."""

from collections.abc import Sequence
from dataclasses import dataclass

P99_GOAL_S = 30.0


@dataclass(frozen=True)
class Result:
    """What was seen.

    Attributes:
        resumed_s: from the stop of the leader to the first write of the next one, seconds.
        violations: what must not happen.
    """

    resumed_s: float
    violations: tuple[str, ...]


def violations(results: Sequence[Result]) -> int:
    """The number of violations in all."""
    return sum(len(one.violations) for one in results)


def p99_s(results: Sequence[Result]) -> float:
    """The time to resume that 99 % of the failovers needed at most, seconds."""
    resumed = sorted(one.resumed_s for one in results)
    return resumed[min(len(resumed) - 1, int(0.99 * len(resumed)))]


def summary(what: str, results: Sequence[Result]) -> str:
    """One line for a person."""
    p50 = sorted(one.resumed_s for one in results)[len(results) // 2]
    counts = f"{len(results)} failovers {what}, {violations(results)} violations"
    return f"{counts}, resume p50 {p50:.1f} s, p99 {p99_s(results):.1f} s"


def passed(results: Sequence[Result]) -> bool:
    """Whether nothing was violated, and the next leader went on in time."""
    return not results or (violations(results) == 0 and p99_s(results) < P99_GOAL_S)
