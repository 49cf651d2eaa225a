"""The MIG geometries of a GPU."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpuwise.model.gpu import MigProfile

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Geometry:
    """One way to partition a GPU.

    Attributes:
        slices: (index of the profile, first memory slice) of each instance, by first memory slice.
    """

    slices: tuple[tuple[int, int], ...]


def geometries(profiles: Sequence[MigProfile]) -> tuple[Geometry, ...]:
    """The maximal geometries of a GPU: those to which no further instance can be added.

    A smaller geometry is one of these with unused instances, so leaving it out loses nothing. Of geometries with the
    same instances at other positions, one is kept. A GPU with seven compute slices has 12 maximal geometries, and 28
    with the 1g profile of double memory.

    Args:
        profiles: the profiles of one GPU that may be used.
    """
    whole = max(profile.starts[-1] + profile.memory_slices for profile in profiles)
    by_offer = {_offer(slices, len(profiles)): slices for slices in _partitions(profiles, 0, whole)}
    offers = np.array(sorted(by_offer))
    contained = (offers[:, None] <= offers[None]).all(axis=2).sum(axis=1) > 1  # each one contains itself
    return tuple(Geometry(by_offer[tuple(offer)]) for offer in offers[~contained].tolist())


def offers(partitions: Sequence[Geometry], profiles: int) -> Ints:
    """How many slices of each profile each geometry has, shape (geometries, profiles).

    Args:
        partitions: the geometries.
        profiles: number of profiles.
    """
    return np.array([_offer(partition.slices, profiles) for partition in partitions], dtype=np.int64)


def _offer(slices: tuple[tuple[int, int], ...], profiles: int) -> tuple[int, ...]:
    numbers = [profile for profile, _ in slices]
    return tuple(numbers.count(profile) for profile in range(profiles))


def _partitions(profiles: Sequence[MigProfile], begin: int, end: int) -> Iterator[tuple[tuple[int, int], ...]]:
    """Every way to partition the memory slices from `begin` on; memory slices may stay unused."""
    if begin >= end:
        yield ()
        return
    yield from _partitions(profiles, begin + 1, end)
    for number, profile in enumerate(profiles):
        if begin in profile.starts:
            for rest in _partitions(profiles, begin + profile.memory_slices, end):
                yield ((number, begin), *rest)
