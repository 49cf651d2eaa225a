"""Which slice of which GPU serves whom."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gpuwise.recommend.engines.mig_geometry_misfit.geometry import Geometry
from gpuwise.recommend.engines.mig_geometry_misfit.pack import Packing


@dataclass(frozen=True, slots=True, order=True)
class Placed:
    """One slice in use.

    Attributes:
        gpu: number of the GPU, from 0.
        start: memory slice that it begins at.
        profile: number of its profile.
        item: whom it serves.
    """

    gpu: int
    start: int
    profile: int
    item: int


def place(cuts: Sequence[Geometry], packing: Packing) -> list[Placed]:
    """Deal the slices of a packing out to its GPUs; slices that nobody needs stay unused.

    Args:
        cuts: the geometries that were packed with.
        packing: of `pack`.
    """
    waiting = [_items(packing.slices[:, profile].tolist()) for profile in range(packing.slices.shape[1])]
    chosen = [cut for cut, count in zip(cuts, packing.partitioned.tolist(), strict=True) for _ in range(count)]
    return [
        Placed(gpu, start, profile, item)
        for gpu, cut in enumerate(chosen)
        for profile, start in cut.slices
        for item in [next(waiting[profile], None)]
        if item is not None
    ]


def _items(counts: Sequence[int]) -> Iterator[int]:
    return (item for item, count in enumerate(counts) for _ in range(count))
