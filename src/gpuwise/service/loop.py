"""Health and metrics of the service's loop: whether it makes progress, how long each step takes, how often it fails."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

PASS = "pass"  # noqa: S105 - a step's name
STEPS = ("observe", "score", "recommend", "decide", "enact", "record", "report", PASS)
"""The steps of one pass, and the pass as a whole."""

# From the duration of one request to that of scoring a large fleet for an hour.
_BUCKETS_S = (0.1, 0.5, 1, 5, 15, 60, 300, 900, 1800, 3600)


class LoopWatch(Collector):
    """Measures the steps of the loop and checks that it makes progress.

    Args:
        stall_s: seconds without progress after which the loop counts as stalled.
        monotonic: monotonic clock, seconds.
        wall: epoch seconds.
    """

    def __init__(
        self,
        stall_s: float,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._stall_s, self._monotonic, self._wall = stall_s, monotonic, wall
        self._lock = threading.Lock()
        self._due_s = monotonic() + stall_s
        self._step = "start"
        self._ended: str | None = None
        registry = CollectorRegistry()
        self._duration = Histogram(
            "gpuwise_step_duration_seconds",
            "Duration of each step of the loop; the step `pass` is one whole pass.",
            ["step"],
            buckets=_BUCKETS_S,
            registry=registry,
        )
        self._errors = Counter(
            "gpuwise_step_errors", "Errors that ended a step of the loop.", ["step"], registry=registry
        )
        self._success = Gauge(
            "gpuwise_step_last_success_timestamp_seconds",
            "When each step of the loop last succeeded, epoch; absent until it has.",
            ["step"],
            registry=registry,
        )
        self._registry = registry
        for step in STEPS:
            self._errors.labels(step)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Measure a step, and count it as an error if it raises."""
        self.beat(name)
        began = self._monotonic()
        try:
            yield
        except Exception:
            self._errors.labels(name).inc()
            raise
        self._duration.labels(name).observe(self._monotonic() - began)
        self._success.labels(name).set(self._wall())

    def progress(self, step: str, _done: int, _total: int) -> None:
        """Record the loop's progress."""
        self.beat(step)

    def beat(self, step: str, *, within_s: float = 0.0) -> None:
        """Record that the loop is running.

        Args:
            step: what the loop is about to do.
            within_s: how long it will wait on purpose before the next beat, seconds.
        """
        with self._lock:
            self._step, self._due_s = step, self._monotonic() + within_s + self._stall_s

    def end(self, why: str) -> None:
        """Record that the loop has ended."""
        with self._lock:
            self._ended = why

    @property
    def trouble(self) -> str | None:
        """Why the process should be restarted; None while the loop is healthy."""
        with self._lock:
            if self._ended is not None:
                return f"the loop has ended: {self._ended}"
            late_s = self._monotonic() - self._due_s
            if late_s > 0:
                return f"the loop has made no progress for {late_s + self._stall_s:.0f} s, in step {self._step}"
        return None

    def describe(self) -> Iterator[Metric]:
        """Return the metric families without samples."""
        return self._registry.collect()  # type: ignore[return-value]

    def collect(self) -> Iterator[Metric]:
        """Return the metric families."""
        return self._registry.collect()  # type: ignore[return-value]
