from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fleet import inventory, node, pod, workload
from tests.series import STEP_S, WORKLOAD, device
from tests.usages import HOURS, PER_HOUR, SCRAPES, START_S, part, same, usages

from gpuwise.model.hours import HOUR_S
from gpuwise.model.inventory import Start, node_ref
from gpuwise.model.labels import WORK_METRIC
from gpuwise.model.usage import DAY_S, UsageSeries, Window
from gpuwise.score.checkpoint import decode
from gpuwise.score.closed_checkpoint import decode_closed, encode_closed
from gpuwise.score.kept import CLOSED, PAST, STARTS, TODAY
from gpuwise.score.settings import ScoreSettings
from gpuwise.score.shard import Shard, score_shard

SETTINGS = ScoreSettings()
FLEET = inventory(workload())
# The usages start at 04:00; a look-back starts at midnight.
MIDNIGHT_S = START_S - START_S % DAY_S


@dataclass
class Source:
    """Returns parts of one series, and records which were read."""

    whole: UsageSeries
    asked: list[Window] = field(default_factory=list)

    def read(self, workloads, inventory, window):
        self.asked.append(window)
        for one in workloads:
            yield replace(self._cut(window), workload=one.ref)

    def read_nodes(self, nodes, inventory, window):
        for one in nodes:
            yield replace(self._cut(window), workload=node_ref(one))

    def _cut(self, window):
        steps = slice(*((at - self.whole.window.start_s) // STEP_S for at in (window.start_s, window.end_s)))
        return part(self.whole, steps.start, steps.stop)


def whole_days(series: UsageSeries) -> UsageSeries:
    """The series, extended to the preceding midnight."""
    early = (START_S - MIDNIGHT_S) // STEP_S
    devices = tuple(
        replace(one, samples={s: np.concatenate([np.full(early, np.nan), c]) for s, c in one.samples.items()})
        for one in series.devices
    )
    requests = series.requests_per_second
    if requests is not None:
        requests = np.concatenate([np.full(early, np.nan), requests])
    scrapes = series.scraped_requests
    if scrapes is not None:
        scrapes = np.concatenate([np.full(early * SCRAPES, np.nan), scrapes])
    work = series.work_per_second
    if work is not None:
        work = np.concatenate([np.full(early, np.nan), work])
    window = Window(MIDNIGHT_S, series.window.end_s, STEP_S)
    return UsageSeries(series.workload, window, devices, requests, scrapes, work, series.work_metric)


def run(source, end_s, kept, start_s=MIDNIGHT_S):
    """One pass at a time: returns what it scored and updates `kept`."""
    window = Window(start_s, end_s, STEP_S)
    metric = source.whole.work_metric
    subject = replace(workload(), annotations={} if metric is None else {WORK_METRIC: metric})
    shard = Shard((subject,), kept={WORKLOAD: [blob for _, blob in sorted(kept.items())]})
    [scored] = score_shard(source, FLEET, window, SETTINGS, shard)
    kept.update(scored.keep)
    return scored.use


@given(usages(), st.lists(st.integers(1, (HOURS + 4) * PER_HOUR), min_size=1, max_size=5, unique=True))
def test_incremental_runs_equal_a_run_over_everything(series, ends):
    source, kept = Source(whole_days(series)), {}
    for end in sorted(ends):
        end_s = MIDNIGHT_S + end * STEP_S
        assert same(run(source, end_s, kept), run(source, end_s, {}))


@given(usages(), st.integers(1, 40), st.integers(1, 40))
def test_days_outside_the_look_back_do_not_count(series, first, more):
    """The look-back moves on by a day between two runs."""
    source, kept = Source(whole_days(series)), {}
    run(source, MIDNIGHT_S + first * HOUR_S, kept)
    end_s, start_s = MIDNIGHT_S + DAY_S + min(first + more, HOURS + 4 - 24) * HOUR_S, MIDNIGHT_S + DAY_S
    assert same(run(source, end_s, kept, start_s), run(source, end_s, {}, start_s))


def test_starts_are_remembered_after_the_pod_is_gone():
    source, kept = Source(usage_of(60)), {}
    written: set[str] = set()
    first = replace(pod("chat-0"), start=Start(1000, 90))
    second = replace(pod("chat-1"), start=Start(2000, 70))

    def seen(*pods):
        subject = workload(pods=pods)
        shard = Shard((subject,), kept={WORKLOAD: [blob for _, blob in sorted(kept.items())]})
        window = Window(MIDNIGHT_S, MIDNIGHT_S + 50 * HOUR_S, STEP_S)
        [scored] = score_shard(source, inventory(subject), window, SETTINGS, shard)
        kept.update(scored.keep)
        written.update(scored.keep)
        return [start.took_s for start in scored.use.profile.starts]

    assert seen(first) == [90]
    assert seen(second) == [90, 70]
    assert seen(replace(second, start=Start(9000, 3000))) == [90, 70]  # it was not ready for some time: no new start
    assert seen() == [90, 70]
    assert STARTS in kept
    written.clear()
    assert seen() == [90, 70]
    assert written == set()  # nothing new
    kept[STARTS] = kept[STARTS][:-5]
    assert seen() == []  # damaged: as if nothing had been seen


def usage_of(hours):
    steps = hours * PER_HOUR
    return UsageSeries(WORKLOAD, Window(MIDNIGHT_S, MIDNIGHT_S + steps * STEP_S, STEP_S), (device(steps),))


def test_an_hour_later_only_new_hours_are_read():
    source, kept = Source(usage_of(60)), {}
    run(source, MIDNIGHT_S + 50 * HOUR_S, kept)
    run(source, MIDNIGHT_S + 51 * HOUR_S, kept)
    first, second = source.asked
    assert (first.start_s, first.end_s) == (MIDNIGHT_S, MIDNIGHT_S + 50 * HOUR_S)
    # The last 15 minutes of each run are not settled, so the hour that they belong to is read again.
    assert (second.start_s, second.end_s) == (MIDNIGHT_S + 49 * HOUR_S, MIDNIGHT_S + 51 * HOUR_S)
    assert set(kept) == {PAST, CLOSED, TODAY}


@pytest.mark.parametrize(("hour", "written"), [(52, {TODAY}), (71, {TODAY}), (73, {PAST, CLOSED, TODAY})])
def test_whole_days_are_written_once_a_day(hour, written):
    source, kept = Source(usage_of(80)), {}
    run(source, MIDNIGHT_S + 50 * HOUR_S, kept)
    shard = Shard((workload(),), kept={WORKLOAD: [blob for _, blob in sorted(kept.items())]})
    window = Window(MIDNIGHT_S, MIDNIGHT_S + hour * HOUR_S, STEP_S)
    [scored] = score_shard(source, FLEET, window, SETTINGS, shard)
    assert set(scored.keep) == written


def test_a_shorter_look_back_in_between_loses_nothing():
    source, kept = Source(usage_of(80)), {}
    run(source, MIDNIGHT_S + 50 * HOUR_S, kept)
    run(source, MIDNIGHT_S + 73 * HOUR_S, kept, MIDNIGHT_S + 2 * DAY_S)
    run(source, MIDNIGHT_S + 74 * HOUR_S, kept)
    assert [(asked.start_s - MIDNIGHT_S) // HOUR_S for asked in source.asked] == [0, 49, 72]


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda kept: kept.update({PAST: b"not a checkpoint"}), id="damaged"),
        pytest.param(lambda kept: kept.pop(PAST), id="beginning missing"),
        pytest.param(lambda kept: kept.update({TODAY: kept[TODAY][:-9]}), id="truncated"),
    ],
)
def test_an_unreadable_checkpoint_is_read_again_from_the_source(damage):
    source, kept = Source(usage_of(60)), {}
    run(source, MIDNIGHT_S + 55 * HOUR_S, kept)
    damage(kept)
    found = run(source, MIDNIGHT_S + 56 * HOUR_S, kept)
    assert same(found, run(source, MIDNIGHT_S + 56 * HOUR_S, {}))
    assert source.asked[1].start_s == MIDNIGHT_S


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda kept: kept.pop(CLOSED), id="of a version that did not write them"),
        pytest.param(lambda kept: kept.update({CLOSED: kept[CLOSED][:-9]}), id="truncated"),
        pytest.param(lambda kept: kept.update({CLOSED: b"gpuwise-days/99\n"}), id="of another version"),
        pytest.param(lambda kept: kept.update({CLOSED: kept[CLOSED].replace(b"half", b"ha1f")}), id="damaged"),
    ],
)
def test_closed_days_that_cannot_be_used_are_summarised_again(damage):
    source, kept = Source(usage_of(60)), {}
    run(source, MIDNIGHT_S + 55 * HOUR_S, kept)
    whole = kept[CLOSED]
    damage(kept)
    found = run(source, MIDNIGHT_S + 56 * HOUR_S, kept)
    assert same(found, run(source, MIDNIGHT_S + 56 * HOUR_S, {}))
    assert source.asked[1].start_s == MIDNIGHT_S + 54 * HOUR_S  # nothing is read again
    assert kept[CLOSED] == whole


