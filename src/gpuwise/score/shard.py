"""The work of one worker: restore stored hours, read new usage, score both, and return the checkpoints to store."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from gpuwise.model.billed import ScoredUse
from gpuwise.model.declared import work_metric
from gpuwise.model.hours import DAY_H, HOUR_S
from gpuwise.model.inventory import Inventory, Node, Start, Workload, WorkloadClass, WorkloadRef, node_ref
from gpuwise.model.packed import Packed, pack
from gpuwise.model.ports import UsageSource
from gpuwise.model.usage import DAY_S, UsageSeries, Window
from gpuwise.score.answer import kernel_answer
from gpuwise.score.closed import ClosedDays, divided, divided_parts
from gpuwise.score.closed_checkpoint import encode_closed
from gpuwise.score.expected import RunningPod, running_pods
from gpuwise.score.hours import extended, hours_of, join
from gpuwise.score.kept import CLOSED, PAST, STARTS, TODAY, Kept, checkpoints_of, encode_today
from gpuwise.score.profile import score_days, score_hours
from gpuwise.score.settings import ScoreSettings
from gpuwise.score.starts import encoded, merged


@dataclass(frozen=True, slots=True)
class Shard:
    """One worker's share of the fleet.

    Attributes:
        workloads: to score.
        nodes: to score for use outside Kubernetes.
        kept: checkpoints by workload, oldest first; None if nothing is kept between runs.
    """

    workloads: tuple[Workload, ...]
    nodes: tuple[Node, ...] = ()
    kept: Mapping[WorkloadRef, Sequence[bytes]] | None = None


@dataclass(frozen=True, slots=True)
class Scored:
    """The result for one workload or node.

    Attributes:
        use: its profile, and what the bill needs.
        keep: checkpoints to store in place of those of the same name (`gpuwise.score.kept`).
    """

    use: ScoredUse
    keep: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class PackedShard:
    """The result for a shard.

    Attributes:
        profiles: the profiles, packed by the worker, so that the process that collects them does not unpack them.
        keep: checkpoints to store, by workload.
    """

    profiles: Packed
    keep: Mapping[WorkloadRef, Mapping[str, bytes]]


def facts(source: UsageSource) -> Mapping[str, str]:
    """What must be equal on every machine that scores a part of one fleet: the data, and what the kernels compute.

    Args:
        source: where usage is read from.

    Raises:
        SourceError: from the source.
    """
    return {**source.identity(), "native kernels": kernel_answer()}


def score_packed(
    source: UsageSource, inventory: Inventory, window: Window, settings: ScoreSettings, shard: Shard
) -> PackedShard:
    """Score a shard as `score_shard` does, and pack the result."""
    scored = score_shard(source, inventory, window, settings, shard)
    return PackedShard(pack([one.use for one in scored]), {one.use.profile.workload: one.keep for one in scored})


def score_shard(
    source: UsageSource, inventory: Inventory, window: Window, settings: ScoreSettings, shard: Shard
) -> list[Scored]:
    """Score a shard; stored hours are not read again.

    Args:
        source: where usage is read from.
        inventory: the fleet.
        window: the look-back. Hours are stored and restored only if it starts at midnight.
        settings: of scoring; the stored hours were counted with the same settings.
        shard: the workloads and nodes to score.

    Raises:
        SourceError: from the source.
    """
    workloads = {workload.ref: workload for workload in shard.workloads}
    nodes = {node_ref(node): node for node in shard.nodes}
    pods = {ref: running_pods(workload, inventory) for ref, workload in workloads.items()}
    kept = shard.kept or {}
    starts = {
        ref: merged(kept.get(ref, ()), one.pods)
        for ref, one in workloads.items()
        if one.workload_class is WorkloadClass.ENDPOINT  # the cost of a cold start is that of an endpoint
    }
    scored = {
        **_score(lambda refs, fresh: source.read([workloads[ref] for ref in refs], inventory, fresh),
                 pods, shard, window, settings),
        **_score(lambda refs, fresh: source.read_nodes([nodes[ref] for ref in refs], inventory, fresh),
                 dict.fromkeys(nodes, ()), shard, window, settings),
    }  # fmt: skip
    return [_with_starts(scored[ref], starts.get(ref, {}), shard) for ref in (*workloads, *nodes)]


def _with_starts(scored: Scored, starts: Mapping[str, Start], shard: Shard) -> Scored:
    if not starts:
        return scored
    profile, now = replace(scored.use.profile, starts=tuple(starts.values())), encoded(starts)
    use = ScoredUse(profile, scored.use.billed)
    if shard.kept is None or now in shard.kept.get(profile.workload, ()):
        return Scored(use, scored.keep)
    return Scored(use, {**scored.keep, STARTS: now})


_Read = Callable[[Sequence[WorkloadRef], Window], Iterator[UsageSeries]]


def _score(
    read: _Read,
    pods: Mapping[WorkloadRef, Sequence[RunningPod]],
    shard: Shard,
    window: Window,
    settings: ScoreSettings,
) -> dict[WorkloadRef, Scored]:
    """Workloads whose stored hours end at the same hour are read together."""
    metrics = {one.ref: work_metric(one) for one in shard.workloads}
    saved: dict[WorkloadRef, Kept | None] = {}
    by_start: dict[int, list[WorkloadRef]] = defaultdict(list)
    for ref in pods:
        stored = shard.kept.get(ref, ()) if shard.kept else ()
        saved[ref] = Kept.restored(stored, window, metrics.get(ref), settings)
        known = saved[ref]
        by_start[window.start_s if known is None else known.end_hour * HOUR_S].append(ref)
    scored: dict[WorkloadRef, Scored] = {}
    for start_s, together in by_start.items():
        fresh = Window(start_s, window.end_s, window.step_s)

        def score(series: UsageSeries) -> Scored:
            if shard.kept is None or window.start_s % DAY_S:
                return Scored(score_hours(hours_of(series, settings), window, settings, pods[series.workload]), {})
            return _scored(saved.pop(series.workload), series, window, settings, pods[series.workload])

        # With map, a series is released before the next one is read: its memory, still in the cache, is reused.
        scored.update(zip(together, map(score, read(together, fresh)), strict=True))
    return scored


def _scored(
    saved: Kept | None,
    series: UsageSeries,
    window: Window,
    settings: ScoreSettings,
    pods: Sequence[RunningPod],
) -> Scored:
    fresh = series.window
    settled_s = max(fresh.start_s, (window.end_s - settings.settle_s) // HOUR_S * HOUR_S)
    closed = None if saved is None else saved.closed
    if saved is not None and closed is not None and settled_s // HOUR_S < closed.end_hour + DAY_H:
        return _later_today(saved, closed, series, settled_s, window, settings, pods)
    new = hours_of(_between(series, fresh.start_s, settled_s), settings) if settled_s > fresh.start_s else None
    rest = hours_of(_between(series, settled_s, fresh.end_s), settings)
    known = None if saved is None else saved.all_hours()
    keep: dict[str, bytes] = {}
    if new is not None:
        known = new if known is None else join(known, new)
        keep = dict(checkpoints_of(known, new_from=fresh.start_s // HOUR_S, first=saved is None))
    past = keep.get(PAST, None if saved is None else saved.past)
    if known is None:
        closed, today = divided(rest, settings.half_life_s)
    else:
        first_hour = window.start_s // HOUR_S
        closed, today = divided_parts(known, rest, first_hour=first_hour, half_life_s=settings.half_life_s)
    use = score_days(closed, today, window, settings, pods)
    stored_to = None if known is None or past is None else known.end_hour // DAY_H * DAY_H
    if closed is not None and past is not None and closed.end_hour == stored_to:
        keep[CLOSED] = encode_closed(closed.with_look_back(use.profile.idle.since_s), past)
    return Scored(use, keep)


def _later_today(
    saved: Kept,
    closed: ClosedDays,
    series: UsageSeries,
    settled_s: int,
    window: Window,
    settings: ScoreSettings,
    pods: Sequence[RunningPod],
) -> Scored:
    """The closed days are those of an earlier pass; only hours of today are added."""
    keep: dict[str, bytes] = {}
    if settled_s > series.window.start_s:
        settled, today = extended(saved.hours, series, settings, before_hour=settled_s // HOUR_S)
        keep[TODAY] = encode_today(settled)
    else:
        today = join(saved.hours, hours_of(series, settings))
    use = score_days(closed, today, window, settings, pods)
    if (again := closed.with_look_back(use.profile.idle.since_s)) is not closed and saved.past is not None:
        keep[CLOSED] = encode_closed(again, saved.past)
    return Scored(use, keep)


def _between(series: UsageSeries, start_s: int, end_s: int) -> UsageSeries:
    """The part of a series between two times."""
    window = series.window
    steps = slice((start_s - window.start_s) // window.step_s, (end_s - window.start_s) // window.step_s)
    requests, scraped, scrapes = series.requests_per_second, window.scraped, series.scraped_requests
    work = series.work_per_second
    if scraped is not None and scrapes is not None:
        scrapes = scrapes[(start_s - window.start_s) // scraped.step_s : (end_s - window.start_s) // scraped.step_s]
    return UsageSeries(
        workload=series.workload,
        window=Window(start_s, end_s, window.step_s),
        devices=tuple(
            replace(
                device,
                samples={signal: column[steps] for signal, column in device.samples.items()},
                heartbeats=tuple(beat[steps] for beat in device.heartbeats),
                dropped_samples=device.dropped_samples if start_s == window.start_s else 0,
            )
            for device in series.devices
        ),
        requests_per_second=None if requests is None else requests[steps],
        scraped_requests=scrapes,
        work_per_second=None if work is None else work[steps],
        work_metric=series.work_metric,
    )
