"""An endpoint's requests, and the gaps between them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Requests:
    """The requests of one endpoint.

    Attributes:
        starts_s: when each arrived, ascending, shape (n,).
        ends_s: when each was answered, same order; they may overlap.
    """

    starts_s: Floats
    ends_s: Floats


@dataclass(frozen=True, slots=True)
class Gaps:
    """Stretches in which an endpoint serves nothing; the last one is still open.

    Attributes:
        since_s: when each began, ascending, shape (n,).
        gap_s: how long it lasted; infinite for the last.
        request: index of the last request before it.
    """

    since_s: Floats
    gap_s: Floats
    request: NDArray[np.int64]


def idle_gaps(requests: Requests) -> Gaps:
    """Find where an endpoint had answered everything and nothing came.

    Args:
        requests: of the endpoint, at least one.
    """
    served_s = np.maximum.accumulate(requests.ends_s)
    gap_s = np.append(requests.starts_s[1:], np.inf) - served_s
    request = np.flatnonzero(gap_s > 0)
    return Gaps(served_s[request], gap_s[request], request)
