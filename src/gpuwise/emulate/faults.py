"""Injected failures: responses that a test requests instead of the real ones."""

import re
import threading
from dataclasses import dataclass

from gpuwise.emulate.status import ApiFailure


@dataclass(slots=True)
class Fault:
    """A response that replaces the real one.

    Attributes:
        code: HTTP status.
        verb: RBAC verb of the requests, None for all.
        path: regular expression to search for in the path.
        times: how many failures are left.
        after: matching requests that succeed before the first failure.
        done: the request takes effect, and only its response is lost.
        headers: of the response, such as Retry-After.
    """

    code: int
    verb: str | None
    path: str
    times: int
    after: int
    done: bool
    headers: dict[str, str]


class Faults:
    """The pending failures."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    def inject(self, fault: Fault) -> None:
        """Add a failure; the first one that matches a request is used."""
        with self._lock:
            self._faults.append(fault)

    def forget(self) -> None:
        """Remove all failures."""
        with self._lock:
            self._faults.clear()

    def take(self, verb: str, path: str, *, done: bool) -> None:
        """Fail if there is a failure for this request.

        Args:
            verb: RBAC verb.
            path: without the query.
            done: whether the request has taken effect already.

        Raises:
            ApiFailure: the injected failure.
        """
        with self._lock:
            fault = next((one for one in self._faults if one.done == done and _matches(one, verb, path)), None)
            if fault is None:
                return
            if fault.after:
                fault.after -= 1
                return
            fault.times -= 1
            if not fault.times:
                self._faults.remove(fault)
        raise ApiFailure(fault.code, "injected by a test", headers=fault.headers)


def _matches(fault: Fault, verb: str, path: str) -> bool:
    return fault.verb in (None, verb) and re.search(fault.path, path) is not None