def test_a_checkpoint_that_is_damaged_in_the_middle_is_read_again_although_the_closed_days_are_whole():
    source, kept = Source(usage_of(60)), {}
    run(source, MIDNIGHT_S + 55 * HOUR_S, kept)
    middle = len(kept[PAST]) // 2
    kept[PAST] = kept[PAST][:middle] + bytes([kept[PAST][middle] ^ 1]) + kept[PAST][middle + 1 :]
    run(source, MIDNIGHT_S + 56 * HOUR_S, kept)
    assert source.asked[1].start_s == MIDNIGHT_S


def test_with_another_half_life_the_closed_days_are_weighted_again():
    source, kept = Source(usage_of(60)), {}
    run(source, MIDNIGHT_S + 55 * HOUR_S, kept)
    other = replace(SETTINGS, half_life_s=DAY_S)
    window = Window(MIDNIGHT_S, MIDNIGHT_S + 56 * HOUR_S, STEP_S)
    blobs = [blob for _, blob in sorted(kept.items())]
    [later], [whole] = (
        score_shard(source, FLEET, window, other, Shard((workload(),), kept={WORKLOAD: stored}))
        for stored in (blobs, [])
    )
    assert same(later.use, whole.use)
    assert source.asked[1].start_s > MIDNIGHT_S


