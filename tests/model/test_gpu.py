from itertools import pairwise

import pytest

from gpuwise.model.gpu import GIB, GPU_TYPES, gpu_type, named

PRODUCTS = {
    "NVIDIA-A100-SXM4-80GB": "A100-80GB",  # GPU feature discovery
    "NVIDIA A100-SXM4-80GB": "A100-80GB",  # NVML
    "NVIDIA-A100-SXM4-80GB-SHARED": "A100-80GB",
    "NVIDIA-A100-SXM4-80GB-MIG-1g.10gb": "A100-80GB",
    "NVIDIA A100-PCIE-40GB": "A100-40GB",
    "NVIDIA A100-SXM-64GB": None,  # a custom card: not one of the two
    "NVIDIA A100": None,  # 40 or 80?
    "NVIDIA-H100-80GB-HBM3": "H100-80GB",
    "NVIDIA H100 PCIe": "H100-80GB",
    "NVIDIA H100 NVL": "H100-94GB",
    "NVIDIA H100 96GB HBM3": "H100-96GB",
    "NVIDIA GH200 480GB": "GH200-96GB",  # 480 GB are the CPU's
    "NVIDIA GH200 144G HBM3e": None,
    "NVIDIA GH200": None,  # 96 or 144?
    "NVIDIA H200": "H200-141GB",
    "NVIDIA-H200-MIG-1g.18gb": "H200-141GB",  # not the slice's size
    "NVIDIA B200": "B200-180GB",
    "NVIDIA GB200": "GB200-186GB",
    "NVIDIA B300 SXM6 AC": "B300-269GB",
    "NVIDIA-L4": "L4",
    "NVIDIA L40S": "L40S",
    "NVIDIA L40": None,
    "NVIDIA A10G": "A10G",
    "NVIDIA A10": None,
    "NVIDIA A30": "A30",
    "Tesla-T4": "T4",
    "Tesla V100-SXM2-16GB": "V100-16GB",
    "AMD Instinct MI300X": None,
    "": None,
}


@pytest.mark.parametrize(("product", "name"), PRODUCTS.items())
def test_a_product_string_gives_one_type_or_none(product, name):
    gpu = gpu_type(product)
    assert (gpu.name if gpu else None) == name


@pytest.mark.parametrize("gpu", GPU_TYPES, ids=lambda gpu: gpu.name)
def test_a_canonical_name_gives_its_own_type(gpu):
    assert gpu_type(gpu.name) is named(gpu.name) is gpu


WITH_MIG = [gpu for gpu in GPU_TYPES if gpu.mig_profiles]


@pytest.mark.parametrize("gpu", WITH_MIG, ids=lambda gpu: gpu.name)
def test_mig_profiles_are_sorted_up_to_the_whole_gpu(gpu):
    sizes = [(profile.compute_slices, profile.memory_bytes) for profile in gpu.mig_profiles]
    assert sizes == sorted(sizes)
    assert sizes[-1] == (gpu.compute_slices, gpu.memory_bytes)
    assert all(
        profile.name == f"{profile.compute_slices}g.{profile.memory_bytes // GIB}gb" for profile in gpu.mig_profiles
    )


@pytest.mark.parametrize("gpu", WITH_MIG, ids=lambda gpu: gpu.name)
def test_instances_of_one_profile_do_not_overlap_and_no_further_one_fits(gpu):
    memory_slices = gpu.mig_profiles[-1].memory_slices
    for profile in gpu.mig_profiles:
        gaps = [after - before for before, after in pairwise((*profile.starts, memory_slices))]
        assert all(gap >= profile.memory_slices for gap in gaps)
        by_compute = gpu.compute_slices // profile.compute_slices
        assert profile.per_card == min(by_compute, memory_slices // profile.memory_slices)


@pytest.mark.parametrize("gpu", WITH_MIG, ids=lambda gpu: gpu.name)
def test_the_memory_of_a_profile_is_in_proportion_to_its_memory_slices(gpu):
    """Within 1 GB, because the names round to whole gigabytes."""
    memory_slices = gpu.mig_profiles[-1].memory_slices
    for profile in gpu.mig_profiles:
        share = gpu.memory_bytes * profile.memory_slices / memory_slices
        assert abs(profile.memory_bytes - share) <= GIB


@pytest.mark.parametrize("name", ["A100-80GB", "H100-80GB"])
def test_the_profiles_of_80_gb_cards_are_nvidias(name):
    """`nvidia-smi mig -lgipp` on an 80 GB card: {starts}:width."""
    placements = {profile.name: (profile.starts, profile.memory_slices) for profile in named(name).mig_profiles}
    assert placements == {
        "1g.10gb": ((0, 1, 2, 3, 4, 5, 6), 1),
        "1g.20gb": ((0, 2, 4, 6), 2),
        "2g.20gb": ((0, 2, 4), 2),
        "3g.40gb": ((0, 4), 4),
        "4g.40gb": ((0,), 4),
        "7g.80gb": ((0,), 8),
    }
