"""The loop over a past: what gpuwise would have said, and when it would first have said it. It writes nothing."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from gpuwise.model.inventory import Inventory, WorkloadRef
from gpuwise.model.recommendation import Blocked, Recommendation
from gpuwise.model.report import WeeklyReport
from gpuwise.model.usage import Window
from gpuwise.pipeline import Pipeline, Progress, Survey


@dataclass(frozen=True, slots=True)
class Sighting:
    """One thing that was said about a workload, from the first time to the last.

    Attributes:
        said: the latest recommendation, or what blocked it.
        first_s: when it was first said.
        last_s: when it was last said.
        times: how often.
    """

    said: Recommendation | Blocked
    first_s: int
    last_s: int
    times: int


@dataclass(frozen=True, slots=True)
class Replay:
    """What came of it.

    Attributes:
        whole: everything measured, scored as one window; its workloads are all that ever were.
        sightings: recommendations, dearest first, then holds by time.
        every_s: seconds between two looks.
    """

    whole: WeeklyReport
    sightings: tuple[Sighting, ...]
    every_s: int

    @property
    def recommended(self) -> tuple[Sighting, ...]:
        """Those that are recommendations."""
        return tuple(one for one in self.sightings if isinstance(one.said, Recommendation))


def replay(pipeline: Pipeline, everything: Inventory, window: Window, *, every_s: int, progress: Progress) -> Replay:
    """Step through a past, then score it as a whole.

    Args:
        pipeline: over the past; its inventory knows what was there when.
        everything: all workloads that ever were.
        window: what was measured.
        every_s: seconds from one look to the next; the last look is at the window's end.
        progress: told of looks done and in all.
    """
    seen: dict[tuple[WorkloadRef, str, str], Sighting] = {}
    instants = list(_instants(window, every_s))
    last: Survey | None = None
    for done, now_s in enumerate(instants, start=1):
        last = pipeline.survey(now_s)
        told: tuple[Recommendation | Blocked, ...] = (*last.recommendations, *last.blocked)
        for said in told:
            before = seen.get(_key(said))
            first_s, times = (before.first_s, before.times) if before else (now_s, 0)
            seen[_key(said)] = Sighting(said, first_s, now_s, times + 1)
        progress("replay", done, len(instants))
    assert last is not None, "a window has an end, and so a look"
    profiles = pipeline.score(everything, window)
    found = replace(last, window=window, inventory=everything, profiles=profiles)
    ordered = sorted(seen.values(), key=_rank)
    return Replay(pipeline.summary(found, now_s=window.end_s), tuple(ordered), every_s)


def _instants(window: Window, every_s: int) -> Iterator[int]:
    yield from range(window.start_s + every_s, window.end_s, every_s)
    yield window.end_s


def _key(said: Recommendation | Blocked) -> tuple[WorkloadRef, str, str]:
    if isinstance(said, Recommendation):
        return said.workload, "recommendation", said.id
    return said.workload, said.stage, said.reason


def _rank(sighting: Sighting) -> tuple[bool, float, int, str]:
    said = sighting.said
    worth = said.saving.usd_month if isinstance(said, Recommendation) else 0.0
    return isinstance(said, Blocked), -worth, sighting.first_s, str(said.workload)
