"""An endpoint's requests, and the gaps between them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Requests:
    """The requests of one endpoint.

    Attributes:
        starts_s: when each request arrived, ascending, shape (n,).
        ends_s: when each request was answered, in the same order; requests may overlap.
    """

    starts_s: Floats
    ends_s: Floats


@dataclass(frozen=True, slots=True)
class Gaps:
    """The spans in which an endpoint serves no request; the last one is still open.

    Attributes:
        since_s: when each gap began, ascending, shape (n,).
        gap_s: how long each gap lasted; infinite for the last.
        request: index of the last request before each gap.
    """

    since_s: Floats
    gap_s: Floats
    request: NDArray[np.int64]


def idle_gaps(requests: Requests) -> Gaps:
    """Find the gaps: the endpoint had answered all requests, and the next had not arrived.

    Args:
        requests: the endpoint's requests, at least one.
    """
    served_s = np.maximum.accumulate(requests.ends_s)
    gap_s = np.append(requests.starts_s[1:], np.inf) - served_s
    request = np.flatnonzero(gap_s > 0)
    return Gaps(served_s[request], gap_s[request], request)
