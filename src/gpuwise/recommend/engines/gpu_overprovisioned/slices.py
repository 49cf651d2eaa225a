"""The MIG slices that are large enough for an activity and an amount of memory on the whole GPU."""

from gpuwise.model.gpu import GpuType, MigProfile


def fitting_slices(gpu: GpuType, activity: float, memory_bytes: float) -> list[MigProfile]:
    """The slices with at least the share of the compute slices that is active, and with the memory; smallest first.

    A share of the activity is taken for the same share of the compute slices. Small slices have more of the whole GPU's
    throughput than that, because memory bandwidth and the work outside the GPU are not divided alike.

    Args:
        gpu: type of the whole GPU.
        activity: SM activity needed of the whole GPU, 0 to 1.
        memory_bytes: memory needed.

    Returns:
        Slices smaller than the whole GPU.
    """
    whole = gpu.compute_slices
    return [
        profile
        for profile in gpu.mig_profiles[:-1]
        if profile.compute_slices / whole >= activity and profile.memory_bytes >= memory_bytes
    ]


def share_of(gpu: GpuType, profile: MigProfile) -> float:
    """The share of a GPU that a slice takes: of its compute or of its memory, whichever is larger.

    Four 1g slices of double memory leave the GPU's other compute slices without memory.

    Args:
        gpu: type of the whole GPU.
        profile: the slice.
    """
    return max(profile.compute_slices / gpu.compute_slices, profile.memory_bytes / gpu.memory_bytes)
