"""What earlier passes stored about a workload, and what a pass stores.

| name | content | written |
|---|---|---|
| past | the hours of whole UTC days | once a day |
| closed | the same days of the current window, as scoring needs them (`gpuwise.score.closed`) | once a day |
| today | the hours since the last midnight | every hour |
| starts | cold starts (`gpuwise.score.starts`) | after a start |

While the window begins on the same day, a pass needs "closed" and "today" alone. Otherwise, or if "closed" does not
belong to "past", it decodes "past" and summarises it again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gpuwise.model.hours import DAY_H, HOUR_S, UsageHours
from gpuwise.model.usage import DAY_S, Window
from gpuwise.score.checkpoint import UnreadableCheckpointError, decode, encode
from gpuwise.score.closed import ClosedDays, last_midnight
from gpuwise.score.closed_checkpoint import decode_closed, is_closed_days
from gpuwise.score.hours import join, select_days
from gpuwise.score.settings import ScoreSettings
from gpuwise.score.starts import is_starts

PAST, CLOSED, TODAY, STARTS = "past", "closed", "today", "starts"

# Longer than any look-back in use: AWS Compute Optimizer's longest is 93 days.
_KEPT_DAYS = 100


@dataclass(frozen=True, slots=True)
class Kept:
    """The stored hours of a workload, from the start of a window or earlier.

    Attributes:
        past: the checkpoint of the whole days; None if the hours begin today.
        hours: all stored hours, or those of today if the others are in `closed`.
        closed: the days of the window before today; None if they have to be summarised again.
    """

    past: bytes | None
    hours: UsageHours
    closed: ClosedDays | None = None

    @property
    def end_hour(self) -> int:
        """First hour that is not stored."""
        return self.hours.end_hour

    def all_hours(self) -> UsageHours:
        """All stored hours."""
        if self.closed is None or self.past is None:
            return self.hours
        return join(decode(self.past), self.hours)

    @classmethod
    def restored(
        cls, checkpoints: Sequence[bytes], window: Window, metric: str | None, settings: ScoreSettings
    ) -> "Kept | None":
        """The stored hours; None if they do not cover the window from its start, or cannot be used.

        Args:
            checkpoints: of the workload, ordered by name.
            window: the look-back.
            metric: the counter of declared work; with another one, the stored work has other units.
            settings: the half-life of the weights in `closed`.
        """
        parts = [one for one in checkpoints if not is_starts(one) and not is_closed_days(one)]
        if not parts or window.start_s % DAY_S:
            return None
        past = parts[0] if len(parts) > 1 else None
        try:
            hours = decode(parts[-1])
            closed = None if past is None else _closed(past, hours, checkpoints, window, settings)
            if closed is None and past is not None:
                hours = join(decode(past), hours)
        except (UnreadableCheckpointError, ValueError):  # an unreadable cache is read again from the source
            return None
        first = hours if closed is None else closed.others
        if any(one.work_metric != metric or one.step_s != window.step_s for one in (first, hours)):
            return None
        covered = first.first_hour * HOUR_S <= window.start_s < hours.end_hour * HOUR_S < window.end_s
        return cls(past, hours, closed) if covered else None


def _closed(
    past: bytes, today: UsageHours, checkpoints: Sequence[bytes], window: Window, settings: ScoreSettings
) -> ClosedDays | None:
    """The stored days of this very window, if there are such."""
    if last_midnight(-(-window.end_s // HOUR_S)) != today.first_hour:
        return None
    for one in checkpoints:
        if is_closed_days(one):
            try:
                return decode_closed(
                    one,
                    past,
                    first_hour=window.start_s // HOUR_S,
                    end_hour=today.first_hour,
                    half_life_s=settings.half_life_s,
                )
            except UnreadableCheckpointError:  # summarised again
                return None
    return None


def checkpoints_of(known: UsageHours, *, new_from: int, first: bool) -> Iterator[tuple[str, bytes]]:
    """The checkpoints of hours to write after some of them are new.

    Args:
        known: all hours to store.
        new_from: the first hour that is not stored yet.
        first: nothing is stored yet.
    """
    midnight = known.end_hour // DAY_H * DAY_H
    if first or new_from < midnight:
        past = select_days(known, max(known.first_hour // DAY_H * DAY_H, midnight - _KEPT_DAYS * DAY_H), midnight)
        if past is not None:
            yield PAST, encode(past)
    empty = known._replace(first_hour=midnight, devices={}, requests=None, counts={}, scrapes=None, work=None, paces={})
    yield TODAY, encode_today(select_days(known, midnight, midnight + DAY_H) or empty)


def encode_today(hours: UsageHours) -> bytes:
    """Encode the hours since the last midnight, which the next pass replaces.

    Not compressed: for the 4 kB it saves, each pass would compress for 130 µs, a twentieth of its time.

    Args:
        hours: of today.
    """
    return encode(hours, compress=False)
