"""What others cut: whole GPUs, the fastest slice with a smaller last one, and ParvaGPU (arXiv 2409.14447)."""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import product

import numpy as np

from gpuwise.backtest.mig_geometry_misfit.trace import CUTS, NAMES, OFFERS, PROFILES, DemandSet
from gpuwise.model.errors import InputError
from gpuwise.recommend.engines.mig_geometry_misfit.geometry import Ints
from gpuwise.recommend.engines.mig_geometry_misfit.pack import Floats
from gpuwise.research.mig_geometry_misfit.place import Placed

_SLICES = np.array([profile.compute_slices for profile in PROFILES.values()])
_WHOLE, _THREE = NAMES.index("7g"), NAMES.index("3g")
_SMALL = NAMES.index("1g"), NAMES.index("2g")
# ParvaGPU breaks up what runs on GPUs with no more than this many compute slices in use (its section on optimisation).
_BREAKABLE = 4

Counts = tuple[int, ...]
Segment = tuple[int, int]
"""Profile and item: a slice that is wanted."""


class Cards:
    """GPUs that are filled slice by slice, each time the fullest one that still has room."""

    def __init__(self, allowed: Callable[[Counts], bool] = lambda _: True) -> None:
        """Start without any.

        Args:
            allowed: which of the possible sets of slices a card may hold.
        """
        possible = (part for offer in OFFERS.tolist() for part in product(*(range(count + 1) for count in offer)))
        self._possible = {counts for counts in possible if allowed(counts)}
        self._by_counts: dict[Counts, list[int]] = {}
        self.held: list[list[Segment]] = []

    def used(self, gpu: int) -> int:
        """Compute slices in use."""
        return sum(int(_SLICES[profile]) for profile, _ in self.held[gpu])

    def add(self, segment: Segment) -> None:
        """Put a slice on the fullest card that has room, or on a new one."""
        filled = ((counts, _with(counts, segment[0])) for counts, gpus in self._by_counts.items() if gpus)
        room = [(int(after @ _SLICES), counts) for counts, after in filled if tuple(after.tolist()) in self._possible]
        if room:
            gpu = self._by_counts[max(room)[1]].pop(0)
        else:
            gpu = len(self.held)
            self.held.append([])
        self.held[gpu].append(segment)
        self._by_counts.setdefault(self._counts(gpu), []).append(gpu)

    def remove(self, gpu: int, segment: Segment) -> None:
        """Take a slice off a card."""
        self._by_counts[self._counts(gpu)].remove(gpu)
        self.held[gpu].remove(segment)
        self._by_counts.setdefault(self._counts(gpu), []).append(gpu)

    def placed(self) -> list[Placed]:
        """Where everything is; cards that were emptied are left out."""
        kept = [gpu for gpu, held in enumerate(self.held) if held]
        return [one for number, gpu in enumerate(kept) for one in self._dealt(number, gpu)]

    def _dealt(self, number: int, gpu: int) -> Iterator[Placed]:
        cut = CUTS[int(np.argmax((np.array(self._counts(gpu)) <= OFFERS).all(axis=1)))]
        free = list(cut.slices)
        for profile, item in self.held[gpu]:
            slot = next(slot for slot in free if slot[0] == profile)
            free.remove(slot)
            yield Placed(number, slot[1], profile, item)

    def _counts(self, gpu: int) -> Counts:
        counted = Counter(profile for profile, _ in self.held[gpu])
        return tuple(counted[profile] for profile in range(len(NAMES)))


def _with(counts: Counts, profile: int) -> Ints:
    after = np.array(counts, dtype=np.int64)
    after[profile] += 1
    return after


def whole_gpus(demand: DemandSet) -> list[Placed]:
    """No slices: as many whole GPUs as each model needs alone."""
    served = demand.served_ips[:, _WHOLE]
    if (served[demand.rate_ips > 0] <= 0).any():
        raise InputError(f"set {demand.name}: a model was not measured on 7g in time", hint="play another policy")
    counts = np.ceil(np.divide(demand.rate_ips, served, out=np.zeros_like(served), where=served > 0)).astype(int)
    items = [item for item, count in enumerate(counts.tolist()) for _ in range(count)]
    return [Placed(gpu, 0, _WHOLE, item) for gpu, item in enumerate(items)]


def greedy(demand: DemandSet) -> list[Placed]:
    """The fastest slice as often as it is needed in full, the smallest that does for the rest; largest first."""
    return _filled(demand, Cards(), lambda served: int(np.argmax(served))).placed()


def parvagpu(demand: DemandSet) -> list[Placed]:
    """The slice of most throughput per compute slice, the smallest for the rest; then GPUs hardly used are broken up.

    As its publishers' program has it, a 3g begins at memory slice 4 only, so no GPU holds two.
    """
    cards = Cards(lambda counts: counts[_THREE] <= 1)
    _filled(demand, cards, lambda served: int(np.argmax(served / _SLICES)))
    owed = np.zeros(len(demand.models))
    for gpu in reversed(range(len(cards.held))):
        if cards.used(gpu) <= _BREAKABLE:
            for segment in sorted(cards.held[gpu], reverse=True):
                _broken_up(demand, cards, owed, gpu, segment)
    return cards.placed()


def _filled(demand: DemandSet, cards: Cards, main: Callable[[Floats], int]) -> Cards:
    wanted = [
        (profile, item)
        for item, (served, rate) in enumerate(zip(demand.served_ips, demand.rate_ips.tolist(), strict=True))
        for profile in _segments(served, rate, main(served))
    ]
    for segment in sorted(wanted, key=lambda one: -one[0]):
        cards.add(segment)
    return cards


def _segments(served: Floats, rate: float, main: int) -> list[int]:
    """Slices of one profile, as many as are used in full, and the smallest that serves what is left."""
    if rate <= 0:
        return []
    full = math.ceil(rate / served[main]) - 1
    return [main] * full + [int(np.argmax(served >= rate - full * served[main]))]


def _broken_up(demand: DemandSet, cards: Cards, owed: Floats, gpu: int, segment: Segment) -> None:
    """Replace a slice by 1g and 2g slices, wherever those find room; what they serve too much counts for the next."""
    profile, item = segment
    served = demand.served_ips[item]
    one, two = served[list(_SMALL)].tolist()
    if not one and not two:
        return
    cards.remove(gpu, segment)
    owed[item] += served[profile]
    twos = max(0, math.floor(owed[item] / two)) if one and two > 2 * one else 0
    if not one:
        twos = max(0, math.ceil(owed[item] / two))
    owed[item] -= twos * two
    ones = max(0, math.ceil(owed[item] / one)) if one else 0
    owed[item] -= ones * one
    for small in [_SMALL[1]] * twos + [_SMALL[0]] * ones:
        cards.add((small, item))