def test_a_look_back_that_was_not_stored_is_taken_from_the_rows_and_stored():
    """The workload is idle since the day before; the stored days were not asked for that."""
    steps = 60 * PER_HOUR
    series = UsageSeries(
        WORKLOAD, Window(MIDNIGHT_S, MIDNIGHT_S + steps * STEP_S, STEP_S), (device(steps, busy=range(40)),)
    )
    source, kept = Source(series), {}
    run(source, MIDNIGHT_S + 55 * HOUR_S, kept)
    stored = kept[CLOSED]
    blobs = {"first_hour": MIDNIGHT_S // HOUR_S, "end_hour": MIDNIGHT_S // HOUR_S + 48}
    closed = decode_closed(stored, kept[PAST], half_life_s=SETTINGS.half_life_s, **blobs)
    assert closed.since is not None
    kept[CLOSED] = encode_closed(replace(closed, since=None), kept[PAST])
    found = run(source, MIDNIGHT_S + 56 * HOUR_S, kept)
    assert same(found, run(source, MIDNIGHT_S + 56 * HOUR_S, {}))
    assert kept[CLOSED] == stored


def test_after_the_clock_was_set_back_nothing_is_restored():
    source, kept = Source(usage_of(60)), {}
    run(source, MIDNIGHT_S + 55 * HOUR_S, kept)
    found = run(source, MIDNIGHT_S + 30 * HOUR_S, kept)
    assert found.profile.window.end_s == MIDNIGHT_S + 30 * HOUR_S
    assert same(found, run(source, MIDNIGHT_S + 30 * HOUR_S, {}))


def test_a_longer_look_back_is_read_from_its_start():
    source, kept = Source(usage_of(60)), {}
    run(source, MIDNIGHT_S + 55 * HOUR_S, kept, MIDNIGHT_S + DAY_S)
    run(source, MIDNIGHT_S + 56 * HOUR_S, kept)
    assert source.asked[1].start_s == MIDNIGHT_S


def test_a_look_back_that_starts_within_a_day_stores_nothing():
    kept = {}
    run(Source(usage_of(60)), MIDNIGHT_S + 30 * HOUR_S, kept, MIDNIGHT_S + HOUR_S)
    assert kept == {}


def test_nodes_are_scored_with_workloads():
    window = Window(MIDNIGHT_S, MIDNIGHT_S + 30 * HOUR_S, STEP_S)
    scored = score_shard(Source(usage_of(30)), FLEET, window, SETTINGS, Shard((workload(),), (node(),), {}))
    assert [one.use.profile.workload for one in scored] == [WORKLOAD, node_ref(node())]
    for one in scored:
        assert {decode(one.keep[name]).workload for name in (PAST, TODAY)} == {one.use.profile.workload}


def test_with_another_counter_declared_the_hours_are_read_again():
    """Its units are others: a pace must not be compared with one of the earlier counter."""
    steps = 12 * PER_HOUR
    window = Window(MIDNIGHT_S, MIDNIGHT_S + steps * STEP_S, STEP_S)
    rate = np.ones(steps)
    first = UsageSeries(
        WORKLOAD, window, (device(steps, busy=range(steps)),), work_per_second=rate, work_metric="steps"
    )
    kept: dict[str, bytes] = {}
    run(Source(first), MIDNIGHT_S + 6 * HOUR_S, kept)
    source = Source(replace(first, work_per_second=1000 * rate, work_metric="tokens"))
    assert run(source, MIDNIGHT_S + 12 * HOUR_S, kept).profile.work == 1000.0 * 12 * HOUR_S
    assert source.asked[-1].start_s == MIDNIGHT_S
    again = Source(source.whole)
    run(again, MIDNIGHT_S + 12 * HOUR_S, kept)
    assert again.asked[-1].start_s > MIDNIGHT_S
