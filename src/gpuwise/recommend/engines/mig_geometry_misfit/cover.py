"""The fewest GPUs that offer some numbers of slices, for few slices: a search without a solver.

The demand of one node is a few dozen slices. HiGHS takes 20 to 60 ms for it, the search about 1 ms.
"""

from functools import lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from gpuwise.recommend.engines.mig_geometry_misfit.geometry import Ints

_MOST_STATES = 300
"""Demands that the search may look at: about 20 ms. Above, the integer program is as fast."""
_SIZES, _DRAWN = 5, 200

Slices = tuple[int, ...]


def cover(offers: Ints, wanted: Slices) -> Slices | None:
    """Find the fewest GPUs that offer slices.

    Args:
        offers: slices that a GPU of each geometry has, shape (geometries, profiles).
        wanted: number of slices of each profile.

    Returns:
        Number of GPUs by geometry, proved to be the fewest; None if the search reaches its limit, or if no geometry
        offers a profile.
    """
    if any(count and not most for count, most in zip(wanted, offers.max(axis=0, initial=0).tolist(), strict=True)):
        return None
    return _Search(offers).fewest(np.array(wanted, dtype=np.int64))


class _Search:
    """Search with one GPU more until it succeeds, without demands that were seen to need more."""

    def __init__(self, offers: Ints) -> None:
        self._offers = offers
        self._prices = _prices(offers.tobytes(), offers.shape[1])
        self._short: dict[bytes, int] = {}

    def fewest(self, wanted: Ints) -> Slices | None:
        gpus = int(self._least(wanted[None])[0])
        while len(self._short) < _MOST_STATES:
            found = self._within(wanted, gpus)
            if found is not None:
                return tuple(found.count(index) for index in range(len(self._offers)))
            gpus += 1
        return None

    def _least(self, demands: Ints) -> Ints:
        """Lower bounds on the number of GPUs for some demands."""
        return np.asarray(np.ceil((demands @ self._prices).max(axis=1) - 1e-9), dtype=np.int64)

    def _within(self, wanted: Ints, gpus: int) -> list[int] | None:
        """The geometries of at most so many GPUs that offer the slices; None if there are none, or at the limit."""
        if not wanted.any():
            return []
        key = wanted.tobytes()
        if self._short.get(key, -1) >= gpus or len(self._short) >= _MOST_STATES:
            return None
        left = np.maximum(wanted - self._offers, 0)
        least, size = self._least(left), (left @ self._prices).mean(axis=1)
        for index in np.lexsort((np.arange(len(left)), size, least)).tolist():
            if least[index] >= gpus:
                break
            found = self._within(left[index], gpus - 1)
            if found is not None:
                return [index, *found]
        self._short[key] = gpus
        return None


@lru_cache(maxsize=64)
def _prices(offers: bytes, profiles: int) -> NDArray[np.float64]:
    """Prices of slices with which no GPU is worth more than 1, so that a demand needs as many GPUs as it is worth.

    All small whole numbers are tried as prices, and scaled; those are kept that give the largest bound for some demand.

    Args:
        offers: slices that a GPU of each geometry has.
        profiles: number of profiles.
    """
    given = np.frombuffer(offers, dtype=np.int64).reshape(-1, profiles)
    sizes = np.array(list(product(range(_SIZES), repeat=min(profiles, 6))), dtype=np.float64)[1:]
    sizes = np.hstack([sizes, np.zeros((len(sizes), profiles - sizes.shape[1]))])
    alone = np.eye(profiles)
    prices = np.vstack([alone, sizes]).T
    worth = (given @ prices).max(axis=0)
    prices = prices[:, worth > 0] / worth[worth > 0]
    drawn = np.random.default_rng(0).integers(0, 8, (_DRAWN, profiles))
    best = np.unique(np.concatenate([np.arange(profiles), (drawn @ prices).argmax(axis=1)]))
    return np.ascontiguousarray(prices[:, best])
