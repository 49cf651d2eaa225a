"""Assigns the slices of a packing to items."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gpuwise.recommend.engines.mig_geometry_misfit.geometry import Geometry
from gpuwise.recommend.engines.mig_geometry_misfit.pack import Packing


@dataclass(frozen=True, slots=True, order=True)
class Placed:
    """One slice in use.

    Attributes:
        gpu: index of the GPU, from 0.
        start: first memory slice.
        profile: index of the profile.
        item: index of the item that it serves.
    """

    gpu: int
    start: int
    profile: int
    item: int


def place(partitions: Sequence[Geometry], packing: Packing) -> list[Placed]:
    """Assign the slices of a packing to its GPUs; slices that no item needs stay unused.

    Args:
        partitions: the geometries that the packing was computed with.
        packing: result of `pack`.
    """
    waiting = [_items(packing.slices[:, profile].tolist()) for profile in range(packing.slices.shape[1])]
    counts = packing.partitioned.tolist()
    chosen = [partition for partition, count in zip(partitions, counts, strict=True) for _ in range(count)]
    return [
        Placed(gpu, start, profile, item)
        for gpu, partition in enumerate(chosen)
        for profile, start in partition.slices
        for item in [next(waiting[profile], None)]
        if item is not None
    ]


def _items(counts: Sequence[int]) -> Iterator[int]:
    return (item for item, count in enumerate(counts) for _ in range(count))
