"""Baselines: whole GPUs, the fastest slice with a smaller last one, and ParvaGPU (arXiv 2409.14447)."""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import product

import numpy as np

from gpuwise.backtest.mig_geometry_misfit.trace import GEOMETRIES, NAMES, OFFERS, PROFILES, DemandSet
from gpuwise.model.errors import InputError
from gpuwise.recommend.engines.mig_geometry_misfit.geometry import Ints
from gpuwise.recommend.engines.mig_geometry_misfit.pack import Floats
from gpuwise.research.mig_geometry_misfit.place import Placed

_SLICES = np.array([profile.compute_slices for profile in PROFILES.values()])
_WHOLE, _THREE = NAMES.index("7g"), NAMES.index("3g")
_SMALL = NAMES.index("1g"), NAMES.index("2g")
# ParvaGPU splits the slices on GPUs with at most this many compute slices in use (its section on optimisation).
_BREAKABLE = 4

Counts = tuple[int, ...]
Segment = tuple[int, int]
"""Profile and item of a slice."""


class Gpus:
    """GPUs that are filled slice by slice; a slice goes to the fullest GPU on which it fits."""

    def __init__(self, allowed: Callable[[Counts], bool] = lambda _: True) -> None:
        """Begin without any GPU.

        Args:
            allowed: which of the possible sets of slices a GPU may have.
        """
        possible = (part for offer in OFFERS.tolist() for part in product(*(range(count + 1) for count in offer)))
        self._possible = {counts for counts in possible if allowed(counts)}
        self._by_counts: dict[Counts, list[int]] = {}
        self.slices: list[list[Segment]] = []

    def used(self, gpu: int) -> int:
        """Compute slices in use."""
        return sum(int(_SLICES[profile]) for profile, _ in self.slices[gpu])

    def add(self, segment: Segment) -> None:
        """Put a slice on the fullest GPU on which it fits, or on a new one."""
        filled = ((counts, _with(counts, segment[0])) for counts, gpus in self._by_counts.items() if gpus)
        fits = [(int(after @ _SLICES), counts) for counts, after in filled if tuple(after.tolist()) in self._possible]
        if fits:
            gpu = self._by_counts[max(fits)[1]].pop(0)
        else:
            gpu = len(self.slices)
            self.slices.append([])
        self.slices[gpu].append(segment)
        self._by_counts.setdefault(self._counts(gpu), []).append(gpu)

    def remove(self, gpu: int, segment: Segment) -> None:
        """Remove a slice from a GPU."""
        self._by_counts[self._counts(gpu)].remove(gpu)
        self.slices[gpu].remove(segment)
        self._by_counts.setdefault(self._counts(gpu), []).append(gpu)

    def placed(self) -> list[Placed]:
        """The place of every slice; GPUs without slices are left out."""
        kept = [gpu for gpu, slices in enumerate(self.slices) if slices]
        return [one for number, gpu in enumerate(kept) for one in self._assigned(number, gpu)]

    def _assigned(self, number: int, gpu: int) -> Iterator[Placed]:
        geometry = GEOMETRIES[int(np.argmax((np.array(self._counts(gpu)) <= OFFERS).all(axis=1)))]
        free = list(geometry.slices)
        for profile, item in self.slices[gpu]:
            slot = next(slot for slot in free if slot[0] == profile)
            free.remove(slot)
            yield Placed(number, slot[1], profile, item)

    def _counts(self, gpu: int) -> Counts:
        counted = Counter(profile for profile, _ in self.slices[gpu])
        return tuple(counted[profile] for profile in range(len(NAMES)))


def _with(counts: Counts, profile: int) -> Ints:
    after = np.array(counts, dtype=np.int64)
    after[profile] += 1
    return after


def whole_gpus(demand: DemandSet) -> list[Placed]:
    """No slices: each model gets as many whole GPUs as it needs."""
    served = demand.served_ips[:, _WHOLE]
    if (served[demand.rate_ips > 0] <= 0).any():
        raise InputError(
            f"set {demand.name}: a model has no measurement on 7g within its latency limit", hint="use another policy"
        )
    counts = np.ceil(np.divide(demand.rate_ips, served, out=np.zeros_like(served), where=served > 0)).astype(int)
    items = [item for item, count in enumerate(counts.tolist()) for _ in range(count)]
    return [Placed(gpu, 0, _WHOLE, item) for gpu, item in enumerate(items)]


def greedy(demand: DemandSet) -> list[Placed]:
    """The fastest slice while it is used in full, then the smallest sufficient one; largest slices first."""
    return _filled(demand, Gpus(), lambda served: int(np.argmax(served))).placed()


def parvagpu(demand: DemandSet) -> list[Placed]:
    """The slice with the most throughput per compute slice, the smallest for the rest; then splits little-used GPUs.

    As in its authors' program, a 3g begins at memory slice 4 only, so no GPU has two.
    """
    gpus = Gpus(lambda counts: counts[_THREE] <= 1)
    _filled(demand, gpus, lambda served: int(np.argmax(served / _SLICES)))
    owed = np.zeros(len(demand.models))
    for gpu in reversed(range(len(gpus.slices))):
        if gpus.used(gpu) <= _BREAKABLE:
            for segment in sorted(gpus.slices[gpu], reverse=True):
                _split(demand, gpus, owed, gpu, segment)
    return gpus.placed()


def _filled(demand: DemandSet, gpus: Gpus, main: Callable[[Floats], int]) -> Gpus:
    wanted = [
        (profile, item)
        for item, (served, rate) in enumerate(zip(demand.served_ips, demand.rate_ips.tolist(), strict=True))
        for profile in _segments(served, rate, main(served))
    ]
    for segment in sorted(wanted, key=lambda one: -one[0]):
        gpus.add(segment)
    return gpus


def _segments(served: Floats, rate: float, main: int) -> list[int]:
    """As many slices of one profile as are used in full, and the smallest slice that serves the rest."""
    if rate <= 0:
        return []
    full = math.ceil(rate / served[main]) - 1
    return [main] * full + [int(np.argmax(served >= rate - full * served[main]))]


def _split(demand: DemandSet, gpus: Gpus, owed: Floats, gpu: int, segment: Segment) -> None:
    """Replace a slice by 1g and 2g slices on any GPU; surplus throughput is credited to the item's next slice."""
    profile, item = segment
    served = demand.served_ips[item]
    one, two = served[list(_SMALL)].tolist()
    if not one and not two:
        return
    gpus.remove(gpu, segment)
    owed[item] += served[profile]
    twos = max(0, math.floor(owed[item] / two)) if one and two > 2 * one else 0
    if not one:
        twos = max(0, math.ceil(owed[item] / two))
    owed[item] -= twos * two
    ones = max(0, math.ceil(owed[item] / one)) if one else 0
    owed[item] -= ones * one
    for small in [_SMALL[1]] * twos + [_SMALL[0]] * ones:
        gpus.add((small, item))
