"""Requests for a pass of the loop now: many become one, and there is a least time between two passes."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from gpuwise.model.command import Alert

MOST_ALERTS = 100
"""Alerts recorded with one pass; the number of the others is recorded, too."""
RESULTS = ("requested", "joined", "resolved", "rejected")
"""A notification starts a request, joins one that waits, has no firing alert, or is not valid."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Alerts that ask for one pass.

    Attributes:
        alerts: the alerts, each one once; at most `MOST_ALERTS`.
        unlisted: number of further alerts; one that is sent again counts again.
    """

    alerts: tuple[Alert, ...]
    unlisted: int = 0


class PassRequests(Collector):
    """Collects requests from HTTP threads for the loop's thread.

    Args:
        least_s: least seconds from the start of a pass to the start of a pass that an alert asks for.
        monotonic: monotonic clock, seconds.
    """

    def __init__(self, least_s: float, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._least_s, self._monotonic = least_s, monotonic
        self._changed = threading.Condition()
        self._alerts: dict[str, Alert] = {}
        self._unlisted = 0
        self._at_once = False
        self._began_s: float | None = None
        registry = CollectorRegistry()
        self._counter = Counter(
            "gpuwise_alert_notifications",
            "Notifications of Alertmanager, by what they caused.",
            ["result"],
            registry=registry,
        )
        for result in RESULTS:
            self._counter.labels(result)
        self._registry = registry

    def ask(self, alerts: Sequence[Alert]) -> float:
        """Ask for a pass because of these alerts.

        Args:
            alerts: firing alerts, at least one.

        Returns:
            Seconds until the pass may start; it starts later only if a pass is still running then.
        """
        with self._changed:
            self.count("joined" if self._alerts else "requested")
            for alert in alerts:
                if alert.fingerprint in self._alerts or len(self._alerts) < MOST_ALERTS:
                    self._alerts[alert.fingerprint] = alert
                else:
                    self._unlisted += 1
            self._changed.notify_all()
            return self._due_in_s()

    def count(self, result: str) -> None:
        """Count a notification; `result` is one of `RESULTS`."""
        self._counter.labels(result).inc()

    def take(self) -> Asked | None:
        """Start a pass: return what asked for it, None if only the schedule did."""
        with self._changed:
            self._began_s = self._monotonic()
            asked = Asked(tuple(self._alerts.values()), self._unlisted) if self._alerts else None
            self._alerts, self._unlisted = {}, 0
            self._at_once = False
        return asked

    def wait(self, pause_s: float, stop: threading.Event) -> bool:
        """Wait until the pause has passed, a pass is asked for, or the loop is stopped; whether one is asked for.

        Args:
            pause_s: seconds to wait.
            stop: stops the loop; after setting it, `wake` must be called.
        """
        end_s = self._monotonic() + pause_s
        with self._changed:
            while not stop.is_set():
                if self._at_once:
                    return True
                left_s = end_s - self._monotonic()
                if self._alerts:
                    left_s = min(left_s, self._due_in_s())
                if left_s <= 0:
                    return bool(self._alerts) and self._due_in_s() <= 0
                self._changed.wait(left_s)
        return False

    def take_over(self) -> None:
        """Ask for a pass at once: this process has become the leader, and effects of the one before may be open."""
        with self._changed:
            self._at_once = True
            self._changed.notify_all()

    def wake(self) -> None:
        """Let `wait` look at its stop event."""
        with self._changed:
            self._changed.notify_all()

    def _due_in_s(self) -> float:
        if self._began_s is None:
            return 0.0
        return max(0.0, self._began_s + self._least_s - self._monotonic())

    def describe(self) -> Iterator[Metric]:
        """Return the metric families."""
        return self._registry.collect()  # type: ignore[return-value]

    def collect(self) -> Iterator[Metric]:
        """Return the metric families."""
        return self._registry.collect()  # type: ignore[return-value]
