"""The ways in which a card can be cut into MIG slices."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.gpu import MigProfile

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Geometry:
    """One way to cut a card.

    Attributes:
        slices: (number of the profile, memory slice that it begins at), by start.
    """

    slices: tuple[tuple[int, int], ...]


def geometries(profiles: Sequence[MigProfile]) -> tuple[Geometry, ...]:
    """The cuts of a card that leave no room and are no part of another.

    A cut that offers less is one of them with slices left unused, so nothing is lost by leaving it out; of cuts that
    offer the same slices at other starts one is kept. A card of seven compute slices has 12, and 28 with the 1g of
    double memory.

    Args:
        profiles: those of one card that may be used.
    """
    whole = max(profile.starts[-1] + profile.memory_slices for profile in profiles)
    by_offer = {_offer(cut, len(profiles)): cut for cut in _cuts(profiles, 0, whole)}
    offers = np.array(sorted(by_offer))
    contained = (offers[:, None] <= offers[None]).all(axis=2).sum(axis=1) > 1  # each is contained in itself
    return tuple(Geometry(by_offer[tuple(offer)]) for offer in offers[~contained].tolist())


def offers(cuts: Sequence[Geometry], profiles: int) -> Ints:
    """How many slices of each profile each geometry has, shape (geometries, profiles).

    Args:
        cuts: the geometries.
        profiles: how many profiles there are.
    """
    return np.array([_offer(cut.slices, profiles) for cut in cuts], dtype=np.int64)


def _offer(cut: tuple[tuple[int, int], ...], profiles: int) -> tuple[int, ...]:
    numbers = [profile for profile, _ in cut]
    return tuple(numbers.count(profile) for profile in range(profiles))


def _cuts(profiles: Sequence[MigProfile], begin: int, end: int) -> Iterator[tuple[tuple[int, int], ...]]:
    """Every way to cut the memory slices from `begin` on; one may stay unused."""
    if begin >= end:
        yield ()
        return
    yield from _cuts(profiles, begin + 1, end)
    for number, profile in enumerate(profiles):
        if begin in profile.starts:
            for rest in _cuts(profiles, begin + profile.memory_slices, end):
                yield ((number, begin), *rest)
