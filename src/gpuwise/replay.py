"""The loop over the past: what gpuwise would have recommended, and when first. It writes nothing."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from gpuwise.model.inventory import Inventory, WorkloadRef
from gpuwise.model.recommendation import Blocked, Recommendation
from gpuwise.model.report import WeeklyReport
from gpuwise.model.usage import Window
from gpuwise.pipeline import Pipeline, Progress, Survey
from gpuwise.weekly import summary


@dataclass(frozen=True, slots=True)
class Sighting:
    """A recommendation, or what blocked one, over the passes in which it appeared.

    Attributes:
        item: as of the last of these passes.
        first_s: the first of these passes, epoch seconds.
        last_s: the last of these passes, epoch seconds.
        times: number of passes.
    """

    item: Recommendation | Blocked
    first_s: int
    last_s: int
    times: int


@dataclass(frozen=True, slots=True)
class Replay:
    """The result of a replay.

    Attributes:
        whole: everything measured, scored as one window, with every workload that ever existed.
        sightings: recommendations, the largest saving first, then what is blocked, by time.
        every_s: seconds between two passes.
    """

    whole: WeeklyReport
    sightings: tuple[Sighting, ...]
    every_s: int

    @property
    def recommended(self) -> tuple[Sighting, ...]:
        """Those that are recommendations."""
        return tuple(one for one in self.sightings if isinstance(one.item, Recommendation))


def replay(pipeline: Pipeline, everything: Inventory, window: Window, *, every_s: int, progress: Progress) -> Replay:
    """Run a pass at each instant of the past, then score the past as a whole.

    Args:
        pipeline: over the past; its inventory returns what existed at an instant.
        everything: all workloads that ever existed.
        window: of the measurements.
        every_s: seconds between two passes; the last pass is at the end of the window.
        progress: called with the passes done, and their number.
    """
    seen: dict[tuple[WorkloadRef, str, str], Sighting] = {}
    instants = list(_instants(window, every_s))
    last: Survey | None = None
    for done, now_s in enumerate(instants, start=1):
        last = pipeline.survey(now_s)
        items: tuple[Recommendation | Blocked, ...] = (*last.recommendations, *last.blocked)
        for item in items:
            before = seen.get(_key(item))
            first_s, times = (before.first_s, before.times) if before else (now_s, 0)
            seen[_key(item)] = Sighting(item, first_s, now_s, times + 1)
        progress("replay", done, len(instants))
    assert last is not None, "a window has an end, and so a pass"
    profiles = pipeline.score(everything, window)
    found = replace(last, window=window, inventory=everything, profiles=profiles)
    ordered = sorted(seen.values(), key=_rank)
    return Replay(summary(pipeline, found, now_s=window.end_s), tuple(ordered), every_s)


def _instants(window: Window, every_s: int) -> Iterator[int]:
    yield from range(window.start_s + every_s, window.end_s, every_s)
    yield window.end_s


def _key(item: Recommendation | Blocked) -> tuple[WorkloadRef, str, str]:
    if isinstance(item, Recommendation):
        return item.workload, "recommendation", item.id
    return item.workload, item.stage, item.reason


def _rank(sighting: Sighting) -> tuple[bool, float, int, str]:
    item = sighting.item
    saving = item.saving.usd_month if isinstance(item, Recommendation) else 0.0
    return isinstance(item, Blocked), -saving, sighting.first_s, str(item.workload)
