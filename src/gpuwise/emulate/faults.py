"""Failures on order: what a test makes the API answer instead of the truth."""

import re
import threading
from dataclasses import dataclass

from gpuwise.emulate.status import ApiFailure


@dataclass(slots=True)
class Fault:
    """An answer that is given instead of the real one.

    Attributes:
        code: HTTP status.
        verb: which requests, None for all.
        path: regular expression that the path must match somewhere.
        times: how many are left.
        after: requests that match and still get through first.
        done: the request takes effect, and only its answer is lost.
        headers: of the answer, such as Retry-After.
    """

    code: int
    verb: str | None
    path: str
    times: int
    after: int
    done: bool
    headers: dict[str, str]


class Faults:
    """The failures that are still to come."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._orders: list[Fault] = []

    def order(self, fault: Fault) -> None:
        """Add one; the first that matches is taken."""
        with self._lock:
            self._orders.append(fault)

    def forget(self) -> None:
        """Take all of them back."""
        with self._lock:
            self._orders.clear()

    def take(self, verb: str, path: str, *, done: bool) -> None:
        """Fail if this request's turn has come.

        Args:
            verb: as in the log.
            path: without the query.
            done: asked after the effect rather than before it.

        Raises:
            ApiFailure: the order.
        """
        with self._lock:
            fault = next((one for one in self._orders if one.done == done and _matches(one, verb, path)), None)
            if fault is None:
                return
            if fault.after:
                fault.after -= 1
                return
            fault.times -= 1
            if not fault.times:
                self._orders.remove(fault)
        raise ApiFailure(fault.code, "a failure was ordered", headers=fault.headers)


def _matches(fault: Fault, verb: str, path: str) -> bool:
    return fault.verb in (None, verb) and re.search(fault.path, path) is not None
