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
    "NVIDIA GH200 480GB": None,
    "NVIDIA H200": "H200-141GB",
    "NVIDIA B200": "B200-180GB",
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
def test_a_product_string_means_one_type_or_none(product, name):
    found = gpu_type(product)
    assert (found.name if found else None) == name


@pytest.mark.parametrize("gpu", GPU_TYPES, ids=lambda gpu: gpu.name)
def test_a_canonical_name_means_itself(gpu):
    assert gpu_type(gpu.name) is named(gpu.name) is gpu


@pytest.mark.parametrize("gpu", [gpu for gpu in GPU_TYPES if gpu.mig_profiles], ids=lambda gpu: gpu.name)
def test_mig_profiles_grow_up_to_the_whole_card(gpu):
    sizes = [(profile.compute_slices, profile.memory_bytes) for profile in gpu.mig_profiles]
    assert sizes == sorted(sizes)
    assert sizes[-1] == (gpu.compute_slices, gpu.memory_bytes)
    assert all(
        profile.name == f"{profile.compute_slices}g.{profile.memory_bytes // GIB}gb" for profile in gpu.mig_profiles
    )
