"""The work of one worker: restore stored hours, read new usage, score both, and return the checkpoints to store."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from gpuwise.model.declared import work_metric
from gpuwise.model.hours import DAY_H, HOUR_S, UsageHours
from gpuwise.model.inventory import Inventory, Node, Start, Workload, WorkloadClass, WorkloadRef, node_ref
from gpuwise.model.packed import Packed, pack
from gpuwise.model.ports import UsageSource
from gpuwise.model.profile import UsageProfile
from gpuwise.model.usage import DAY_S, UsageSeries, Window
from gpuwise.score.checkpoint import UnreadableCheckpointError, decode, encode
from gpuwise.score.expected import RunningPod, running_pods
from gpuwise.score.hours import hours_of, join, select_days
from gpuwise.score.profile import score_hours
from gpuwise.score.settings import ScoreSettings
from gpuwise.score.starts import encoded, is_starts, merged

PAST, TODAY, STARTS = "past", "today", "starts"

# Longer than any look-back in use: AWS Compute Optimizer's longest is 93 days.
_KEPT_DAYS = 100


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
        profile: its profile.
        keep: checkpoints to store in place of those of the same name: PAST, the whole days, is written once a day;
            TODAY every hour; STARTS after a start.
    """

    profile: UsageProfile
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


def score_packed(
    source: UsageSource, inventory: Inventory, window: Window, settings: ScoreSettings, shard: Shard
) -> PackedShard:
    """Score a shard as `score_shard` does, and pack the result."""
    scored = score_shard(source, inventory, window, settings, shard)
    return PackedShard(pack([one.profile for one in scored]), {one.profile.workload: one.keep for one in scored})


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
    profile, now = replace(scored.profile, starts=tuple(starts.values())), encoded(starts)
    if shard.kept is None or now in shard.kept.get(profile.workload, ()):
        return replace(scored, profile=profile)
    return Scored(profile, {**scored.keep, STARTS: now})


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
    saved: dict[WorkloadRef, UsageHours | None] = {}
    by_start: dict[int, list[WorkloadRef]] = defaultdict(list)
    for ref in pods:
        saved[ref] = _restored(shard.kept.get(ref, ()), window, metrics.get(ref)) if shard.kept else None
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


def _restored(checkpoints: Sequence[bytes], window: Window, metric: str | None) -> UsageHours | None:
    """The stored hours, if they cover the window from its start, and their work was counted with this counter."""
    whole: UsageHours | None = None
    for checkpoint in checkpoints:
        if is_starts(checkpoint):
            continue
        try:
            part = decode(checkpoint)
            if part.work_metric != metric:  # its units are others
                return None
            whole = part if whole is None else join(whole, part)
        except (UnreadableCheckpointError, ValueError):  # an unreadable cache is read again from the source
            return None
    if whole is None or whole.step_s != window.step_s or window.start_s % DAY_S:
        return None
    return whole if whole.first_hour * HOUR_S <= window.start_s < whole.end_hour * HOUR_S < window.end_s else None


def _scored(
    saved: UsageHours | None,
    series: UsageSeries,
    window: Window,
    settings: ScoreSettings,
    pods: Sequence[RunningPod],
) -> Scored:
    fresh = series.window
    settled_s = max(fresh.start_s, (window.end_s - settings.settle_s) // HOUR_S * HOUR_S)
    known: UsageHours | None = saved
    keep: dict[str, bytes] = {}
    if settled_s > fresh.start_s:
        known = _joined(saved, hours_of(_between(series, fresh.start_s, settled_s), settings))
        keep = dict(_kept(known, new_from=fresh.start_s // HOUR_S, first=saved is None))
    within = None if known is None else select_days(known, window.start_s // HOUR_S, -(-window.end_s // DAY_S) * DAY_H)
    rest = hours_of(_between(series, settled_s, fresh.end_s), settings)
    return Scored(score_hours(_joined(within, rest), window, settings, pods), keep)


def _kept(known: UsageHours, *, new_from: int, first: bool) -> Iterator[tuple[str, bytes]]:
    """The checkpoints to write after some hours are new."""
    midnight = known.end_hour // DAY_H * DAY_H
    if first or new_from < midnight:
        past = select_days(known, max(known.first_hour // DAY_H * DAY_H, midnight - _KEPT_DAYS * DAY_H), midnight)
        if past is not None:
            yield PAST, encode(past)
    empty = replace(known, first_hour=midnight, devices={}, requests=None, counts={}, scrapes=None, work=None, paces={})
    yield TODAY, encode(select_days(known, midnight, midnight + DAY_H) or empty)


def _joined(saved: UsageHours | None, fresh: UsageHours) -> UsageHours:
    return fresh if saved is None else join(saved, fresh)


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
